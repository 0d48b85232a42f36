package stack

import (
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

func TestNeighbors(t *testing.T) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Interfaces: []Interface{{
		Device: da, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
		Neighbors: []Neighbor{{Addr: netip.MustParseAddr("10.0.0.9"), MAC: hal.MAC{2, 9, 9, 9, 9, 9}}},
	}}}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b := host(t, Config{}, "b", db, "10.0.0.2/24")
	join(t, a, b, api.TCP4, "10.0.0.2:80")
	want := map[string]string{"10.0.0.2": db.Info().MAC.String() + " reachable", "10.0.0.9": "02:09:09:09:09:09 static"}
	for _, n := range a.Stats().Interfaces[0].Neighbors {
		if got := n.MAC + " " + n.State; want[n.Addr.String()] != got {
			t.Errorf("neighbour %v: %s, want %s", n.Addr, got, want[n.Addr.String()])
		}
		delete(want, n.Addr.String())
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	// A packet to a static neighbour leaves without a question.
	s := socketOf(t, a, api.UDP4)
	ok(t, a, api.Request{Kind: api.KindWrite, Sock: s, Addr: netip.MustParseAddrPort("10.0.0.9:1"), Bufs: [][]byte{[]byte("x")}})
	if n := a.Stats().Unresolved; n != 0 {
		t.Errorf("%d next hops are being asked for", n)
	}
}

// FuzzFrames feeds a host frames, two at a time, with what a device may say
// about them.
func FuzzFrames(f *testing.F) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		f.Fatal(err)
	}
	defer da.Close()
	h, err := New(Config{Interfaces: []Interface{{Device: db, Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")}}}})
	if err != nil {
		f.Fatal(err)
	}
	defer h.Close()
	rx, tx, _ := da.Queue(0)
	syn := synFrame(db.Info().MAC, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	f.Add(syn, syn[:20], false, uint16(34), uint16(16), uint8(0), uint16(0))
	f.Add(syn, syn, true, uint16(34), uint16(16), uint8(1), uint16(1))
	burst := make([]hal.Frame, 64)
	f.Fuzz(func(t *testing.T, first, second []byte, needs bool, start, offset uint16, gso uint8, size uint16) {
		for _, p := range [][]byte{first, second} {
			if len(p) < 14 || len(p) > 1514 {
				return
			}
		}
		for _, p := range [][]byte{first, second} {
			n, _ := rx.Rx(burst)
			rx.Release(burst[:n])
			var fs [1]hal.Frame
			if n, err := tx.Alloc(fs[:], len(p)); n != 1 || err != nil {
				if err != nil {
					t.Fatal(err)
				}
				h.Turn()
				continue
			}
			copy(fs[0].Data, p)
			copy(fs[0].Data, syn[:6]) // to us
			fs[0].Meta = hal.Meta{NeedsCsum: needs, CsumStart: start, CsumOffset: offset, GSO: hal.GSO(gso % 4), GSOSize: size}
			if n, _ := tx.Tx(fs[:]); n == 0 {
				tx.Release(fs[:])
			}
		}
		tx.Flush()
		h.Turn()
	})
}
