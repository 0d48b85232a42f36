package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
)

func TestVerify(t *testing.T) { Verify(t, 3, partitionAndHeal) }

// A program whose chance the seed does not decide is found out, and where.
func TestDifference(t *testing.T) {
	say := func(word string) *trace {
		return run(t, 3, func(w *World) {
			w.Logf("first")
			time.Sleep(time.Second)
			w.Logf("%s", word)
		})
	}
	a, b := say("this"), say("that")
	if a.identity() == b.identity() {
		t.Fatal("two runs that differ have one identity")
	}
	text := difference(a, b, 2)
	for _, want := range []string{"run 2 of seed 3", "go1.", "gVisor v", "event 2 was\n\t1s events (this)\n", "is now\n\t1s events (that)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	shorter := run(t, 3, func(w *World) { w.Logf("first") })
	if text := difference(a, shorter, 2); !strings.Contains(text, "is now\n\tthe end") {
		t.Errorf("of a run that ends earlier:\n%s", text)
	}
}

// Goroutines of one host that dial at the same moment are told apart by labels. The
// scheduler is not asked to be kind: each waits for some others first.
func TestLabels(t *testing.T) {
	dialers := func(w *World, label bool) {
		server, client := w.Host("server"), w.Host("client")
		ln, err := server.Net().Listen("tcp", ":7")
		if err != nil {
			w.T.Fatal(err)
		}
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, c)
			}
		}()
		order := rand.Perm(8) // not of the seed
		turn := make([]chan struct{}, 9)
		for i := range turn {
			turn[i] = make(chan struct{})
		}
		close(turn[0])
		var all sync.WaitGroup
		for at, i := range order {
			all.Go(func() {
				ctx := context.Background()
				if label {
					ctx = api.WithLabel(ctx, fmt.Sprint(i))
				}
				<-turn[at]
				go func() { close(turn[at+1]) }()
				c, err := client.Net().DialContext(ctx, "tcp", "server:7")
				if err != nil {
					w.T.Error(err)
					return
				}
				fmt.Fprintf(c, "I am %d", i)
				c.Close()
			})
		}
		all.Wait()
		time.Sleep(time.Second)
	}
	want := run(t, 1, func(w *World) { dialers(w, true) })
	if n := want.w.stats.Ambiguous; n != 0 {
		t.Errorf("with labels %d sockets are taken for ambiguous", n)
	}
	for range 10 {
		if got := run(t, 1, func(w *World) { dialers(w, true) }); got.identity() != want.identity() {
			t.Fatal(difference(want, got, 2))
		}
	}
	if n := run(t, 1, func(w *World) { dialers(w, false) }).w.stats.Ambiguous; n == 0 {
		t.Error("without labels nobody notices that sockets are ambiguous")
	}
}

// What a program closes in the order of a map is closed in that of its sockets; and
// a port is free again when its listener has been closed.
func TestCloseInAnyOrder(t *testing.T) {
	program := func(w *World) {
		server, client := w.Host("server"), w.Host("client")
		ln := must1(server.Net().Listen("tcp", ":7"))
		open := map[io.Closer]bool{}
		for range 10 {
			must1(client.Net().Dial("tcp", "server:7"))
			open[must1(ln.Accept())] = true
		}
		open[ln] = true
		for c := range open {
			must(c.Close())
		}
		must(must1(server.Net().Listen("tcp", ":7")).Close())
		time.Sleep(time.Second)
	}
	want := run(t, 1, program)
	for range 10 {
		if got := run(t, 1, program); got.identity() != want.identity() {
			t.Fatal(difference(want, got, 2))
		}
	}
}

// The capture is one that others read, and shows where a frame went.
func TestCapture(t *testing.T) {
	tr := run(t, 1, func(w *World) {
		a, b := w.Host("a"), w.Host("b")
		defer w.Partition(b)()
		c, err := a.Net().Dial("udp", "b:9")
		if err != nil {
			w.T.Fatal(err)
		}
		c.Write([]byte("lost"))
		time.Sleep(time.Second)
		w.Logf("done")
	})
	r := pcapng.NewReader(bytes.NewReader(tr.bytes()))
	var events []string
	for {
		text, ok := nextEvent(r)
		if !ok {
			break
		}
		events = append(events, text)
	}
	all := strings.Join(events, "\n")
	for _, want := range []string{"a/eth0 out type 0806", "a/eth0 out", "b/eth0 type 0806", "(for b/eth0) (lost: partition)", "1s events (done)"} {
		if !strings.Contains(all, want) {
			t.Errorf("the capture lacks %q:\n%s", want, all)
		}
	}
	names := r.Interfaces()
	if len(names) != 3 || names[1].Name != "a/eth0" || names[2].Name != "b/eth0" {
		t.Errorf("interfaces: %+v", names)
	}
}
