package stack

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

func TestEcho(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		a, b := pair(t, cfg, loopback.Config{})
		ready(t, a, b)
		for _, at := range []string{"10.0.0.2:7", "[fd00::2]:8"} {
			ca, cb := join(t, a, b, api.TCP, at)
			for range 3 {
				ok(t, a, api.Request{Kind: api.KindWrite, Sock: ca, Bufs: [][]byte{[]byte("hel"), []byte("lo")}})
				buf := make([]byte, 100)
				r := ok(t, b, api.Request{Kind: api.KindRead, Sock: cb, Bufs: [][]byte{buf}})
				if got := string(buf[:r.N]); got != "hello" {
					t.Fatalf("read %q over %s", got, at)
				}
				ok(t, b, api.Request{Kind: api.KindWrite, Sock: cb, Bufs: [][]byte{buf[:r.N]}})
				r = ok(t, a, api.Request{Kind: api.KindRead, Sock: ca, Alloc: func(_ *api.Op, n int) [][]byte {
					return [][]byte{buf[:2], buf[2:n]}
				}})
				if got := string(buf[:r.N]); got != "hello" {
					t.Fatalf("echo %q over %s", got, at)
				}
			}
			ok(t, a, api.Request{Kind: api.KindShutdown, Sock: ca, How: api.ShutWrite})
			if r := ok(t, b, api.Request{Kind: api.KindRead, Sock: cb, Bufs: [][]byte{make([]byte, 1)}}); !r.EOF || r.N != 0 {
				t.Fatalf("after the peer's shutdown: %+v", r)
			}
			ok(t, a, api.Request{Kind: api.KindClose, Sock: ca})
			ok(t, b, api.Request{Kind: api.KindClose, Sock: cb})
		}
	})
}

// transfer sends size random bytes from one socket to another, both hosts'
// goroutines waiting by channel only.
func transfer(t *testing.T, from, to *Host, w, r api.Socket, size int, seed uint64) {
	t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(data)
	write := submit(from, api.Request{Kind: api.KindWrite, Sock: w, Bufs: [][]byte{data}})
	got := make([]byte, size)
	for n := 0; n < size; {
		res := call(t, to, api.Request{Kind: api.KindRead, Sock: r, Bufs: [][]byte{got[n:]}})
		if res.Err != nil || res.EOF {
			t.Errorf("after %d of %d bytes: %+v", n, size, res)
			return
		}
		n += res.N
	}
	if res := await(t, from, write); res.Err != nil || res.N != size {
		t.Errorf("write: %+v", res)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("the bytes that came are not those that went")
	}
}

func TestTransferBothWays(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		for name, wire := range map[string]loopback.Config{
			"super-frames": {},
			"wire frames":  {NoGSO: true},
			"eight frames": {Frames: 8},
			"chained":      {Chunk: 512},
		} {
			t.Run(name, func(t *testing.T) {
				a, b := pair(t, cfg, wire)
				ca, cb := join(t, a, b, api.TCP4, "10.0.0.2:80")
				size := 8 << 20
				if name == "eight frames" {
					size = 64 << 20
				}
				var wg sync.WaitGroup
				wg.Go(func() { transfer(t, a, b, ca, cb, size, 1) })
				wg.Go(func() { transfer(t, b, a, cb, ca, size, 2) })
				wg.Wait()
				for _, h := range []*Host{a, b} {
					s := h.Stats()
					if s.TCP.Retransmits > 0 {
						t.Logf("retransmits of host %s on a clean wire: %d", h.Name(), s.TCP.Retransmits)
					}
					for reason, n := range s.Interfaces[0].Drops {
						if n > 0 {
							t.Errorf("host %s lost %d packets: %s", h.Name(), n, reason)
						}
					}
				}
			})
		}
	})
}

