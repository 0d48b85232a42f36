package stack

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forEachSettler runs a test with inline processing and with the barrier: both
// have to stand the same tests.
func forEachSettler(t *testing.T, f func(t *testing.T, cfg Config)) {
	t.Run("inline", func(t *testing.T) { f(t, Config{}) })
	t.Run("barrier", func(t *testing.T) { f(t, Config{Barrier: true}) })
}

// pair returns two hosts on a wire, 10.0.0.1 and fd00::1, 10.0.0.2 and fd00::2.
func pair(t *testing.T, cfg Config, wire loopback.Config) (a, b *Host) {
	t.Helper()
	da, db, err := loopback.Pair(wire)
	if err != nil {
		t.Fatal(err)
	}
	return host(t, cfg, "a", da, "10.0.0.1/24", "fd00::1/64"), host(t, cfg, "b", db, "10.0.0.2/24", "fd00::2/64")
}

func host(t *testing.T, cfg Config, name string, dev hal.Device, addrs ...string) *Host {
	t.Helper()
	cfg.Name = name
	i := Interface{Device: dev}
	for _, a := range addrs {
		i.Addrs = append(i.Addrs, netip.MustParsePrefix(a))
	}
	cfg.Interfaces = append(cfg.Interfaces, i)
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[bool]string{false: "inline", true: "barrier"}[cfg.Barrier]; !cfg.Foreign && h.Stats().Settle != want {
		t.Fatalf("TCP is processed by the %s, not %s", h.Stats().Settle, want)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("closing host %s: %v", name, err)
		}
	})
	return h
}

// patience is how long a test waits before it gives up: a guard, not a measure.
const patience = 20 * time.Second

// call submits an op and waits until it is done. The op is freed with the test.
func call(t *testing.T, h *Host, r api.Request) api.Result {
	t.Helper()
	return await(t, h, submit(h, r))
}

// flight is an op under way.
type flight struct {
	ticket api.Ticket
	done   chan api.Result
}

func submit(h *Host, r api.Request) flight {
	op := api.NewOp()
	op.Request = r
	f := flight{op.Ticket(), make(chan api.Result, 1)}
	op.Done = func(op *api.Op) { f.done <- op.Result }
	h.Submit(op)
	return f
}

func await(t *testing.T, h *Host, f flight) api.Result {
	t.Helper()
	select {
	case r := <-f.done:
		return r
	case <-time.After(patience):
		t.Fatalf("an op on host %s does not end: %+v", h.Name(), h.Stats())
	}
	panic("unreachable")
}

// ok is call for what must succeed.
func ok(t *testing.T, h *Host, r api.Request) api.Result {
	t.Helper()
	res := call(t, h, r)
	if res.Err != nil {
		t.Fatalf("%v on host %s: %v", r.Kind, h.Name(), res.Err)
	}
	return res
}

func socketOf(t *testing.T, h *Host, n api.Network) api.Socket {
	t.Helper()
	return ok(t, h, api.Request{Kind: api.KindSocket, Network: n}).NewSock
}

func listen(t *testing.T, h *Host, n api.Network, at string) api.Socket {
	t.Helper()
	s := socketOf(t, h, n)
	ok(t, h, api.Request{Kind: api.KindBind, Sock: s, Addr: netip.MustParseAddrPort(at)})
	if n.Stream() {
		ok(t, h, api.Request{Kind: api.KindListen, Sock: s, Backlog: 128})
	}
	return s
}

// join connects a to a listener of b and returns both ends.
func join(t *testing.T, a, b *Host, n api.Network, at string) (atA, atB api.Socket) {
	t.Helper()
	l := listen(t, b, n, at)
	accept := submit(b, api.Request{Kind: api.KindAccept, Sock: l})
	s := socketOf(t, a, n)
	ok(t, a, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.MustParseAddrPort(at)})
	r := await(t, b, accept)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return s, r.NewSock
}

func ready(t *testing.T, hosts ...*Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, h := range hosts {
		if err := h.Ready(ctx); err != nil {
			t.Fatalf("host %s: %v", h.Name(), err)
		}
	}
}
