package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/stack"
)

// echo answers datagrams on port 7.
func echo(w *World, h *Host) {
	c, err := h.Net().ListenPacket("udp", ":7")
	if err != nil {
		w.T.Fatal(err)
	}
	go func() {
		p := make([]byte, 9000)
		for {
			n, from, err := c.ReadFrom(p)
			if err != nil {
				return
			}
			c.WriteTo(p[:n], from)
		}
	}()
}

// A prober asks an echo.
type prober struct {
	w *World
	c net.Conn
}

func probe(w *World, from *Host, to string) prober {
	c, err := from.Net().Dial("udp", to)
	if err != nil {
		w.T.Fatal(err)
	}
	return prober{w, c}
}

// ask returns how long the answer took, or 0 if there was none within a second.
func (p prober) ask(size int) time.Duration {
	p.w.T.Helper()
	begin := time.Now()
	buf := make([]byte, 9000)
	if _, err := p.c.Write(pattern(size)); err != nil {
		p.w.T.Error(err)
	}
	p.c.SetReadDeadline(begin.Add(time.Second))
	if n, err := p.c.Read(buf); err == nil && n == size {
		return time.Since(begin)
	} else if err == nil {
		p.w.T.Errorf("%d bytes came back, not %d", n, size)
	}
	return 0
}

func delay(d time.Duration) Link { return Link{Faults: wrap.Faults{Delay: d}} }

// A frame takes as long as the cables on its way do, to the nanosecond.
func TestDelay(t *testing.T) {
	Test(t, func(w *World) {
		far := w.Switch("far")
		trunk := w.switches[0].Trunk(far, delay(10*time.Millisecond))
		a := w.NewHost("a", HostConfig{Ports: []Port{{Link: delay(time.Millisecond)}}})
		addr := netip.MustParsePrefix("10.0.0.9/16") // of the first switch's network
		b := w.NewHost("b", HostConfig{Ports: []Port{{Net: far, Addrs: []netip.Prefix{addr}, Link: delay(100 * time.Millisecond)}}})
		echo(w, b)
		p := probe(w, a, "b:7")
		p.ask(1) // resolves the addresses
		if d := p.ask(1); d != 222*time.Millisecond {
			w.T.Errorf("a round trip over cables of 1, 10 and 100 ms took %v", d)
		}
		b.Cable(0).SetDown(delay(200 * time.Millisecond))
		trunk.SetUp(delay(20 * time.Millisecond))
		if d := p.ask(1); d != 332*time.Millisecond {
			w.T.Errorf("with 20 and 200 ms in one direction it took %v", d)
		}
		a.Cable(0).Set(Link{Faults: wrap.Faults{Delay: time.Millisecond, Rate: 8_000_000, Dir: wrap.Tx}})
		if d := p.ask(958); d != 333*time.Millisecond { // 1000 bytes with their headers
			w.T.Errorf("of 1000 bytes at 8 Mbit/s in one direction it took %v", d)
		}
	})
}

// What a link loses is lost in that direction, counted by its reason.
func TestLosses(t *testing.T) {
	for _, c := range []struct {
		reason string
		size   int
		set    func(w *World, a, b *Host) (undo func())
	}{
		{"drop", 1, func(w *World, a, b *Host) func() {
			b.Cable(0).SetUp(Link{Faults: wrap.Faults{Drop: 1}})
			return func() { b.Cable(0).SetUp(Link{}) }
		}},
		{"cut", 1, func(w *World, a, b *Host) func() { a.Cable(0).Cut(); return a.Cable(0).Mend }},
		{"rule", 1, func(w *World, a, b *Host) func() {
			return b.Cable(0).Add(func(p []byte, dir wrap.Dir, now time.Time, rnd *rand.Rand) wrap.Verdict {
				if dir == wrap.Rx {
					return wrap.Drop
				}
				return wrap.Pass
			})
		}},
		{"partition", 1, func(w *World, a, b *Host) func() { return w.Partition(a) }},
		{"partition", 1, func(w *World, a, b *Host) func() { return w.Block(b, a) }},
		{"partition", 1, func(w *World, a, b *Host) func() { w.Block(b, a); w.Partition(a); return w.Heal }},
		{"mtu", 1400, func(w *World, a, b *Host) func() {
			b.Cable(0).SetDown(Link{MTU: 1000})
			return func() { b.Cable(0).SetDown(Link{}) }
		}},
		{"queue", 1400, func(w *World, a, b *Host) func() {
			a.Cable(0).SetUp(Link{Faults: wrap.Faults{Rate: 100_000, Queue: 1}})
			probe(w, a, "b:7").c.Write(pattern(1400)) // is in the queue
			return func() { a.Cable(0).SetUp(Link{}) }
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			Test(t, func(w *World) {
				a, b := w.Host("a"), w.Host("b")
				third := w.Host("third")
				echo(w, b)
				p := probe(w, a, "b:7")
				if p.ask(c.size) == 0 {
					w.T.Fatal("no answer on a good link")
				}
				before := w.Stats().Lost[c.reason]
				undo := c.set(w, a, b)
				if d := p.ask(c.size); d != 0 {
					w.T.Errorf("an answer, after %v", d)
				}
				if w.Stats().Lost[c.reason] == before {
					w.T.Errorf("lost: %v", w.Stats().Lost)
				}
				undo()
				if p.ask(c.size) == 0 || probe(w, third, "b:7").ask(1) == 0 {
					w.T.Error("no answer afterwards")
				}
			})
		})
	}
}

