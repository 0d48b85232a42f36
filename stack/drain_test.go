package stack

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// draining starts a Drain, and returns once it has begun.
func draining(t *testing.T, ctx context.Context, h *Host) <-chan error {
	t.Helper()
	before := h.waiters()
	done := make(chan error, 1)
	go func() { done <- h.Drain(ctx) }()
	waitUntil(t, "a drain", func() bool { return len(done) > 0 || h.waiters() > before })
	return done
}

func (h *Host) waiters() int {
	h.turn.Lock()
	defer h.turn.Unlock()
	return len(h.drain.waiting)
}

func undrained(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("drained before its time: %v", err)
	default:
	}
}

func closeSocket(t *testing.T, h *Host, s api.Socket) {
	t.Helper()
	ok(t, h, api.Request{Kind: api.KindClose, Sock: s})
}

// readAll reads to the end of the stream.
func readAll(t *testing.T, h *Host, s api.Socket) []byte {
	t.Helper()
	var got []byte
	for buf := make([]byte, 64<<10); ; {
		r := ok(t, h, api.Request{Kind: api.KindRead, Sock: s, Bufs: [][]byte{buf}})
		if r.EOF {
			return got
		}
		got = append(got, buf[:r.N]...)
	}
}

// Listeners end, for good; what is no connection is nothing to wait for.
func TestDrainClosesListeners(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		a, b := pair(t, cfg, loopback.Config{})
		l := listen(t, b, api.TCP4, "10.0.0.2:80")
		listen(t, b, api.UDP4, "10.0.0.2:53")
		unlistened := socketOf(t, b, api.TCP4)
		queued := socketOf(t, a, api.TCP4)
		ok(t, a, api.Request{Kind: api.KindConnect, Sock: queued, Addr: netip.MustParseAddrPort("10.0.0.2:80")})
		accepted := await(t, b, submit(b, api.Request{Kind: api.KindAccept, Sock: l})).NewSock
		queued2 := socketOf(t, a, api.TCP4)
		ok(t, a, api.Request{Kind: api.KindConnect, Sock: queued2, Addr: netip.MustParseAddrPort("10.0.0.2:80")})
		closeSocket(t, a, queued)
		readAll(t, b, accepted)
		closeSocket(t, b, accepted)

		if err := b.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for what, r := range map[string]api.Request{
			"accept":            {Kind: api.KindAccept, Sock: l},
			"close":             {Kind: api.KindClose, Sock: l},
			"listen":            {Kind: api.KindListen, Sock: unlistened, Backlog: 1},
			"listen once more":  {Kind: api.KindListen, Sock: unlistened, Backlog: 1},
			"accept of the new": {Kind: api.KindAccept, Sock: l},
		} {
			if r := call(t, b, r); r.Err != net.ErrClosed {
				t.Errorf("%s after a drain: %v", what, r.Err)
			}
		}
		// The one that nobody had accepted is reset, and no other gets in.
		if r := call(t, a, api.Request{Kind: api.KindRead, Sock: queued2, Bufs: [][]byte{{0}}}); !errors.Is(r.Err, syscall.ECONNRESET) {
			t.Errorf("a connection that waited to be accepted: %+v", r)
		}
		if r := call(t, a, api.Request{Kind: api.KindConnect, Sock: socketOf(t, a, api.TCP4), Addr: netip.MustParseAddrPort("10.0.0.2:80")}); !errors.Is(r.Err, syscall.ECONNREFUSED) {
			t.Errorf("connecting to a drained host: %v", r.Err)
		}
	})
}

// A pending accept ends with the listener.
func TestDrainEndsAccepts(t *testing.T) {
	_, b := pair(t, Config{}, loopback.Config{})
	accept := submit(b, api.Request{Kind: api.KindAccept, Sock: listen(t, b, api.TCP4, "10.0.0.2:80")})
	if err := b.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := await(t, b, accept); r.Err != net.ErrClosed {
		t.Errorf("a pending accept: %v", r.Err)
	}
}

