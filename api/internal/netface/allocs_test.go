package netface

import (
	"testing"
	"time"
)

// A read that gives a netip.AddrPort allocates nothing, on either.
func TestReadAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools are not deterministic under the race detector")
	}
	wire, hosts := onWire(t, "10.0.0.1/24", "10.0.0.2/24")
	for name, ours := range map[string]bool{"package net": false, "wire": true} {
		t.Run(name, func(t *testing.T) {
			w := wire
			if !ours {
				w = kernelHere(t, "127.0.0.1")
			}
			const runs = 50
			to, from := open(t, w.near, "udp", at(w.nearAddr, 0)), open(t, w.far, "udp", at(w.farAddr, 0))
			check(to.SetReadBuffer(1 << 20))
			p := make([]byte, 10)
			count := func(read func()) float64 {
				came := hosts[0].Stats().UDP.In
				for range runs + 1 { // one more for AllocsPerRun
					must(from.WriteTo(p, to.LocalAddr()))
				}
				for w.ours && hosts[0].Stats().UDP.In < came+runs+1 {
					time.Sleep(time.Millisecond) // to receive them does allocate
				}
				return testing.AllocsPerRun(runs, read)
			}
			for _, c := range []struct {
				call string
				n    float64
				most float64
			}{
				{"ReadFromUDPAddrPort", count(func() { must3(to.ReadFromUDPAddrPort(p)) }), 0},
				{"Read", count(func() { must(to.Read(p)) }), 0},
				{"ReadFrom", count(func() { must3(to.ReadFrom(p)) }), 2}, // a UDPAddr and its IP
			} {
				if c.n > c.most {
					t.Errorf("%s: %v allocations, want %v", c.call, c.n, c.most)
				}
			}
		})
	}
}

func must3[A, B any](a A, b B, err error) (A, B) {
	check(err)
	return a, b
}
