package api_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/wrap"
)

func (r bubbleRig) at(port uint16) netip.AddrPort { return netip.AddrPortFrom(r.addr, port) }

// More connect than the backlog holds: every connection is served or fails with
// an errno, no accept fails, and then there is room again. (A client that did not
// find room has the server's SYN, believes to be connected, and repeats what it
// says until there is; when that takes minutes its SYN cookie has become too old,
// and it is reset.)
func TestBacklogOverflow(t *testing.T) {
	const clients = 50
	inBubble(t, func(t *testing.T, r bubbleRig) {
		ln := must1(r.server.Socket(api.TCP))
		must(r.server.Bind(ln, r.at(0)))
		must(r.server.Listen(ln, 4))
		addr := must1(r.server.LocalAddr(ln))
		var connects []api.Token
		for range clients {
			qd := must1(r.client.Socket(api.TCP))
			connects = append(connects, must1(r.client.Connect(qd, addr)))
		}
		time.Sleep(time.Minute) // nobody accepts so far

		accepts := make(chan int)
		serving, stop := context.WithCancel(ctx)
		go func() { accepts <- r.greet(serving, ln) }()
		var connected []api.QD
		for _, token := range connects {
			c := r.soon(r.client, token)
			if c.Err != nil {
				r.fails("connect", c.Err, syscall.ETIMEDOUT, syscall.ECONNREFUSED)
				continue
			}
			connected = append(connected, c.QD)
			must1(r.client.Push(c.QD, hello))
		}
		served := 0
		for _, qd := range connected {
			if r.answered(qd) {
				served++
			}
		}
		late := must1(r.client.Socket(api.TCP))
		c := r.soon(r.client, must1(r.client.Connect(late, addr)))
		must1(r.client.Push(late, hello))
		if c.Err != nil || !r.answered(late) {
			t.Errorf("a later connect: %+v", c)
		}
		stop()
		if n := <-accepts; n != served+1 || served < 5 {
			t.Errorf("%d were served, %d were accepted", served+1, n)
		}
		t.Logf("%d of %d were served", served, clients)
	})
}

// greet accepts, and answers what it pops. It returns how many it has accepted.
func (r bubbleRig) greet(ctx context.Context, ln api.QD) (accepted int) {
	must1(r.server.Accept(ln))
	for c, err := range r.server.Completions(ctx) {
		switch {
		case err != nil:
			return accepted
		case c.Err != nil:
			r.Errorf("serving: %v", c.Err)
		case c.Op == api.OpAccept:
			accepted++
			must1(r.server.Pop(c.New))
			must1(r.server.Accept(ln))
		case c.Op == api.OpPop && c.N > 0:
			must1(r.server.Push(c.QD, c.SGA))
		default:
			c.SGA.Free()
		}
	}
	return accepted
}

var hello = api.SGAOf([]byte("hello"))

// answered reports whether a hello was answered. If not, the connection must
// have been reset.
func (r bubbleRig) answered(qd api.QD) bool {
	r.Helper()
	c := r.soon(r.client, must1(r.client.Pop(qd)))
	c.SGA.Free()
	if c.Err != nil {
		r.fails("hello", c.Err, syscall.ECONNRESET)
	}
	return c.Err == nil && c.N == hello.Len()
}

// Handshakes that are never finished do not fill the backlog for good. In
// Demikernel's they are said to stay.
func TestUnfinishedHandshakes(t *testing.T) {
	inBubble(t, func(t *testing.T, r bubbleRig) {
		ln := must1(r.server.Socket(api.TCP))
		must(r.server.Bind(ln, r.at(0)))
		must(r.server.Listen(ln, 4))
		addr := must1(r.server.LocalAddr(ln))
		heal := r.devs[1].Add(func(p []byte, dir wrap.Dir, _ time.Time, _ *rand.Rand) wrap.Verdict {
			const tcp, synAck = 6, 0x12
			if dir == wrap.Rx && len(p) >= 54 && p[23] == tcp && p[47]&synAck == synAck {
				return wrap.Drop
			}
			return wrap.Pass
		})
		accept := must1(r.server.Accept(ln))
		for range 20 {
			qd := must1(r.client.Socket(api.TCP))
			connect := must1(r.client.Connect(qd, addr))
			time.Sleep(100 * time.Millisecond)
			must(r.client.Close(qd))
			r.fails("connect", r.soon(r.client, connect).Err, syscall.ECANCELED)
		}
		if c, err := r.server.Wait(ended, accept); err == nil {
			t.Errorf("a handshake that was not finished is accepted: %+v", c)
		}
		heal()
		for i, pause := range []time.Duration{0, time.Hour, 0} {
			time.Sleep(pause)
			qd := must1(r.client.Socket(api.TCP))
			if c := r.soon(r.client, must1(r.client.Connect(qd, addr))); c.Err != nil {
				t.Errorf("connect %d: %v", i, c.Err)
			}
			c := r.soon(r.server, accept)
			if local := must1(r.client.LocalAddr(qd)); c.Err != nil || c.From != local {
				t.Errorf("accept %d from %v: %+v", i, local, c)
			}
			accept = must1(r.server.Accept(ln))
		}
	})
}
