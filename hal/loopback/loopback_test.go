package loopback

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func pair(t testing.TB, c Config) (a, b *station) {
	t.Helper()
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return join(t, w, Config{}), join(t, w, Config{})
}

func TestHandOverWithoutCopy(t *testing.T) {
	a, b := pair(t, Config{})
	var out, in [1]hal.Frame
	a.tx.Alloc(out[:], 100)
	a.tx.Tx(out[:])
	if n, _ := b.rx.Rx(in[:]); n != 1 || &in[0].Data[0] != &out[0].Data[0] {
		t.Error("the receiver was lent other memory than the sender wrote to")
	}
	b.rx.Release(in[:])
}

// What the sender made of its frames is made good by copying: a receiver gets
// MaxChain frames at most, and the headers contiguous.
func TestOddChains(t *testing.T) {
	a, b := pair(t, Config{Chunk: 256, NoGSO: true})
	want := make([]byte, 1000)
	for i := range want {
		want[i] = byte(i)
	}
	var fs []hal.Frame
	for i := 0; i < len(want); { // of many small allocations, the first of 5 bytes
		size := min(5+i, len(want)-i)
		var one [1]hal.Frame
		a.tx.Alloc(one[:], min(size, 200))
		i += copy(one[0].Data, want[i:])
		one[0].More = i < len(want)
		fs = append(fs, one[0])
	}
	if n, err := a.tx.Tx(fs); n != len(fs) || err != nil || n <= a.Info().MaxChain {
		t.Fatalf("Tx of %d frames = %d, %v", len(fs), n, err)
	}
	in := make([]hal.Frame, b.Info().MaxChain)
	n, err := b.rx.Rx(in)
	if n != 4 || err != nil || len(in[0].Data) < hal.Contiguous {
		t.Fatalf("Rx = %d, %v", n, err)
	}
	var got []byte
	for _, f := range in[:n] {
		got = append(got, f.Data...)
	}
	if !bytes.Equal(got, want) {
		t.Error("another packet arrived than was sent")
	}
	b.rx.Release(in[:n])
	if a.tx.(*txQueue).loans.left() != defaultFrames {
		t.Error("frames of the sender are lost")
	}
}

func TestTxRefusesSplitChain(t *testing.T) {
	a, _ := pair(t, Config{Chunk: 256})
	fs := make([]hal.Frame, a.Info().MaxChain)
	n, _ := a.tx.Alloc(fs, 600)
	if got, err := a.tx.Tx(fs[:n-1]); got != 0 || err == nil {
		t.Errorf("Tx of a part of a packet = %d, %v", got, err)
	}
	if got, err := a.tx.Tx(fs[:n]); got != n || err != nil {
		t.Errorf("Tx of the whole packet = %d, %v", got, err)
	}
}

func TestDrops(t *testing.T) {
	a, b := pair(t, Config{NoGSO: true})
	meta := func(m hal.Meta) {
		var fs [1]hal.Frame
		a.tx.Alloc(fs[:], 100)
		fs[0].Meta = m
		if n, err := a.tx.Tx(fs[:]); n != 1 || err != nil {
			t.Errorf("Tx with %+v = %d, %v", m, n, err)
		}
	}
	a.send(t, make([]byte, 13))
	meta(hal.Meta{NeedsCsum: true})
	meta(hal.Meta{GSO: 77})
	a.send(t, make([]byte, 60))
	b.Close() // with one packet in its ring
	a.send(t, make([]byte, 60))
	stats := hal.StatsOf(a.Device)
	for reason, want := range map[string]uint64{"tx-runt": 1, "tx-offload": 1, "tx-bad-meta": 1, "tx-no-peer": 1, "tx-too-long": 0} {
		if got, ok := stats.Drops[reason]; got != want || !ok {
			t.Errorf("%s is %d, want %d", reason, got, want)
		}
	}
	if n := hal.StatsOf(b.Device).Drops["rx-closed"]; n != 1 {
		t.Errorf("rx-closed is %d, want 1", n)
	}
}