func TestRefusedAndUnreachable(t *testing.T) {
	a, _ := pair(t, Config{}, loopback.Config{})
	for _, c := range []struct {
		at   string
		want error
	}{
		{"10.0.0.2:9", syscall.ECONNREFUSED},
		{"10.0.0.77:9", syscall.EHOSTUNREACH}, // nobody answers its ARP
		{"192.0.2.1:9", syscall.ENETUNREACH},  // no route
		{"10.0.0.1:9", syscall.ECONNREFUSED},  // ourselves
		{"127.0.0.1:9", syscall.ECONNREFUSED},
	} {
		s := socketOf(t, a, api.TCP)
		r := call(t, a, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.MustParseAddrPort(c.at)})
		if !errors.Is(r.Err, c.want) {
			t.Errorf("connect to %s: %v, want %v", c.at, r.Err, c.want)
		}
		ok(t, a, api.Request{Kind: api.KindClose, Sock: s})
	}
}

func TestCloseEndsWaitingOps(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		a, b := pair(t, cfg, loopback.Config{})
		ca, cb := join(t, a, b, api.TCP4, "10.0.0.2:80")
		read := submit(a, api.Request{Kind: api.KindRead, Sock: ca, Bufs: [][]byte{make([]byte, 1)}})
		ok(t, a, api.Request{Kind: api.KindClose, Sock: ca})
		if r := await(t, a, read); !errors.Is(r.Err, net.ErrClosed) {
			t.Errorf("a read of a closed socket: %+v", r)
		}
		read = submit(b, api.Request{Kind: api.KindRead, Sock: cb, Bufs: [][]byte{make([]byte, 1)}})
		if r := await(t, b, read); !r.EOF {
			t.Errorf("a read after the peer's close: %+v", r)
		}
		accept := submit(b, api.Request{Kind: api.KindAccept, Sock: listen(t, b, api.TCP4, "10.0.0.2:81")})
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if r := await(t, b, accept); !errors.Is(r.Err, net.ErrClosed) {
			t.Errorf("an accept on a closed host: %+v", r)
		}
		if r := call(t, b, api.Request{Kind: api.KindSocket, Network: api.TCP}); !errors.Is(r.Err, net.ErrClosed) {
			t.Errorf("a socket of a closed host: %+v", r)
		}
	})
}

func TestCancel(t *testing.T) {
	a, b := pair(t, Config{}, loopback.Config{})
	ca, _ := join(t, a, b, api.TCP4, "10.0.0.2:80")
	cause := errors.New("changed my mind")
	first := submit(a, api.Request{Kind: api.KindRead, Sock: ca, Bufs: [][]byte{make([]byte, 1)}})
	second := submit(a, api.Request{Kind: api.KindRead, Sock: ca, Bufs: [][]byte{make([]byte, 1)}})
	a.Cancel(second.ticket, cause)
	if r := await(t, a, second); r.Err != cause {
		t.Errorf("cancelled: %+v", r)
	}
	a.Cancel(second.ticket, cause) // late
	a.Cancel(first.ticket, cause)
	if r := await(t, a, first); r.Err != cause {
		t.Errorf("cancelled: %+v", r)
	}
}

// A connection that was reset before it was accepted still says whose it was,
// and stops to count when it is closed.
func TestAcceptAfterReset(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		a, b := pair(t, cfg, loopback.Config{})
		l := listen(t, b, api.TCP, "10.0.0.2:80")
		s := socketOf(t, a, api.TCP)
		addr := ok(t, a, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.MustParseAddrPort("10.0.0.2:80")}).Local
		ok(t, a, api.Request{Kind: api.KindOption, Sock: s, Opt: api.Linger(0)})
		ok(t, a, api.Request{Kind: api.KindClose, Sock: s})
		for b.Stats().TCP.Resets == 0 {
			runtime.Gosched()
		}
		r := ok(t, b, api.Request{Kind: api.KindAccept, Sock: l})
		if r.Peer != addr {
			t.Errorf("accepted from %v, connected from %v", r.Peer, addr)
		}
		if n := b.Stats().PeerConns; n != 1 {
			t.Errorf("%d connections count", n)
		}
		ok(t, b, api.Request{Kind: api.KindClose, Sock: r.NewSock})
		if n := b.Stats().PeerConns; n != 0 {
			t.Errorf("after Close %d connections count", n)
		}
	})
}
