package api_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/stack"
)

// A bubbleRig is a rig of two hosts in a bubble, where waiting costs no time.
type bubbleRig struct {
	rig
	hosts [2]*stack.Host    // of the server and of the client
	devs  [2]*wrap.Injector // theirs
}

// inBubble runs a test in a bubble and sees that nothing is left of it. The
// buffers of connections are small, so that windows close soon.
func inBubble(t *testing.T, test func(t *testing.T, r bubbleRig)) {
	synctest.Test(t, func(t *testing.T) {
		var r bubbleRig
		wire := must1(loopback.New(loopback.Config{}))
		libs := [2]*api.LibOS{}
		for i := range r.hosts {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)
			r.devs[i] = wrap.Inject(must1(wire.Device(loopback.Config{})), wrap.InjectOptions{
				Faults: wrap.Faults{Delay: 100 * time.Microsecond, Dir: wrap.Tx},
			})
			r.hosts[i] = must1(stack.New(stack.Config{
				Interfaces: []stack.Interface{{Device: r.devs[i], Addrs: []netip.Prefix{prefix}}},
				ReadBuffer: 64 << 10, WriteBuffer: 64 << 10,
			}))
			must(r.hosts[i].Ready(ctx))
			libs[i] = api.New(r.hosts[i], api.Config{Strict: true})
		}
		r.rig = rig{t, libs[0], libs[1], netip.MustParseAddr("10.0.0.1")}
		test(t, r)
		for _, l := range libs {
			l.Exit()
			drain(l)
			if s := l.Stats(); s.SGAs != 0 || s.Pending != 0 || s.Unclaimed != 0 || s.Misused != 0 {
				t.Errorf("after Exit: %+v", s)
			}
		}
	})
}

// soon waits for an op, a day at most.
func (r bubbleRig) soon(l *api.LibOS, id api.Token) api.Completion {
	r.Helper()
	return within(r, l, id, 24*time.Hour)
}

// pushAll pushes a number of patterns, one behind the other.
func (r bubbleRig) pushAll(l *api.LibOS, qd api.QD, count, size int) (tokens []api.Token) {
	for i := range count {
		tokens = append(tokens, must1(l.Push(qd, api.SGAOf((&modelPush{seed: uint64(i), size: size}).content()))))
	}
	return tokens
}

// popAll pops the same patterns in pieces.
func (r bubbleRig) popAll(l *api.LibOS, qd api.QD, count, size, piece int) {
	r.Helper()
	p := make([]byte, 0, size+piece)
	for i := range count {
		want := (&modelPush{seed: uint64(i), size: size}).content()
		for len(p) < len(want) {
			c := r.soon(l, must1(l.PopN(qd, piece)))
			if c.N < 1 || c.N > piece {
				r.Fatalf("pop of %d bytes, %d still to come of push %d: %+v", piece, len(want)-len(p), i, c)
			}
			p = c.SGA.Append(p)
			c.SGA.Free()
		}
		if !slices.Equal(p[:size], want) {
			r.Fatalf("push %d of %d bytes came out as something else", i, size)
		}
		p = append(p[:0], p[size:]...)
	}
}

func (r bubbleRig) popEOF(l *api.LibOS, qd api.QD) {
	r.Helper()
	if c := r.soon(l, must1(l.Pop(qd))); !c.EOF || c.Err != nil {
		r.Errorf("pop, where the stream should end: %+v", c)
	}
}

func TestPushSizes(t *testing.T) {
	huge := 64 << 20 // a thousand windows
	if raceEnabled && !testenv.Long() {
		huge = 8 << 20
	}
	for _, c := range []struct{ count, size, piece int }{
		{1, huge, 1 << 20},
		{1, 1 << 20, 64 << 10},
		{3, 1 << 20, 1000},
		{1, 64<<10 + 1, 2},
		{2, 20_000, 1},
		{10_000, 1, 64 << 10},
		{10_000, 1, 2},
		{1000, 1449, 1 << 20}, // one byte more than a segment
	} {
		t.Run(fmt.Sprintf("%d of %d by %d", c.count, c.size, c.piece), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r bubbleRig) {
				server, client := r.pair()
				tokens := r.pushAll(r.client, client, c.count, c.size)
				r.popAll(r.server, server, c.count, c.size, c.piece)
				for _, token := range tokens {
					if done := r.soon(r.client, token); done.Err != nil || done.N != c.size {
						t.Fatalf("push: %+v", done)
					}
				}
			})
		})
	}
}

