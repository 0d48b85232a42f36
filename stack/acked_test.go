package stack

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// joinAcked is join with both ends' pushes complete when they are acknowledged:
// a's because it says so, b's because the listener does.
func joinAcked(t *testing.T, a, b *Host, at string) (atA, atB api.Socket) {
	t.Helper()
	addr := netip.MustParseAddrPort(at)
	l, s := socketOf(t, b, api.TCP), socketOf(t, a, api.TCP)
	ok(t, a, api.Request{Kind: api.KindOption, Sock: s, Opt: api.Acked})
	ok(t, b, api.Request{Kind: api.KindOption, Sock: l, Opt: api.Acked})
	ok(t, b, api.Request{Kind: api.KindBind, Sock: l, Addr: addr})
	ok(t, b, api.Request{Kind: api.KindListen, Sock: l, Backlog: 8})
	accept := submit(b, api.Request{Kind: api.KindAccept, Sock: l})
	ok(t, a, api.Request{Kind: api.KindConnect, Sock: s, Addr: addr})
	r := await(t, b, accept)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	for _, x := range []struct {
		*Host
		api.Socket
	}{{a, s}, {b, r.NewSock}, {b, l}} {
		if r := call(t, x.Host, api.Request{Kind: api.KindOption, Sock: x.Socket, Opt: api.Accepted}); !errors.Is(r.Err, syscall.EISCONN) {
			t.Errorf("setting it too late: %v", r.Err)
		}
		if got := x.Socket.(*socket).completion(); got != api.Acked {
			t.Errorf("pushes are complete when %v", got)
		}
	}
	return s, r.NewSock
}

func stillWaits(t *testing.T, f flight) {
	t.Helper()
	select {
	case r := <-f.done:
		t.Errorf("complete without an acknowledgement: %+v", r)
	default:
	}
}

func write(h *Host, s api.Socket, p []byte) flight {
	return submit(h, api.Request{Kind: api.KindWrite, Sock: s, Bufs: [][]byte{p}})
}

func TestAckedTransfer(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		cfg.Acked = true
		a, b := pair(t, cfg, loopback.Config{})
		ready(t, a, b)
		for _, at := range []string{"10.0.0.2:7", "[fd00::2]:8"} {
			sa, sb := joinAcked(t, a, b, at)
			transfer(t, a, b, sa, sb, 5<<20, 1)
			transfer(t, b, a, sb, sa, 5<<20, 2)
			empty := write(a, sa, nil)
			if r := await(t, a, empty); r.Err != nil {
				t.Errorf("an empty write: %v", r.Err)
			}
			ok(t, a, api.Request{Kind: api.KindClose, Sock: sa})
			ok(t, b, api.Request{Kind: api.KindClose, Sock: sb})
		}
		if n := len(a.acks.flows) + len(b.acks.flows); n != 0 {
			t.Errorf("%d flows are left", n)
		}
	})
}

// A host's own loopback interface has acknowledgements as well.
func TestAckedToItself(t *testing.T) {
	h, err := New(Config{Acked: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	sa, sb := joinAcked(t, h, h, "127.0.0.1:7")
	transfer(t, h, h, sa, sb, 1<<20, 3)
}

// Without an acknowledgement a push waits, until somebody cancels it, its
// connection fails, or its socket is closed; and pushes complete in order.
func TestAckedWaits(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		cfg.Acked = true
		a, b := pair(t, cfg, loopback.Config{})
		ready(t, a, b)
		sa, _ := joinAcked(t, a, b, "10.0.0.2:7")
		b.turn.Lock() // b is deaf and dumb
		first, second, third := write(a, sa, make([]byte, 10)), write(a, sa, make([]byte, 20)), write(a, sa, nil)
		ok(t, a, api.Request{Kind: api.KindShutdown, Sock: sa, How: api.ShutWrite})
		late := write(a, sa, make([]byte, 5)) // fails at once, and has to wait for its turn
		for _, f := range []flight{first, second, third, late} {
			stillWaits(t, f)
		}
		a.Cancel(second.ticket, syscall.ECANCELED)
		if r := await(t, a, second); !errors.Is(r.Err, syscall.ECANCELED) || r.N != 20 {
			t.Errorf("cancelled: %+v", r)
		}
		b.turn.Unlock()
		b.Turn()
		if r := await(t, a, first); r.Err != nil || r.N != 10 {
			t.Errorf("acknowledged: %+v", r)
		}
		if r := await(t, a, third); r.Err != nil || r.N != 0 {
			t.Errorf("empty: %+v", r)
		}
		if r := await(t, a, late); r.Err == nil {
			t.Errorf("after the shutdown: %+v", r)
		}

		sa, sb := joinAcked(t, a, b, "10.0.0.2:8")
		b.turn.Lock()
		first, second = write(a, sa, make([]byte, 10)), write(a, sa, make([]byte, 4<<20))
		sb.(*socket).ep.Abort()
		b.settle.Settle()
		b.flush()
		for i, f := range []flight{first, second} {
			if r := await(t, a, f); !errors.Is(r.Err, syscall.ECONNRESET) || r.N < 10 {
				t.Errorf("%d, of a connection that was reset: %+v", i, r)
			}
		}
		b.turn.Unlock()

		sa, _ = joinAcked(t, a, b, "10.0.0.2:9")
		b.turn.Lock()
		first = write(a, sa, make([]byte, 10))
		stillWaits(t, first)
		ok(t, a, api.Request{Kind: api.KindClose, Sock: sa})
		if r := await(t, a, first); !errors.Is(r.Err, net.ErrClosed) || r.N != 10 {
			t.Errorf("closed: %+v", r)
		}
		b.turn.Unlock()
	})
}

func TestAckedNeedsTheHost(t *testing.T) {
	for _, cfg := range []Config{{}, {Acked: true, Foreign: true}} {
		h, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s := socketOf(t, h, api.TCP)
		if r := call(t, h, api.Request{Kind: api.KindOption, Sock: s, Opt: api.Acked}); !errors.Is(r.Err, syscall.ENOPROTOOPT) {
			t.Errorf("%+v: %v", cfg, r.Err)
		}
		h.Close()
	}
}

// However many writes wait for acknowledgements, one that covers all of them, or a
// close, ends each at the cost of one. Nothing is written to the connection: so
// many segments would only take time.
func TestAckedMany(t *testing.T) {
	const count = 120_000
	a, b := pair(t, Config{Acked: true}, loopback.Config{})
	for at, acknowledged := range map[string]bool{"10.0.0.2:7": true, "10.0.0.2:8": false} {
		sa, _ := joinAcked(t, a, b, at)
		s := sa.(*socket)
		var failed, done int
		a.turn.Lock()
		for range count {
			op := api.NewOp()
			op.Kind, op.Sock = api.KindWrite, s
			op.Done = func(op *api.Op) {
				done++
				if op.Err != nil {
					failed++
				}
			}
			s.took(1)
			s.written(op)
		}
		a.turn.Unlock()
		soon(t, at, func() {
			if acknowledged {
				a.acks.probe(&tcp.TCPEndpointState{ID: s.ledger.id})
				a.Turn() // or somebody else's
				eventually(t, func() bool {
					a.turn.Lock()
					defer a.turn.Unlock()
					return done > 0
				})
			}
			ok(t, a, api.Request{Kind: api.KindClose, Sock: s})
		})
		if want := map[bool]int{false: count}[acknowledged]; done != count || failed != want {
			t.Errorf("acknowledged: %v: of %d writes %d are done, %d have failed", acknowledged, count, done, failed)
		}
	}
}