// A rule may deliver; an action happens when it was planned; the name of a host is
// that of its address.
func TestRuleAndAction(t *testing.T) {
	Test(t, func(w *World) {
		a, b := w.Host("a"), w.Host("b")
		echo(w, b)
		p := probe(w, a, "b:7")
		p.ask(1)
		remove := a.Cable(0).Add(func([]byte, wrap.Dir, time.Time, *rand.Rand) wrap.Verdict { return wrap.Deliver(0) })
		if d := p.ask(1); d < time.Millisecond || d > time.Millisecond+2 {
			w.T.Errorf("over one cable that takes no time, and one of 500 µs, it took %v", d)
		}
		remove()
		begin := time.Now()
		done := make(chan time.Duration)
		w.At(time.Hour, func() {
			b.Cable(0).Set(delay(time.Second / 10))
			done <- time.Since(begin)
		})
		if d := <-done; d != time.Hour {
			w.T.Errorf("an action of in an hour came after %v", d)
		}
		if d := p.ask(1); d != 201*time.Millisecond {
			w.T.Errorf("afterwards it took %v", d)
		}
		if !strings.HasPrefix(p.c.RemoteAddr().String(), b.Addr().String()) {
			w.T.Errorf("b is %v, not %v", p.c.RemoteAddr(), b.Addr())
		}
	})
}

// Duplicates arrive twice, flipped bits are caught by a checksum.
func TestDamage(t *testing.T) {
	Test(t, func(w *World) {
		a, b := w.Host("a"), w.Host("b")
		c, err := b.Net().ListenPacket("udp", ":7")
		if err != nil {
			w.T.Fatal(err)
		}
		p := probe(w, a, "b:7")
		p.ask(1)
		count := func() (n int) {
			for buf := make([]byte, 100); ; n++ {
				c.SetReadDeadline(time.Now().Add(time.Second))
				if _, _, err := c.ReadFrom(buf); err != nil {
					return n
				}
			}
		}
		count()
		a.Cable(0).SetUp(Link{Faults: wrap.Faults{Dup: 1}})
		p.c.Write([]byte("x"))
		if n := count(); n != 2 {
			w.T.Errorf("%d arrived of one that is doubled", n)
		}
		a.Cable(0).SetUp(Link{Faults: wrap.Faults{Corrupt: 1}})
		for range 20 {
			p.c.Write([]byte("x"))
		}
		if n := count(); n != 0 {
			w.T.Errorf("%d arrived of 20 that were damaged", n)
		}
	})
}

// More than a host's ring holds arrives at one moment.
func TestRing(t *testing.T) {
	Test(t, func(w *World) {
		a, b := w.Host("a"), w.Host("b")
		echo(w, b)
		p := probe(w, a, "b:7")
		p.ask(1)
		for range 10 * ringFrames {
			p.c.Write([]byte("x"))
		}
		answers := 0
		for buf := make([]byte, 10); ; answers++ {
			p.c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := p.c.Read(buf); err != nil {
				break
			}
		}
		if answers != 10*ringFrames {
			w.T.Errorf("%d of %d came back over good links; lost: %v", answers, 10*ringFrames, w.Stats().Lost)
		}
	})
}

// A host's clock may be wrong, and run fast: its protocols go by it.
func TestClocks(t *testing.T) {
	Test(t, func(w *World) {
		a := w.Host("a")
		b := w.NewHost("b", HostConfig{Skew: -time.Hour, Drift: 1000})
		time.Sleep(1000 * time.Second)
		if d := b.Now().Sub(a.Now()); d != time.Second-time.Hour {
			w.T.Errorf("after 1000 s the clocks are %v apart", d)
		}
		// A deadline on the host's clock comes that much sooner.
		c, err := b.Net().ListenPacket("udp", ":9")
		if err != nil {
			w.T.Fatal(err)
		}
		c.SetReadDeadline(b.Now().Add(1001 * time.Second))
		begin := time.Now()
		c.ReadFrom(make([]byte, 1))
		if d := time.Since(begin); d != 1000*time.Second {
			w.T.Errorf("1001 s by a clock that gains a thousandth took %v", d)
		}
		web(w, b)
		ask(w, client(a), "http://b/", 1000)
	})
	for _, drift := range []int64{-500_000, -3, 0, 7, 1_000_000} {
		h := &Host{w: newWorld(1), cfg: HostConfig{Drift: drift, Skew: time.Minute}}
		for _, ns := range []int64{0, 1, 999_999, 1_000_001, 1 << 50} {
			at := h.worldTime(h.w.at(ns))
			if h.hostTime(at).Before(h.w.at(ns)) || !h.hostTime(at-2).Before(h.w.at(ns)) {
				t.Errorf("drift %d: the clock shows %v at %d, and %v two ns before, want %v", drift, h.hostTime(at), at, h.hostTime(at-2), h.w.at(ns))
			}
		}
	}
}