func TestMisusePanics(t *testing.T) {
	for name, f := range map[string]func(a, b *station, fs []hal.Frame){
		"release twice": func(a, _ *station, fs []hal.Frame) { a.tx.Release(fs); a.tx.Release(fs) },
		"another half":  func(a, b *station, fs []hal.Frame) { b.tx.Tx(fs) },
		"foreign memory": func(a, _ *station, fs []hal.Frame) {
			fs[0].Data = make([]byte, 60)
			a.tx.Tx(fs)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Config{})
			fs := make([]hal.Frame, 1)
			a.tx.Alloc(fs, 60)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f(a, b, fs)
		})
	}
}

func TestFullRingWakesItsSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := New(Config{Frames: 4})
		a, b, c := join(t, w, Config{}), join(t, w, Config{}), join(t, w, Config{})
		p := ether(b.Info().MAC, 60, 1)
		for a.send(t, p) {
		}
		for range 2 { // registers once
			if a.send(t, p) || c.send(t, p) {
				t.Fatal("a full ring takes more")
			}
		}
		s, err := hal.NewSleeper(a, c)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.SetWritable(true)
		s.Wait(time.Time{}) // the first
		done := make(chan error)
		go func() { done <- s.Wait(time.Time{}) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("woken while the ring is full")
		default:
		}
		if n := len(b.recv(t)); n != 4 {
			t.Errorf("%d packets arrived, want 4", n)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !a.send(t, p) || !c.send(t, p) {
			t.Error("an empty ring takes nothing")
		}
		if n := len(b.recv(t)); n != 2 {
			t.Errorf("%d packets arrived, want 2", n)
		}
	})
}

