package hal_test

import (
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestFramePrepend(t *testing.T) {
	buf := []byte("....payload!")
	f := hal.NewFrame(buf, 4, 7, 42)
	if f.Headroom() != 4 || string(f.Data) != "payload" || f.Ref() != 42 {
		t.Fatalf("new frame: %q, headroom %d, ref %d", f.Data, f.Headroom(), f.Ref())
	}
	f.Data = f.Data[3:6] // cutting the front is headroom won
	if f.Headroom() != 7 {
		t.Fatalf("headroom is %d after cutting 3 bytes, want 7", f.Headroom())
	}
	copy(f.Prepend(2), "<>")
	if string(f.Data) != "<>loa" || f.Headroom() != 5 || string(buf) != "....p<>load!" {
		t.Fatalf("after Prepend: %q in %q, headroom %d", f.Data, buf, f.Headroom())
	}
	if f.Prepend(5); &f.Data[0] != &buf[0] || len(f.Data) != 10 {
		t.Fatal("Prepend of all headroom does not lead to the start of the buffer")
	}
	for _, n := range []int{1, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Prepend(%d) without headroom does not panic", n)
				}
			}()
			f.Prepend(n)
		}()
	}
	// Empty, at the very end of the buffer.
	f = hal.NewFrame(buf, len(buf), 0, 0)
	if copy(f.Prepend(1), "?"); string(f.Data) != "?" || buf[len(buf)-1] != '?' {
		t.Fatal("Prepend on an empty frame")
	}
}

func TestChainAndPacketLen(t *testing.T) {
	frame := func(n int, more bool) hal.Frame {
		f := hal.NewFrame(make([]byte, n), 0, n, 0)
		f.More = more
		return f
	}
	fs := []hal.Frame{frame(100, true), frame(50, true), frame(7, false), frame(60, false), frame(1, true)}
	for _, c := range []struct{ from, to, want int }{{0, 5, 3}, {1, 5, 2}, {3, 5, 1}, {4, 5, 0}, {0, 2, 0}, {5, 5, 0}} {
		if got := hal.ChainLen(fs[c.from:c.to]); got != c.want {
			t.Errorf("ChainLen(fs[%d:%d]) = %d, want %d", c.from, c.to, got, c.want)
		}
	}
	if got := hal.PacketLen(fs[:3]); got != 157 {
		t.Errorf("PacketLen = %d, want 157", got)
	}
}

func TestOffloadCarries(t *testing.T) {
	for _, c := range []struct {
		o    hal.Offload
		m    hal.Meta
		want bool
	}{
		{0, hal.Meta{}, true},
		{0, hal.Meta{NeedsCsum: true}, false},
		{hal.Csum, hal.Meta{NeedsCsum: true}, true},
		{hal.Csum, hal.Meta{NeedsCsum: true, GSO: hal.GSOTCP4}, false},
		{hal.Csum | hal.TSO6 | hal.USO, hal.Meta{NeedsCsum: true, GSO: hal.GSOTCP4}, false},
		{hal.Csum | hal.TSO4, hal.Meta{NeedsCsum: true, GSO: hal.GSOTCP4}, true},
		{hal.Csum | hal.TSO6, hal.Meta{NeedsCsum: true, GSO: hal.GSOTCP6}, true},
		{hal.Csum | hal.USO, hal.Meta{NeedsCsum: true, GSO: hal.GSOUDP}, true},
	} {
		if got := c.o.Carries(c.m); got != c.want {
			t.Errorf("%v carries %+v: %v, want %v", c.o, c.m, got, c.want)
		}
	}
	if s := (hal.Csum | hal.USO).String(); s != "csum,uso" {
		t.Errorf("String() = %q", s)
	}
	if s := hal.Offload(0).String(); s != "none" {
		t.Errorf("String() of nothing = %q", s)
	}
}