// A host without a route says so, a host that is down does not, and who crashes
// loses everything.
func TestCrash(t *testing.T) {
	Test(t, func(w *World) {
		a, b := w.Host("a"), w.NewHost("b", HostConfig{Stack: stack.Config{Limits: stack.Limits{Conns: 10}}})
		ln, err := b.Net().Listen("tcp", ":7")
		if err != nil {
			w.T.Fatal(err)
		}
		c, err := a.Net().Dial("tcp", "b:7")
		if err != nil {
			w.T.Fatal(err)
		}
		time.AfterFunc(time.Second, b.Crash)
		ln.Accept()
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			w.T.Errorf("Accept of a host that crashes: %v", err)
		}
		if _, err := b.Net().Dial("tcp", "a:7"); !errors.Is(err, net.ErrClosed) {
			w.T.Errorf("Dial on a host that is down: %v", err)
		}
		b.Restart()
		if _, err := c.Write([]byte("x")); err != nil {
			w.T.Errorf("Write to a host that knows nothing of the connection any more: %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			w.T.Errorf("Read afterwards: %v", err)
		}
		if _, err := a.Net().Dial("tcp", "b:7"); !errors.Is(err, syscall.ECONNREFUSED) {
			w.T.Errorf("Dial of a port that nobody listens on any more: %v", err)
		}
	})
}

// What cannot be is refused, with words.
func TestRefused(t *testing.T) {
	refused := func(want string, f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("panic %v, want %q", err, want)
			}
		}()
		f()
	}
	w := New(1)
	defer w.Close()
	a := w.Host("a")
	refused("cannot have arrived before", func() { a.Cable(0).Set(delay(-1)) })
	refused("at least 68", func() { a.Cable(0).Set(Link{MTU: 10}) })
	refused("a host \"a\" already", func() { w.Host("a") })
	refused("the address of host \"a\" already", func() {
		w.NewHost("b", HostConfig{Ports: []Port{{Addrs: []netip.Prefix{netip.PrefixFrom(a.Addr(), 16)}}}})
	})
	left, right := w.Switch("left"), w.Switch("right")
	left.Trunk(right, Link{})
	left.Trunk(w.switches[0], Link{})
	refused("a loop", func() { right.Trunk(w.switches[0], Link{}) })
	refused("not an address of a host", func() {
		w.NewHost("b", HostConfig{Ports: []Port{{Addrs: []netip.Prefix{netip.MustParsePrefix("224.0.0.1/8")}}}})
	})
}

// A host forwards if it was told to, in both families, and not otherwise.
func TestForward(t *testing.T) {
	for _, c := range []struct {
		forward             bool
		router, left, right string
		all                 string
	}{
		{true, "10.%d.0.1/16", "10.1.0.2/16", "10.2.0.2/16", "0.0.0.0/0"},
		{true, "fd00:%d::1/64", "fd00:1::2/64", "fd00:2::2/64", "::/0"},
		{false, "10.%d.0.1/16", "10.1.0.2/16", "10.2.0.2/16", "0.0.0.0/0"},
		{false, "fd00:%d::1/64", "fd00:1::2/64", "fd00:2::2/64", "::/0"},
	} {
		Test(t, func(w *World) {
			left, right := w.Switch("left"), w.Switch("right")
			port := func(s *Switch, addr string) Port {
				return Port{Net: s, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
			}
			gateway := func(n int) string { return fmt.Sprintf(c.router, n) }
			end := func(name string, s *Switch, addr string, n int) *Host {
				via := netip.MustParsePrefix(gateway(n)).Addr()
				return w.NewHost(name, HostConfig{Ports: []Port{port(s, addr)}, Stack: stack.Config{
					Routes: []stack.Route{{To: netip.MustParsePrefix(c.all), Via: via}},
				}})
			}
			r := w.NewHost("router", HostConfig{Ports: []Port{port(left, gateway(1)), port(right, gateway(2))}, Stack: stack.Config{Forward: c.forward}})
			a, b := end("a", left, c.left, 1), end("b", right, c.right, 2)
			for _, h := range []*Host{r, a, b} {
				must(h.Ready(w.T.Context()))
			}
			echo(w, b)
			p := probe(w, a, "b:7")
			p.ask(1)
			if d := p.ask(1); (d == 4*time.Millisecond) != c.forward {
				w.T.Errorf("forward %v: over a router to %v it took %v", c.forward, b.Addr(), d)
			}
		})
	}
}
