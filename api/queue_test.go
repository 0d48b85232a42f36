package api_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

var ctx = context.Background()

// ended is a context that has ended: waiting with it is polling.
var ended = func() context.Context {
	c, cancel := context.WithCancel(ctx)
	cancel()
	return c
}()

// rig is a pair of LibOSes.
type rig struct {
	testing.TB
	server, client *api.LibOS
	addr           netip.Addr
}

// eachKind runs a test on all transports, and checks that no memory is lost.
func eachKind(t *testing.T, test func(t *testing.T, r rig)) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			st, ct, addr := k.make(t)
			r := rig{t, api.New(st, api.Config{Strict: true}), api.New(ct, api.Config{Strict: true}), addr}
			defer func() {
				for _, l := range []*api.LibOS{r.client, r.server} {
					if err := l.Exit(); err != nil {
						t.Errorf("Exit: %v", err)
					}
					drain(l)
					if s := l.Stats(); s.SGAs != 0 || s.SGABytes != 0 || s.Pending != 0 || s.Unclaimed != 0 {
						t.Errorf("after Exit: %+v", s)
					}
				}
			}()
			test(t, r)
		})
	}
}

// drain frees what lies in the completion queue.
func drain(l *api.LibOS) {
	var out [16]api.Completion
	for {
		n, err := l.WaitNext(ended, out[:])
		if err != nil {
			return
		}
		for _, c := range out[:n] {
			c.SGA.Free()
		}
	}
}

// must1 is for calls that do not fail.
func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// wait waits for a token by name.
func wait(t testing.TB, l *api.LibOS, id api.Token) api.Completion {
	t.Helper()
	return within(t, l, id, 20*time.Second)
}

func within(t testing.TB, l *api.LibOS, id api.Token, limit time.Duration) api.Completion {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := l.Wait(limited, id)
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	return c
}

func (r rig) listen() (api.QD, netip.AddrPort) {
	ln := must1(r.server.Socket(api.TCP))
	must(r.server.Bind(ln, netip.AddrPortFrom(r.addr, 0)))
	must(r.server.Listen(ln, 8))
	return ln, must1(r.server.LocalAddr(ln))
}

// pair makes a connection.
func (r rig) pair() (server, client api.QD) {
	r.Helper()
	ln, addr := r.listen()
	acc := must1(r.server.Accept(ln))
	client = must1(r.client.Socket(api.TCP))
	con := must1(r.client.Connect(client, addr))
	if c := wait(r, r.client, con); c.Err != nil {
		r.Fatal(c.Err)
	}
	c := wait(r, r.server, acc)
	if c.Err != nil {
		r.Fatal(c.Err)
	}
	must(r.server.Close(ln))
	return c.New, client
}

func (r rig) fails(what string, err error, want ...error) {
	r.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	r.Errorf("%s: got error %v, want %v", what, err, want)
}

func TestPushPop(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		sqd, cqd := r.pair()
		sga := r.client.Alloc(100_000) // more than one segment
		for i, seg := range sga.Segs {
			for j := range seg {
				seg[j] = byte(i + j)
			}
		}
		want := sga.Append(nil)
		push := must1(r.client.Push(cqd, sga))
		var got []byte
		for len(got) < len(want) {
			c := wait(t, r.server, must1(r.server.PopN(sqd, 7000)))
			if c.Err != nil || c.Op != api.OpPop || c.QD != sqd || c.N != c.SGA.Len() || c.N < 1 || c.N > 7000 {
				t.Fatalf("pop: %+v", c)
			}
			got = c.SGA.Append(got)
			c.SGA.Free()
		}
		if !bytes.Equal(got, want) {
			t.Error("what was popped is not what was pushed")
		}
		c := wait(t, r.client, push)
		if c.Err != nil || c.Op != api.OpPush || c.N != len(want) || c.SGA.Len() != len(want) || c.Token != push {
			t.Errorf("push: %+v", c)
		}
		c.SGA.Free()
		must(r.client.Shutdown(cqd, api.ShutWrite))
		if c := wait(t, r.server, must1(r.server.Pop(sqd))); !c.EOF || c.Err != nil || c.SGA.Len() != 0 {
			t.Errorf("pop at the end of the stream: %+v", c)
		}
	})
}