// What was written and closed before arrives, whole and with its end, although
// the host is gone by then.
func TestDrainDeliversWhatWasWritten(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		for _, first := range []string{"the owner closes", "the peer closes"} {
			t.Run(first, func(t *testing.T) {
				a, b := pair(t, cfg, loopback.Config{})
				// Little fits at the reader: most of it still waits at the writer.
				sa, peer := joinSmall(t, a, b, "10.0.0.2:80")
				data := bytes.Repeat([]byte("ringtail"), 64<<10)
				if first == "the peer closes" {
					ok(t, b, api.Request{Kind: api.KindShutdown, Sock: peer, How: api.ShutWrite})
					readAll(t, a, sa)
				}
				ok(t, a, api.Request{Kind: api.KindWrite, Sock: sa, Bufs: [][]byte{data}})
				closeSocket(t, a, sa)
				done := draining(t, t.Context(), a)
				undrained(t, done)
				buf := make([]byte, len(data))
				n := 0
				// The reader goes on until the writer is gone, and then to the end.
				for len(done) == 0 && n < len(data) {
					n += ok(t, b, api.Request{Kind: api.KindRead, Sock: peer, Bufs: [][]byte{buf[n:min(n+1000, len(data))]}}).N
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if err := a.Close(); err != nil {
					t.Fatal(err)
				}
				if got := append(buf[:n], readAll(t, b, peer)...); !bytes.Equal(got, data) {
					t.Errorf("%d bytes came, %d were written", len(got), len(data))
				}
				if n := b.Stats().TCP.Resets; n != 0 {
					t.Errorf("%d resets of a connection that ended well", n)
				}
			})
		}
	})
}

// joinSmall is join with 64 KiB of room to receive at b.
func joinSmall(t *testing.T, a, b *Host, at string) (atA, atB api.Socket) {
	t.Helper()
	l := listen(t, b, api.TCP4, at)
	ok(t, b, api.Request{Kind: api.KindOption, Sock: l, Opt: api.ReadBuffer(64 << 10)})
	accept := submit(b, api.Request{Kind: api.KindAccept, Sock: l})
	atA = socketOf(t, a, api.TCP4)
	ok(t, a, api.Request{Kind: api.KindConnect, Sock: atA, Addr: netip.MustParseAddrPort(at)})
	return atA, await(t, b, accept).NewSock
}

