package sim_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/sim"
)

// A program of one goroutine, on the queue faces of both ends. While it waits, the
// world takes its steps; nothing runs beside it. So it prints the same for ever.
func ExampleNew() {
	w := sim.New(42)
	defer w.Close()
	near, far := w.Host("near"), w.Host("far")
	far.Cable(0).Set(sim.Link{Faults: wrap.Faults{Delay: 250 * time.Millisecond, Drop: 0.3}})

	there, _ := far.LibOS().Socket(api.UDP)
	far.LibOS().Bind(there, netip.MustParseAddrPort("0.0.0.0:7"))
	here, _ := near.LibOS().Socket(api.UDP)
	to := netip.AddrPortFrom(far.Addr(), 7)

	arrived := 0
	pop, _ := far.LibOS().Pop(there)
	for range 10 {
		if _, err := near.LibOS().PushTo(here, api.SGAOf([]byte("hello")), to); err != nil {
			log.Fatal(err)
		}
		w.RunFor(time.Minute)
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // only asks
		if _, err := far.LibOS().Wait(ctx, pop); err == nil {
			arrived++
			pop, _ = far.LibOS().Pop(there)
		}
	}
	fmt.Println(arrived, "of 10 have arrived in", w.Now().Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
	// Output: 7 of 10 have arrived in 10m0s
}

// A test of a service that knows nothing of all this: see docs/sim.md.
func ExampleTest() {
	_ = func(t *testing.T) { // TestService
		sim.Test(t, func(w *sim.World) {
			server, client := w.Host("server"), w.Host("client")
			heal := w.Partition(server)
			w.At(10*time.Second, heal)
			c, err := client.Net().Dial("tcp", "server:80")
			// …
			_, _ = c, err
		})
	}
}
