package examples_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/sim"
)

// Test your service under a bad network in ten lines.
func TestServiceOnABadNetwork(t *testing.T) {
	sim.Test(t, func(w *sim.World) {
		server, client := w.Host("server"), w.Host("client")
		server.Cable(0).Set(sim.Link{Faults: wrap.Faults{Delay: 40 * time.Millisecond, Drop: 0.05, Burst: 3}})
		ln, err := server.Net().Listen("tcp", ":80")
		if err != nil {
			w.T.Fatal(err)
		}
		go http.Serve(ln, service())
		web := http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}, Timeout: time.Minute}
		resp, err := web.Post("http://server/", "", strings.NewReader(strings.Repeat("ringtail", 10_000)))
		if err != nil {
			w.T.Fatal(err)
		}
		resp.Body.Close()
	})
}

// A shop takes orders. With keys it knows those that it has taken already.
type shop struct {
	orders atomic.Int64
	keys   map[string]bool
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || !s.keys[key] {
		s.orders.Add(1)
		s.keys[key] = true
	}
	fmt.Fprintln(w, "thank you")
}

// buy orders something, and tries again when the answer does not come.
func buy(web *http.Client, key string) error {
	var err error
	for range 10 {
		req, _ := http.NewRequest("POST", "http://shop/orders", nil)
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		var resp *http.Response
		if resp, err = web.Do(req); err == nil {
			resp.Body.Close()
			return nil
		}
	}
	return err
}

// trade makes ten orders while the shop is once cut off for some seconds, and returns
// how many the shop has taken.
func trade(w *sim.World, withKeys bool) int64 {
	server, client := w.Host("shop"), w.Host("client")
	ln, err := server.Net().Listen("tcp", ":80")
	if err != nil {
		w.T.Fatal(err)
	}
	s := &shop{keys: map[string]bool{}}
	go http.Serve(ln, s)
	chance := w.Rand("partition")
	w.At(time.Duration(chance.Int64N(int64(200*time.Millisecond))), func() {
		heal := w.Partition(server)
		time.Sleep(time.Duration(chance.Int64N(int64(5 * time.Second))))
		heal()
	})
	web := &http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}, Timeout: time.Second}
	for n := range 10 {
		key := ""
		if withKeys {
			key = fmt.Sprint(n)
		}
		if err := buy(web, key); err != nil {
			w.T.Errorf("order %d: %v", n, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return s.orders.Load()
}

// A client that tries again orders twice, if the partition comes between an order and
// its thanks. It takes a few seeds to meet that moment, and then it is there for ever.
func TestOrdersTwice(t *testing.T) {
	found := uint64(0)
	for seed := uint64(1); seed <= 300 && found == 0; seed++ {
		sim.Run(t, seed, func(w *sim.World) {
			if trade(w, false) != 10 {
				found = seed
			}
		})
	}
	if found == 0 {
		t.Fatal("no seed finds what is wrong with a client that orders again")
	}
	t.Logf("seed %d finds it", found)
	sim.Run(t, found, func(w *sim.World) {
		if n := trade(w, true); n != 10 {
			w.T.Errorf("%d orders were taken of 10, with keys", n)
		}
	})
}
