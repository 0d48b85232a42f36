package loopback

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func join(t testing.TB, w *Wire, c Config) *station {
	t.Helper()
	d, err := w.Device(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	rx, tx, err := d.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	return &station{Device: d, rx: rx, tx: tx}
}

// station is a device with its first queue.
type station struct {
	hal.Device
	rx hal.RxQueue
	tx hal.TxQueue
}

// send transmits one packet and reports whether it was taken.
func (d *station) send(t testing.TB, p []byte) bool {
	t.Helper()
	fs := make([]hal.Frame, d.Info().MaxChain)
	n, err := d.tx.Alloc(fs, len(p))
	if err != nil {
		t.Fatal(err)
	}
	for i, rest := 0, p; i < n; i++ {
		rest = rest[copy(fs[i].Data, rest):]
	}
	sent, err := d.tx.Tx(fs[:n])
	if err != nil {
		t.Fatal(err)
	}
	d.tx.Release(fs[sent:n])
	return n > 0 && sent == n
}

// recv returns all packets that have arrived.
func (d *station) recv(t testing.TB) (ps [][]byte) {
	t.Helper()
	fs := make([]hal.Frame, max(64, d.Info().MaxChain))
	for {
		n, err := d.rx.Rx(fs)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return ps
		}
		for rest := fs[:n]; len(rest) > 0; {
			c := hal.ChainLen(rest)
			var p []byte
			for i := range c {
				p = append(p, rest[i].Data...)
			}
			ps = append(ps, p)
			rest = rest[c:]
		}
		d.rx.Release(fs[:n])
	}
}

// ether makes an Ethernet packet of size bytes.
func ether(dst hal.MAC, size int, fill byte) []byte {
	p := bytes.Repeat([]byte{fill}, size)
	copy(p, dst[:])
	return p
}

func TestHub(t *testing.T) {
	w, err := New(Config{Name: "hub", Frames: 4})
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := join(t, w, Config{}), join(t, w, Config{}), join(t, w, Config{})
	got := func(d *station, want int) {
		t.Helper()
		if n := len(d.recv(t)); n != want {
			t.Errorf("received %d packets, want %d", n, want)
		}
	}
	a.send(t, ether(b.Info().MAC, 60, 1))
	got(a, 0)
	got(b, 1)
	got(c, 0)
	for _, dst := range []hal.MAC{hal.Broadcast, {1, 0, 0x5e, 0, 0, 1}, {2, 9, 9, 9, 9, 9}, a.Info().MAC} {
		a.send(t, ether(dst, 60, 1))
		got(a, 0)
		got(b, 1)
		got(c, 1)
	}
	// b is full: unicast waits, broadcast is lost there only.
	for range 4 {
		if !a.send(t, ether(b.Info().MAC, 60, 1)) {
			t.Fatal("full too early")
		}
	}
	if a.send(t, ether(b.Info().MAC, 60, 1)) {
		t.Error("a full ring took a packet")
	}
	if !a.send(t, ether(hal.Broadcast, 60, 1)) {
		t.Error("a full member stops a broadcast")
	}
	got(b, 4)
	got(c, 1)
	if n := hal.StatsOf(b.Device).Drops["rx-ring-full"]; n != 1 {
		t.Errorf("rx-ring-full is %d, want 1", n)
	}
	b.Close()
	a.send(t, ether(hal.Broadcast, 60, 1))
	got(c, 1)
	c.Close()
	a.send(t, ether(hal.Broadcast, 60, 1))
	if n := hal.StatsOf(a.Device).Drops["tx-no-peer"]; n != 1 {
		t.Errorf("tx-no-peer is %d, want 1", n)
	}
	if _, err := b.rx.Rx(make([]hal.Frame, 8)); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("Rx after Close: %v", err)
	}
}
