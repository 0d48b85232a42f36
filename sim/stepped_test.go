package sim

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// stepped is a transfer by one goroutine, which waits for the completions of both
// hosts.
func stepped(t *testing.T, seed uint64, size int) *World {
	t.Helper()
	w := New(seed)
	a, b := w.Host("a"), w.Host("b")
	b.Cable(0).Set(bad)
	la, lb := a.LibOS(), b.LibOS()
	listen := must1(lb.Socket(api.TCP))
	must(lb.Bind(listen, netip.MustParseAddrPort("0.0.0.0:7")))
	must(lb.Listen(listen, 8))
	accept := must1(lb.Accept(listen))
	qd := must1(la.Socket(api.TCP))
	connect := must1(la.Connect(qd, netip.AddrPortFrom(b.Addr(), 7)))
	if c := must1(la.Wait(context.Background(), connect)); c.Err != nil {
		t.Fatal(c.Err)
	}
	conn := must1(lb.Wait(context.Background(), accept)).New
	push := must1(la.Push(qd, api.SGAOf(pattern(size))))
	for got := 0; got < size; {
		c := must1(lb.Wait(context.Background(), must1(lb.Pop(conn))))
		if c.Err != nil || c.EOF {
			t.Fatalf("after %d bytes: %+v", got, c)
		}
		for _, s := range c.SGA.Segs {
			got += len(s)
		}
		c.SGA.Free()
	}
	if c := must1(la.Wait(context.Background(), push)); c.Err != nil {
		t.Error(c.Err)
	}
	must(la.Close(qd))
	w.RunFor(time.Minute)
	return w
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}

// A stepped world needs no bubble and no goroutines, and is as repeatable.
func TestStepped(t *testing.T) {
	identity := func(seed uint64) string {
		w := stepped(t, seed, 300_000)
		defer w.Close()
		return w.Identity()
	}
	want := identity(5)
	for range 3 {
		if got := identity(5); got != want {
			t.Errorf("the same seed gives %s and %s", want, got)
		}
	}
	if identity(6) == want {
		t.Error("another seed gives the same bytes")
	}
}

// Time passes as it is told to.
func TestSteps(t *testing.T) {
	w := New(1)
	defer w.Close()
	a := w.Host("a")
	var at []time.Duration
	for _, d := range []time.Duration{time.Hour, time.Second, 3 * time.Second} {
		w.At(d, func() { at = append(at, w.Now().Sub(beginning)) })
	}
	w.RunFor(2 * time.Second)
	if len(at) != 1 || at[0] != time.Second || w.Now().Sub(beginning) != 2*time.Second {
		t.Errorf("after 2 s of steps it is %v, and %v have happened", w.Now(), at)
	}
	if !w.RunUntil(func() bool { return len(at) == 3 }) || w.Now().Sub(beginning) != time.Hour {
		t.Errorf("until all has happened: %v, at %v", w.Now(), at)
	}
	if err := a.Ready(context.Background()); err != nil {
		t.Error(err)
	}
	for w.Step() {
	}
	if w.RunUntil(func() bool { return false }) {
		t.Error("RunUntil says that something holds that never does")
	}
}

// Who waits for what can never come is told so.
func TestDeadlock(t *testing.T) {
	w := New(1)
	defer w.Close()
	lib := w.Host("a").LibOS()
	qd := must1(lib.Socket(api.UDP))
	must(lib.Bind(qd, netip.MustParseAddrPort("0.0.0.0:9")))
	if _, err := lib.Wait(context.Background(), must1(lib.Pop(qd))); !errors.Is(err, api.ErrDeadlock) {
		t.Errorf("Wait: %v", err)
	}
	ln := must1(w.hosts[0].Net().Listen("tcp", ":1"))
	if _, err := ln.Accept(); !errors.Is(err, api.ErrDeadlock) {
		t.Errorf("Accept: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.hosts[0].Net().DialContext(ctx, "tcp", "10.0.9.9:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v", err)
	}
}

// The ways of the two kinds of worlds are not to be mixed up.
func TestNotStepped(t *testing.T) {
	Test(t, func(w *World) {
		defer func() {
			if recover() == nil {
				w.T.Error("RunFor in a test does not panic")
			}
		}()
		w.RunFor(time.Second)
	})
}

func TestStepped6(t *testing.T) {
	w := New(1)
	defer w.Close()
	h := w.NewHost("a", HostConfig{Ports: []Port{{Addrs: []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}}}})
	if err := h.Ready(context.Background()); err != nil {
		t.Error(err)
	}
	if d := w.Now().Sub(beginning); d < time.Second || d > 10*time.Second {
		t.Errorf("the check for duplicates took %v", d)
	}
}