func TestEcho(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		ln, addr := r.listen()
		var wg sync.WaitGroup
		serving, stop := context.WithCancel(ctx)
		wg.Go(func() { echo(serving, r.server, ln) })
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() { echoClient(r, addr, bytes.Repeat([]byte{byte(i)}, 10_000*i+1)) })
		}
		clients.Wait()
		stop()
		wg.Wait()
	})
}

// echo is an echo server. It returns the error that ends it.
func echo(ctx context.Context, lib *api.LibOS, ln api.QD) error {
	if _, err := lib.Accept(ln); err != nil {
		return err
	}
	for c, err := range lib.Completions(ctx) {
		switch {
		case err != nil:
			return err
		case c.Op == api.OpAccept && c.Err == nil:
			lib.Pop(c.New)
			lib.Accept(ln)
		case c.Err != nil || c.EOF:
			c.SGA.Free()
			lib.Close(c.QD)
		case c.Op == api.OpPop:
			lib.Push(c.QD, c.SGA)
		case c.Op == api.OpPush:
			c.SGA.Free()
			lib.Pop(c.QD)
		}
	}
	return nil
}

func echoClient(r rig, addr netip.AddrPort, p []byte) {
	qd := must1(r.client.Socket(api.TCP))
	if c := wait(r, r.client, must1(r.client.Connect(qd, addr))); c.Err != nil {
		r.Error(c.Err)
		return
	}
	push := must1(r.client.Push(qd, api.SGAOf(p)))
	var got []byte
	for len(got) < len(p) {
		c := wait(r, r.client, must1(r.client.Pop(qd)))
		if c.Err != nil || c.EOF {
			r.Errorf("pop: eof %v, %v", c.EOF, c.Err)
			return
		}
		got = c.SGA.Append(got)
		c.SGA.Free()
	}
	if c := wait(r, r.client, push); c.Err != nil || c.N != len(p) {
		r.Errorf("push: n = %d, %v", c.N, c.Err)
	}
	if !bytes.Equal(got, p) {
		r.Error("the echo is not what was sent")
	}
	must(r.client.Close(qd))
}

func TestClose(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		sqd, cqd := r.pair()
		pop := must1(r.client.Pop(cqd))
		must(r.client.Close(cqd))
		c, err := r.client.Wait(ended, pop) // it is there when Close returns
		if err != nil || c.QD != cqd {
			t.Errorf("got %+v, %v", c, err)
		}
		r.fails("the pending pop", c.Err, syscall.ECANCELED)
		r.fails("the second Close", r.client.Close(cqd), syscall.EBADF)
		_, err = r.client.Pop(cqd)
		r.fails("Pop", err, syscall.EBADF)
		_, err = r.client.Push(cqd, api.SGAOf([]byte("x")))
		r.fails("Push", err, syscall.EBADF)
		_, err = r.client.LocalAddr(cqd)
		r.fails("LocalAddr", err, syscall.EBADF)
		if qd := must1(r.client.Socket(api.TCP)); qd == cqd {
			t.Errorf("descriptor %d was given again at once", qd)
		}
		if c := wait(t, r.server, must1(r.server.Pop(sqd))); !c.EOF {
			t.Errorf("the peer's pop: %+v", c)
		}

		pop = must1(r.server.Pop(sqd))
		wait(t, r.server, pop)
		pop = must1(r.server.Pop(sqd))
		cl := must1(r.server.AsyncClose(sqd))
		if c := wait(t, r.server, cl); c.Op != api.OpClose || c.Err != nil {
			t.Errorf("AsyncClose: %+v", c)
		}
		if c := wait(t, r.server, pop); !c.EOF && !errors.Is(c.Err, syscall.ECANCELED) {
			t.Errorf("the pop before it: %+v", c)
		}
		r.fails("Close after AsyncClose", r.server.Close(sqd), syscall.EBADF)
	})
}

