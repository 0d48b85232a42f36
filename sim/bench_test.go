package sim

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// perEvent reports how many events a second of real time sees.
func perEvent(b *testing.B, events uint64) {
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

// A day of two hosts with a connection that is idle, and probed every 15 s by both.
func BenchmarkIdleDay(b *testing.B) {
	events := uint64(0)
	for b.Loop() {
		w := New(1)
		server, client := w.Host("server"), w.Host("client")
		ln := must1(server.Net().Listen("tcp", ":7"))
		must1(client.Net().Dial("tcp", "server:7"))
		must1(ln.Accept())
		w.RunFor(24 * time.Hour)
		events += w.Stats().Events
		w.Close()
	}
	perEvent(b, events)
}

// A transfer of 1 MiB over a link on which everything goes wrong.
func BenchmarkLossyTransfer(b *testing.B) {
	events, t := uint64(0), new(testing.T)
	b.SetBytes(1 << 20)
	for b.Loop() {
		w := stepped(t, 7, 1<<20)
		events += w.Stats().Events
		w.Close()
	}
	perEvent(b, events)
}

// Hosts that send each other datagrams, in pairs: 100 there and back each, and what
// it takes to find each other on one switch.
func BenchmarkHosts(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			events := uint64(0)
			for b.Loop() {
				events += pairs(n)
			}
			perEvent(b, events)
		})
	}
}

func pairs(n int) (events uint64) {
	w := New(1)
	defer w.Close()
	hosts := make([]*Host, n)
	for i := range hosts {
		hosts[i] = w.Host(fmt.Sprint("h", i))
	}
	qds := make([]api.QD, n)
	var done [64]api.Completion
	for i, h := range hosts {
		qds[i] = must1(h.LibOS().Socket(api.UDP))
		must(h.LibOS().Bind(qds[i], netip.MustParseAddrPort("0.0.0.0:7")))
	}
	for range 100 {
		for i, h := range hosts {
			to := netip.AddrPortFrom(hosts[i^1].Addr(), 7)
			must1(h.LibOS().PushTo(qds[i], api.SGAOf([]byte("hello")), to))
			must1(h.LibOS().Pop(qds[i]))
		}
		w.RunFor(10 * time.Millisecond)
		for _, h := range hosts {
			for n := h.LibOS().Poll(done[:]); n > 0; n = h.LibOS().Poll(done[:]) {
				for _, c := range done[:n] {
					c.SGA.Free()
				}
			}
		}
	}
	return w.Stats().Events
}