// A connection is left until its owner has closed it, or it was reset and all of
// it has been read.
func TestDrainWaitsForOwners(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		t.Run("open", func(t *testing.T) {
			a, b := pair(t, cfg, loopback.Config{})
			sa, sb := join(t, a, b, api.TCP4, "10.0.0.2:80")
			done := draining(t, t.Context(), a)
			transfer(t, a, b, sa, sb, 1<<20, 1)
			transfer(t, b, a, sb, sa, 1<<20, 2)
			undrained(t, done)
			// Also with both ends sent, its owner is not through with it.
			ok(t, a, api.Request{Kind: api.KindShutdown, Sock: sa, How: api.ShutWrite})
			readAll(t, b, sb)
			closeSocket(t, b, sb)
			readAll(t, a, sa)
			undrained(t, done)
			closeSocket(t, a, sa)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		t.Run("reset", func(t *testing.T) {
			a, b := pair(t, cfg, loopback.Config{})
			sa, sb := join(t, a, b, api.TCP4, "10.0.0.2:80")
			ok(t, b, api.Request{Kind: api.KindWrite, Sock: sb, Bufs: [][]byte{[]byte("last words")}})
			waitUntil(t, "bytes to read", func() bool { return a.Stats().Conns[0].RecvQueue > 0 })
			ok(t, b, api.Request{Kind: api.KindOption, Sock: sb, Opt: api.Linger(0)})
			closeSocket(t, b, sb)
			waitUntil(t, "a reset", func() bool { return a.Stats().Conns[0].State == "ERROR" })
			done := draining(t, t.Context(), a)
			undrained(t, done)
			if r := ok(t, a, api.Request{Kind: api.KindRead, Sock: sa, Bufs: [][]byte{make([]byte, 20)}}); r.N != 10 {
				t.Errorf("%+v", r)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		t.Run("dialed meanwhile", func(t *testing.T) {
			a, b := pair(t, cfg, loopback.Config{})
			sa, sb := join(t, a, b, api.TCP4, "10.0.0.2:80")
			done := draining(t, t.Context(), a)
			sa2, sb2 := join(t, a, b, api.TCP4, "10.0.0.2:81")
			closeSocket(t, b, sb)
			closeSocket(t, a, sa)
			undrained(t, done)
			transfer(t, a, b, sa2, sb2, 1<<20, 1)
			closeSocket(t, a, sa2)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}

// The end of the context counts what is left, which goes on until Close resets
// it.
func TestDrainGivesUp(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		a, b := pair(t, cfg, loopback.Config{})
		open, peer := join(t, a, b, api.TCP4, "10.0.0.2:80")
		unread, peer2 := joinSmall(t, a, b, "10.0.0.2:81")
		over, peer3 := join(t, a, b, api.TCP4, "10.0.0.2:82")
		ok(t, a, api.Request{Kind: api.KindWrite, Sock: unread, Bufs: [][]byte{make([]byte, 900_000)}})
		closeSocket(t, a, unread)
		closeSocket(t, a, over)
		readAll(t, b, peer3)
		ctx, cancel := context.WithCancel(t.Context())
		done := draining(t, ctx, a)
		waitUntil(t, "the end of what is over", func() bool { return a.busySockets() == 2 })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 connections") {
			t.Errorf("got %v", err)
		}
		transfer(t, a, b, open, peer, 1<<20, 1)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if r := call(t, b, api.Request{Kind: api.KindRead, Sock: peer, Bufs: [][]byte{{0}}}); !errors.Is(r.Err, syscall.ECONNRESET) {
			t.Errorf("the open connection: %+v", r)
		}
		var r api.Result
		for r.N = 1; r.N > 0; {
			r = call(t, b, api.Request{Kind: api.KindRead, Sock: peer2, Bufs: [][]byte{make([]byte, 64<<10)}})
		}
		if !errors.Is(r.Err, syscall.ECONNRESET) {
			t.Errorf("the connection of which a part arrived: %+v", r)
		}
	})
}

func (h *Host) busySockets() int {
	h.turn.Lock()
	defer h.turn.Unlock()
	return h.countBusy()
}

// Several may drain at once, and a host may be closed meanwhile.
func TestDrainAndClose(t *testing.T) {
	a, b := pair(t, Config{}, loopback.Config{})
	sa, _ := join(t, a, b, api.TCP4, "10.0.0.2:80")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	first, second := draining(t, t.Context(), a), draining(t, t.Context(), a)
	if err := a.Drain(ended); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 connection ") {
		t.Errorf("with a context that has ended: %v", err)
	}
	undrained(t, first)
	closeSocket(t, a, sa)
	for _, done := range []<-chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := a.Drain(ended); err != nil {
		t.Errorf("an idle host and a context that has ended: %v", err)
	}

	join(t, a, b, api.TCP4, "10.0.0.2:81")
	third := draining(t, t.Context(), a)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-third; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed meanwhile: %v", err)
	}
	if err := a.Drain(t.Context()); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// Where gVisor's goroutines end connections the host looks by itself.
func TestDrainForeign(t *testing.T) {
	a, b := pair(t, Config{Foreign: true}, loopback.Config{})
	sa, sb := join(t, a, b, api.TCP4, "10.0.0.2:80")
	transfer(t, a, b, sa, sb, 1<<20, 1)
	closeSocket(t, a, sa)
	if err := a.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