func TestQueuesByFlow(t *testing.T) {
	w, _ := New(Config{})
	a := join(t, w, Config{})
	dev, err := w.Device(Config{Queues: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	var hit [4]int
	fs := make([]hal.Frame, 64)
	for port := range 256 {
		for range 2 {
			p := ether(hal.Broadcast, 60, 0)
			p[12], p[13], p[14], p[23] = 8, 0, 0x45, 17
			p[36], p[37] = 200, byte(port)
			a.send(t, p)
		}
		for i := range hit {
			rx, _, _ := dev.Queue(i)
			n, _ := rx.Rx(fs)
			rx.Release(fs[:n])
			if n == 1 {
				t.Fatal("packets of one flow are on two queues")
			}
			hit[i] += n
		}
	}
	if slices.Min(hit[:]) < 64 { // of 512; even would be 128
		t.Errorf("flows are on the queues like this: %v", hit)
	}
}

func TestFlowHash(t *testing.T) {
	ip4 := ether(hal.Broadcast, 60, 3)
	ip4[12], ip4[13], ip4[14], ip4[20], ip4[21], ip4[23] = 8, 0, 0x45, 0, 0, 6
	ip6 := ether(hal.Broadcast, 80, 3)
	ip6[12], ip6[13], ip6[20] = 0x86, 0xdd, 17
	fragment := slices.Clone(ip4)
	fragment[20] = 0x20
	for _, c := range []struct {
		name string
		p    []byte
		at   int
		same bool
	}{
		{"IPv4 source", ip4, 26, false}, {"IPv4 port", ip4, 37, false}, {"IPv4 identification", ip4, 18, true},
		{"IPv4 payload", ip4, 50, true}, {"port of a fragment", fragment, 37, true},
		{"IPv6 destination", ip6, 53, false}, {"IPv6 port", ip6, 57, false}, {"IPv6 hop limit", ip6, 21, true},
	} {
		q := slices.Clone(c.p)
		q[c.at] ^= 0x55
		if same := flowHash(q) == flowHash(c.p); same != c.same {
			t.Errorf("%s: the flow is the same: %v, want %v", c.name, same, c.same)
		}
	}
	for n := range len(ip6) { // cut anywhere: no panic
		flowHash(ip6[:n])
		flowHash(ip4[:min(n, len(ip4))])
	}
}

func TestOpen(t *testing.T) {
	open := func(spec string) hal.Device {
		t.Helper()
		d, err := hal.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	a, b := open("loopback:lan?mtu=9000"), open("loopback:lan?queues=3&mac=02:00:00:00:00:09&frames=8")
	if i := b.Info(); i.MTU != 9000 || i.Queues != 3 || i.Loans != 8 || i.MAC != (hal.MAC{2, 0, 0, 0, 0, 9}) || i.Name != "lan" {
		t.Errorf("Info is %+v", i)
	}
	if i := a.Info(); i.GSOMax != 65550 || i.TxOffloads != hal.Csum|hal.TSO4|hal.TSO6|hal.USO || i.Queues != 1 || i.Mode != "wire of 2" {
		t.Errorf("Info is %+v", i)
	}
	for spec, want := range map[string]string{
		"loopback:lan?mtu=1500":              "mtu=9000, not 1500",
		"loopback:lan?gso=off":               "gso=on, not off",
		"loopback:lan?chunk=512":             "chunk=0, not 512",
		"loopback:lan?mac=02:00:00:00:00:09": "address 02:00:00:00:00:09 already",
		"loopback:x?mac=ff:00:00:00:00:09":   "unicast",
		"loopback:x?mtu=67":                  "68 to 65521",
		"loopback:x?frames=4&chunk=256":      "Frames must be at least",
		"loopback:?queues=17":                "1 to 16",
	} {
		if d, err := hal.Open(spec); err == nil || !strings.Contains(err.Error(), want) {
			if err == nil {
				d.Close()
			}
			t.Errorf("%s: %v, want an error that says %q", spec, err, want)
		}
	}
	off := open("loopback:off?gso=off")
	if _, err := hal.Open("loopback:off?gso=on"); err == nil {
		t.Error("gso=on joins a wire without")
	}
	if i := off.Info(); i.GSOMax != 0 || i.TxOffloads != 0 || i.RxOffloads != 0 {
		t.Errorf("Info with gso=off is %+v", i)
	}
	// The name is free again after the last device has gone.
	a.Close()
	if _, err := hal.Open("loopback:lan?mtu=1500"); err == nil {
		t.Error("the wire has gone with its first device")
	}
	b.Close()
	if i := open("loopback:lan").Info(); i.MTU != 1500 {
		t.Errorf("the wire outlives its last device: %+v", i)
	}
}

func TestReflect(t *testing.T) {
	d, err := hal.Open("loopback:")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	other, _ := hal.Open("loopback:")
	defer other.Close()
	rx, tx, _ := d.Queue(0)
	s := &station{Device: d, rx: rx, tx: tx}
	for _, dst := range []hal.MAC{d.Info().MAC, hal.Broadcast, {2, 1, 1, 1, 1, 1}} {
		s.send(t, ether(dst, 77, 5))
		if got := s.recv(t); len(got) != 1 || !bytes.Equal(got[0], ether(dst, 77, 5)) {
			t.Errorf("to %v: %d packets came back", dst, len(got))
		}
	}
	if i := d.Info(); i.Mode != "reflect" {
		t.Errorf("mode is %q", i.Mode)
	}
}

func TestAddresses(t *testing.T) {
	macs := func(name string) (m []hal.MAC) {
		w, _ := New(Config{Name: name})
		for range 3 {
			m = append(m, join(t, w, Config{}).Info().MAC)
		}
		return m
	}
	a, b, c := macs("a"), macs("a"), macs("c")
	if !slices.Equal(a, b) {
		t.Errorf("the same wire has %v and %v", a, b)
	}
	all := append(a, c...)
	slices.SortFunc(all, func(x, y hal.MAC) int { return bytes.Compare(x[:], y[:]) })
	if len(slices.Compact(all)) != 6 || all[0][0] != 2 {
		t.Errorf("addresses are not different: %v", all)
	}
}
