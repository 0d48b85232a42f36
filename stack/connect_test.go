package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// cancelled returns a socket of a whose connect was cancelled and has succeeded
// all the same, and the other end of the connection.
func cancelled(t *testing.T, a, b *Host, listener api.Socket, at netip.AddrPort) (near, far api.Socket) {
	t.Helper()
	near = socketOf(t, a, api.TCP)
	if a.acks.on {
		ok(t, a, api.Request{Kind: api.KindOption, Sock: near, Opt: api.Acked})
	}
	accept := submit(b, api.Request{Kind: api.KindAccept, Sock: listener})
	b.turn.Lock() // so that it does not answer yet
	connect := submit(a, api.Request{Kind: api.KindConnect, Sock: near, Addr: at})
	a.Cancel(connect.ticket, syscall.ECANCELED)
	if r := await(t, a, connect); r.Err != syscall.ECANCELED {
		t.Fatalf("the connect that was cancelled: %v", r.Err)
	}
	if r := call(t, a, api.Request{Kind: api.KindConnect, Sock: near, Addr: at}); r.Err != syscall.EALREADY {
		t.Errorf("connect while the handshake goes on: %v", r.Err)
	}
	b.turn.Unlock()
	b.Turn()
	r := await(t, b, accept)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return near, r.NewSock
}

// A connect that is cancelled leaves a handshake, and that a connection, whether
// anybody asks for it or not.
func TestConnectCancelled(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		for _, cfg.Acked = range []bool{false, true} {
			a, b := pair(t, cfg, loopback.Config{})
			at := netip.MustParseAddrPort("10.0.0.2:7")
			ln := listen(t, b, api.TCP, at.String())

			near, far := cancelled(t, a, b, ln, at)
			connected(t, a, b, near, far)

			near, far = cancelled(t, a, b, ln, at)
			r := ok(t, a, api.Request{Kind: api.KindConnect, Sock: near, Addr: at})
			if r.Peer != at || r.Local.Addr() != netip.MustParseAddr("10.0.0.1") {
				t.Errorf("connected from %v to %v", r.Local, r.Peer)
			}
			if r := call(t, a, api.Request{Kind: api.KindConnect, Sock: near, Addr: at}); r.Err != syscall.EISCONN {
				t.Errorf("connect once more: %v", r.Err)
			}
			connected(t, a, b, near, far)
		}
	})
}

// connected checks that a connection is one in all that it does.
func connected(t *testing.T, a, b *Host, near, far api.Socket) {
	t.Helper()
	if r := call(t, a, api.Request{Kind: api.KindBind, Sock: near, Addr: netip.MustParseAddrPort("10.0.0.1:0")}); r.Err != syscall.EISCONN {
		t.Errorf("bind of a connected socket: %v", r.Err)
	}
	if r := await(t, a, write(a, near, []byte("hello"))); r.Err != nil || r.N != 5 {
		t.Errorf("write: %+v", r)
	}
	ok(t, b, api.Request{Kind: api.KindRead, Sock: far, Bufs: [][]byte{make([]byte, 10)}})
	ok(t, b, api.Request{Kind: api.KindClose, Sock: far})
	if r := call(t, a, api.Request{Kind: api.KindRead, Sock: near, Bufs: [][]byte{make([]byte, 10)}}); r.Err != nil || !r.EOF {
		t.Errorf("read after the peer's close: %+v", r)
	}
	ok(t, a, api.Request{Kind: api.KindClose, Sock: near})
}

// What became of a handshake is told to whoever asks, also if the connect that
// began it was cancelled.
func TestConnectCancelledAndRefused(t *testing.T) {
	a, b := pair(t, Config{}, loopback.Config{})
	at := netip.MustParseAddrPort("10.0.0.2:7")
	s := socketOf(t, a, api.TCP)
	b.turn.Lock()
	connect := submit(a, api.Request{Kind: api.KindConnect, Sock: s, Addr: at})
	read := submit(a, api.Request{Kind: api.KindRead, Sock: s, Bufs: [][]byte{make([]byte, 1)}})
	a.Cancel(connect.ticket, syscall.ECANCELED)
	await(t, a, connect)
	b.turn.Unlock()
	b.Turn()
	if r := await(t, a, read); r.Err == nil {
		t.Errorf("read: %+v", r)
	}
	if r := call(t, a, api.Request{Kind: api.KindConnect, Sock: s, Addr: at}); !errors.Is(r.Err, syscall.ECONNREFUSED) {
		t.Errorf("connect again: %v", r.Err)
	}
	if r := call(t, a, api.Request{Kind: api.KindWrite, Sock: s, Bufs: [][]byte{{1}}}); r.Err != syscall.ENOTCONN {
		t.Errorf("write: %v", r.Err)
	}
}