// A reset ends the ops that wait. Demikernel's pop is said to wait for ever.
func TestPeerResets(t *testing.T) {
	inBubble(t, func(t *testing.T, r bubbleRig) {
		server, client := r.pair()
		pop := must1(r.client.Pop(client))
		push := must1(r.client.Push(client, api.SGAOf(make([]byte, 1<<20))))
		time.Sleep(time.Second)
		must(r.server.SetOption(server, api.Linger(0)))
		must(r.server.Close(server))
		first := r.soon(r.client, pop)
		r.fails("the pop", first.Err, syscall.ECONNRESET)
		c := r.soon(r.client, push)
		r.fails("the push", c.Err, syscall.ECONNRESET, syscall.EPIPE)
		if c.N == 0 || c.N == 1<<20 {
			t.Errorf("the push of which some was accepted: %+v", c)
		}
		r.fails("a later push", r.soon(r.client, must1(r.client.Push(client, api.SGAOf([]byte("x"))))).Err, syscall.ECONNRESET, syscall.EPIPE)
		must(r.client.Close(client))
	})
}

// A peer that does not read stops nobody else, and when it reads at last it gets
// everything, in segments that the window was too small for when they were pushed.
func TestPeerStalls(t *testing.T) {
	inBubble(t, func(t *testing.T, r bubbleRig) {
		stalled, client := r.pair()
		server, other := r.pair()
		push := r.pushAll(r.client, client, 3, 1<<20)
		for range 100 {
			r.pushAll(r.client, other, 1, 5000)
			r.popAll(r.server, server, 1, 5000, 64<<10)
		}
		time.Sleep(2 * time.Hour)
		if c, err := r.client.Wait(ended, push[0]); err == nil {
			t.Fatalf("a push is complete that nobody has read: %+v", c)
		}
		r.popAll(r.server, stalled, 3, 1<<20, 30_000)
		for _, token := range push {
			if c := r.soon(r.client, token); c.Err != nil || c.N != 1<<20 {
				t.Errorf("push: %+v", c)
			}
		}
	})
}

// A peer that vanishes is noticed by who sends, or asks by keep-alive. Demikernel
// has no limit of retransmissions.
func TestPeerVanishes(t *testing.T) {
	gone := []error{syscall.ETIMEDOUT, syscall.EHOSTUNREACH}
	told := append(gone, syscall.EPIPE) // somebody else was told the cause
	inBubble(t, func(t *testing.T, r bubbleRig) {
		_, listening := r.listen()
		left, pushing := r.pair()
		_, asking := r.pair()
		_, idle := r.pair()
		must(r.client.SetOption(asking, api.KeepAlive{On: true, Idle: time.Minute, Interval: time.Second, Count: 3}))
		lost := must1(r.server.Pop(left))
		beside := must1(r.server.Net().ListenPacket("udp4", "10.0.0.1:0"))
		must(r.devs[0].Close())

		down := r.soon(r.server, lost).Err
		r.fails("the pop of the one whose device is closed", down, syscall.ENETDOWN)
		if !errors.Is(down, hal.ErrClosed) {
			t.Errorf("%v does not say why", down)
		}
		_, _, err := beside.ReadFrom(make([]byte, 1))
		faces{T: t}.fails("a read on the net face", err, syscall.ENETDOWN, false)
		if !errors.Is(err, hal.ErrClosed) {
			t.Errorf("%v does not say why", err)
		}
		asked := r.soon(r.client, must1(r.client.Pop(asking)))
		r.fails("a pop with keep-alive", asked.Err, gone...)
		pop := must1(r.client.Pop(pushing))
		push := must1(r.client.Push(pushing, api.SGAOf(make([]byte, 1<<20))))
		r.fails("a pop behind a push", r.soon(r.client, pop).Err, gone...)
		r.fails("a push", r.soon(r.client, push).Err, told...)
		fresh := must1(r.client.Socket(api.TCP))
		r.fails("a connect", r.soon(r.client, must1(r.client.Connect(fresh, listening))).Err, gone...)

		// Who says nothing learns nothing: RFC 9293, section 3.8.4.
		quiet := must1(r.client.Pop(idle))
		time.Sleep(24 * time.Hour)
		if c, err := r.client.Wait(ended, quiet); err == nil {
			t.Errorf("the pop of an idle connection: %+v", c)
		}
		must(r.client.Close(idle))
		r.fails("it, closed", r.soon(r.client, quiet).Err, syscall.ECANCELED)
	})
}