func TestDatagrams(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		server := must1(r.server.Socket(api.UDP))
		must(r.server.Bind(server, netip.AddrPortFrom(r.addr, 0)))
		addr := must1(r.server.LocalAddr(server))
		client := must1(r.client.Socket(api.UDP))
		for _, p := range []string{"hello", "", "longer than ten"} {
			wait(t, r.client, must1(r.client.PushTo(client, api.SGAOf([]byte(p)), addr)))
		}
		c := wait(t, r.server, must1(r.server.Pop(server)))
		if string(c.SGA.Append(nil)) != "hello" || c.From != netip.AddrPortFrom(c.From.Addr(), must1(r.client.LocalAddr(client)).Port()) {
			t.Errorf("got %+v", c)
		}
		from := c.From
		wait(t, r.server, must1(r.server.PushTo(server, c.SGA, from))).SGA.Free()
		if c := wait(t, r.server, must1(r.server.Pop(server))); c.N != 0 || c.EOF || c.From != from {
			t.Errorf("an empty datagram: %+v", c)
		}
		if c := wait(t, r.server, must1(r.server.PopN(server, 10))); c.N != 10 || !c.Truncated {
			t.Errorf("a long one: %+v", c)
		} else {
			c.SGA.Free()
		}
		c = wait(t, r.client, must1(r.client.Pop(client)))
		if c.From != addr || c.N != 5 {
			t.Errorf("the answer: %+v", c)
		}
		c.SGA.Free()
		_, err := r.client.PushTo(client, api.SGA{}, netip.AddrPort{})
		r.fails("PushTo nowhere", err, syscall.EINVAL)
	})
}

func TestMisuse(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		l := r.client
		_, err := l.Socket(0)
		r.fails("Socket(0)", err, syscall.EPROTONOSUPPORT)
		_, err = l.Socket(99)
		r.fails("Socket(99)", err, syscall.EPROTONOSUPPORT)
		for _, qd := range []api.QD{0, -1, 1 << 20, 77} {
			r.fails("Bind", l.Bind(qd, netip.AddrPortFrom(r.addr, 0)), syscall.EBADF)
		}
		qd := must1(l.Socket(api.TCP))
		r.fails("Bind to nothing", l.Bind(qd, netip.AddrPort{}), syscall.EINVAL)
		_, err = l.Connect(qd, netip.AddrPort{})
		r.fails("Connect to nothing", err, syscall.EINVAL)
		_, err = l.PopN(qd, 0)
		r.fails("PopN(0)", err, syscall.EINVAL)
		r.fails("Shutdown(0)", l.Shutdown(qd, 0), syscall.EINVAL)
		r.fails("SetOption(nil)", l.SetOption(qd, nil), syscall.EINVAL)
		r.fails("Join of a unicast address", l.Join(qd, r.addr), syscall.EINVAL)
		_, err = l.PeerAddr(qd)
		r.fails("PeerAddr", err, syscall.ENOTCONN)
		c := wait(t, l, must1(l.Pop(qd)))
		r.fails("Pop unconnected", c.Err, syscall.ENOTCONN)
		ln, addr := r.listen()
		must(r.server.Close(ln))
		c = wait(t, l, must1(l.Connect(qd, addr)))
		r.fails("Connect refused", c.Err, syscall.ECONNREFUSED)
		var e *api.Error
		if !errors.As(c.Err, &e) || e.Op != "connect" || e.QD != qd || e.Addr != addr || e.Timeout() {
			t.Errorf("error %#v", c.Err)
		}
		if s := c.Err.Error(); !strings.HasPrefix(s, "connect QD ") || !strings.Contains(s, addr.String()+": ") {
			t.Errorf("error text %q", s)
		}
	})
}

func TestExit(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		_, cqd := r.pair()
		pop := must1(r.client.Pop(cqd))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for c, err := range r.client.Completions(ctx) {
					if err != nil {
						r.fails("Completions", err, net.ErrClosed)
						return
					}
					if c.Token != pop || !errors.Is(c.Err, syscall.ECANCELED) {
						t.Errorf("got %+v", c)
					}
				}
			})
		}
		must(r.client.Exit())
		wg.Wait()
		_, err := r.client.Pop(cqd)
		r.fails("Pop", err, net.ErrClosed)
		_, err = r.client.Socket(api.TCP)
		r.fails("Socket", err, net.ErrClosed)
		r.fails("Bind", r.client.Bind(cqd, netip.AddrPortFrom(r.addr, 0)), net.ErrClosed)
		must(r.client.Exit())
	})
}
