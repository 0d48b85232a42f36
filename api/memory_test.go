package api_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// alone makes a LibOS for memory queues, and sees that nothing is lost.
func alone(t testing.TB) *api.LibOS {
	l := api.New(&stub{}, api.Config{Strict: true})
	t.Cleanup(func() {
		must(l.Exit())
		drain(l)
		if s := l.Stats(); s.SGAs != 0 || s.SGABytes != 0 || s.Pending != 0 || s.Unclaimed != 0 || s.Misused != 0 {
			t.Errorf("after Exit: %+v", s)
		}
	})
	return l
}

func push(l *api.LibOS, qd api.QD, p string) api.Token {
	return must1(l.Push(qd, api.SGAOf([]byte(p))))
}

func pop(t testing.TB, l *api.LibOS, qd api.QD) string {
	t.Helper()
	c := wait(t, l, must1(l.Pop(qd)))
	defer c.SGA.Free()
	switch {
	case c.Err != nil:
		return c.Err.Error()
	case c.EOF:
		return "EOF"
	case c.N != c.SGA.Len() || c.Truncated || c.Op != api.OpPop || c.QD != qd || c.From.IsValid():
		t.Errorf("pop: %+v", c)
	}
	return string(c.SGA.Append(nil))
}

// Messages keep their order and their boundaries, whoever comes first.
func TestMemoryQueue(t *testing.T) {
	l := alone(t)
	qd := must1(l.MemoryQueue(api.MemoryLimit{}))
	for _, p := range []string{"one", "", "three"} {
		if c := wait(t, l, push(l, qd, p)); c.Err != nil || c.N != len(p) || c.SGA.Len() != len(p) {
			t.Errorf("push: %+v", c)
		}
	}
	first, second := must1(l.Pop(qd)), must1(l.PopN(qd, 9))
	if got := pop(t, l, qd); got != "three" {
		t.Errorf("the third pop got %q", got)
	}
	if c := wait(t, l, second); c.N != 0 || c.EOF || c.Err != nil {
		t.Errorf("an empty message: %+v", c)
	}
	c := wait(t, l, first)
	c.SGA.Free()
	waiting := must1(l.PopN(qd, 4))
	wait(t, l, push(l, qd, "too long"))
	c = wait(t, l, waiting)
	if string(c.SGA.Append(nil)) != "too " || !c.Truncated || c.N != 4 {
		t.Errorf("a pop of less: %+v", c)
	}
	c.SGA.Free()
}

// Segments of any number and length become one message.
func TestMemoryQueueSegments(t *testing.T) {
	l := alone(t)
	qd := must1(l.MemoryQueue(api.MemoryLimit{Bytes: 4 << 20}))
	var segs [][]byte
	var want []byte
	for i := range 300 {
		p := bytes.Repeat([]byte{byte(i)}, i*37%5000)
		segs, want = append(segs, p), append(want, p...)
	}
	wait(t, l, must1(l.Push(qd, api.SGAOf(segs...))))
	c := wait(t, l, must1(l.PopN(qd, len(want))))
	if !bytes.Equal(c.SGA.Append(nil), want) {
		t.Error("what was popped is not what was pushed")
	}
	c.SGA.Free()
}

// What was pushed is a copy: its memory is the caller's again.
func TestMemoryQueueCopies(t *testing.T) {
	l := alone(t)
	qd := must1(l.MemoryQueue(api.MemoryLimit{}))
	p := []byte("before")
	wait(t, l, must1(l.Push(qd, api.SGAOf(p))))
	copy(p, "after!")
	if got := pop(t, l, qd); got != "before" {
		t.Errorf("popped %q", got)
	}
}

// A full queue makes pushes wait, in their order, by messages and by bytes.
func TestMemoryQueueFull(t *testing.T) {
	for _, limit := range []api.MemoryLimit{{Messages: 2}, {Bytes: 2}} {
		l := alone(t)
		qd := must1(l.MemoryQueue(limit))
		var ids []api.Token
		for _, p := range []string{"a", "b", "c", "d", "e"} {
			ids = append(ids, push(l, qd, p))
		}
		if s := l.Stats(); s.Pending != 3 || s.Unclaimed != 2 {
			t.Errorf("%+v: %+v", limit, s)
		}
		must(l.Cancel(ids[3]))
		c := wait(t, l, ids[3])
		if !errors.Is(c.Err, syscall.ECANCELED) || c.N != 0 || c.SGA.Len() != 1 {
			t.Errorf("a cancelled push: %+v", c)
		}
		for _, want := range []string{"a", "b", "c", "e"} {
			if got := pop(t, l, qd); got != want {
				t.Errorf("popped %q, want %q", got, want)
			}
		}
		for _, id := range []api.Token{ids[0], ids[1], ids[2], ids[4]} {
			if c := wait(t, l, id); c.Err != nil || c.N != 1 {
				t.Errorf("push: %+v", c)
			}
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	l := alone(t)
	qd := must1(l.MemoryQueue(api.MemoryLimit{Bytes: 10, Messages: 1}))
	if o := must1(l.Option(qd, api.MemoryLimit{})); o != (api.MemoryLimit{Bytes: 10, Messages: 1}) {
		t.Errorf("limit %+v", o)
	}
	if c := wait(t, l, push(l, qd, "eleven char")); !errors.Is(c.Err, syscall.EMSGSIZE) {
		t.Errorf("a message above the limit: %+v", c)
	}
	wait(t, l, push(l, qd, "0123456789"))
	second, third := push(l, qd, "0123456789"), push(l, qd, "c")
	must(l.SetOption(qd, api.MemoryLimit{Bytes: 1})) // the second is above it now
	for _, want := range []string{"0123456789", "0123456789", "c"} {
		if got := pop(t, l, qd); got != want {
			t.Errorf("popped %q, want %q", got, want)
		}
	}
	wait(t, l, second)
	wait(t, l, third)
	wait(t, l, push(l, qd, "d"))
	more := push(l, qd, "e")
	must(l.SetOption(qd, api.MemoryLimit{})) // there is room now
	wait(t, l, more)
	r := rig{TB: t}
	r.fails("a negative limit", l.SetOption(qd, api.MemoryLimit{Bytes: -1}), syscall.EINVAL)
	_, err := l.MemoryQueue(api.MemoryLimit{Messages: -1})
	r.fails("a negative limit at birth", err, syscall.EINVAL)
}

func TestMemoryQueueShutdown(t *testing.T) {
	l := alone(t)
	r := rig{TB: t}
	qd := must1(l.MemoryQueue(api.MemoryLimit{Messages: 1}))
	ids := []api.Token{push(l, qd, "a"), push(l, qd, "b")}
	must(l.Shutdown(qd, api.ShutWrite))
	r.fails("a push afterwards", wait(t, l, push(l, qd, "c")).Err, syscall.EPIPE)
	for _, want := range []string{"a", "b", "EOF", "EOF"} {
		if got := pop(t, l, qd); got != want {
			t.Errorf("popped %q, want %q", got, want)
		}
	}
	for _, id := range ids {
		if c := wait(t, l, id); c.Err != nil {
			t.Errorf("a push before: %v", c.Err)
		}
	}
	qd = must1(l.MemoryQueue(api.MemoryLimit{}))
	waiting := must1(l.Pop(qd))
	must(l.Shutdown(qd, api.ShutWrite))
	if c := wait(t, l, waiting); !c.EOF || c.Err != nil {
		t.Errorf("the pop that waited: %+v", c)
	}

	qd = must1(l.MemoryQueue(api.MemoryLimit{Messages: 1}))
	ids = []api.Token{push(l, qd, "a"), push(l, qd, "b")}
	must(l.Shutdown(qd, api.ShutRead))
	if c := wait(t, l, ids[0]); c.Err != nil {
		t.Errorf("the push that was accepted: %v", c.Err)
	}
	r.fails("the push that waited", wait(t, l, ids[1]).Err, syscall.EPIPE)
	if got := pop(t, l, qd); got != "EOF" {
		t.Errorf("popped %q", got)
	}
}

func TestMemoryQueueClose(t *testing.T) {
	l := alone(t)
	r := rig{TB: t}
	other := must1(l.MemoryQueue(api.MemoryLimit{}))
	kept := must1(l.Pop(other))
	qd := must1(l.MemoryQueue(api.MemoryLimit{Messages: 1}))
	done, waiting := push(l, qd, "a"), push(l, qd, "b")
	must(l.Close(qd))
	if c := wait(t, l, done); c.Err != nil {
		t.Errorf("the push that was done: %v", c.Err)
	}
	r.fails("the push that waited", wait(t, l, waiting).Err, syscall.ECANCELED)
	_, err := l.Pop(qd)
	r.fails("a pop", err, syscall.EBADF)
	r.fails("the second Close", l.Close(qd), syscall.EBADF)

	qd = must1(l.MemoryQueue(api.MemoryLimit{}))
	popping := must1(l.Pop(qd))
	closing := must1(l.AsyncClose(qd))
	if c := wait(t, l, closing); c.Op != api.OpClose || c.Err != nil {
		t.Errorf("AsyncClose: %+v", c)
	}
	r.fails("the pop that waited", wait(t, l, popping).Err, syscall.ECANCELED)

	push(l, other, "for the other")
	if c := wait(t, l, kept); c.Err != nil || c.N != 13 {
		t.Errorf("the pop of another queue: %+v", c)
	} else {
		c.SGA.Free()
	}
	kept = must1(l.Pop(other))
	must(l.Exit())
	r.fails("a pop at Exit", wait(t, l, kept).Err, syscall.ECANCELED)
	_, err = l.MemoryQueue(api.MemoryLimit{})
	r.fails("a queue after Exit", err, net.ErrClosed)
}

func TestMemoryQueueMisuse(t *testing.T) {
	l := alone(t)
	r := rig{TB: t}
	qd := must1(l.MemoryQueue(api.MemoryLimit{}))
	addr := netip.MustParseAddrPort("127.0.0.1:1")
	r.fails("Bind", l.Bind(qd, addr), syscall.EOPNOTSUPP)
	r.fails("Listen", l.Listen(qd, 1), syscall.EOPNOTSUPP)
	r.fails("Accept", wait(t, l, must1(l.Accept(qd))).Err, syscall.EOPNOTSUPP)
	r.fails("Connect", wait(t, l, must1(l.Connect(qd, addr))).Err, syscall.EOPNOTSUPP)
	r.fails("PushTo", wait(t, l, must1(l.PushTo(qd, api.SGA{}, addr))).Err, syscall.EOPNOTSUPP)
	r.fails("Join", l.Join(qd, netip.MustParseAddr("224.0.0.9")), syscall.EOPNOTSUPP)
	_, err := l.LocalAddr(qd)
	r.fails("LocalAddr", err, syscall.EOPNOTSUPP)
	r.fails("NoDelay", l.SetOption(qd, api.NoDelay(true)), syscall.ENOPROTOOPT)
	_, err = l.Socket(api.Memory)
	r.fails("Socket(Memory)", err, syscall.EPROTONOSUPPORT)
	if _, ok := api.ParseNetwork("memory"); ok || api.Memory.String() != "memory" || api.Memory.Stream() {
		t.Error("package net's names know memory queues")
	}
}

// Sockets and memory queues in one wait, on all transports.
func TestMemoryQueueBesideSockets(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		sqd, cqd := r.pair()
		mem := must1(r.server.MemoryQueue(api.MemoryLimit{}))
		ids := []api.Token{must1(r.server.Pop(sqd)), must1(r.server.Pop(mem))}
		go push(r.server, mem, "from memory") // wakes whoever sleeps in the transport
		i, c, err := r.server.WaitAny(ctx, ids)
		if err != nil || i != 1 || string(c.SGA.Append(nil)) != "from memory" {
			t.Errorf("got %d %+v %v", i, c, err)
		}
		c.SGA.Free()
		push(r.client, cqd, "from the socket")
		n := 0
		for c, err := range r.server.Completions(ctx) {
			must(err)
			if n++; c.Op == api.OpPop {
				n += 10
				c.SGA.Free()
			}
			if n == 12 {
				break
			}
		}
	})
}

// Any number of goroutines push and pop; every message arrives once.
func TestMemoryQueueConcurrent(t *testing.T) {
	l := alone(t)
	qd := must1(l.MemoryQueue(api.MemoryLimit{Messages: 4}))
	const pushers, each = 4, 500
	var wg, popping sync.WaitGroup
	for g := range pushers {
		wg.Go(func() {
			for i := range each {
				sga := l.Alloc(2)
				sga.Segs[0][0], sga.Segs[0][1] = byte(g), byte(i)
				if c := wait(t, l, must1(l.Push(qd, sga))); c.Err != nil {
					t.Errorf("push: %v", c.Err)
				}
				sga.Free()
				runtime.Gosched()
			}
		})
	}
	got := make([][pushers]int, 3)
	for i := range got {
		popping.Go(func() {
			var last [pushers]int
			for {
				c := wait(t, l, must1(l.Pop(qd)))
				if c.EOF || c.Err != nil {
					return
				}
				g := c.SGA.Segs[0][0]
				last[g]++
				got[i] = last
				c.SGA.Free()
			}
		})
	}
	wg.Wait()
	must(l.Shutdown(qd, api.ShutWrite))
	popping.Wait()
	for g := range pushers {
		if n := got[0][g] + got[1][g] + got[2][g]; n != each {
			t.Errorf("%d messages of pusher %d, want %d", n, g, each)
		}
	}
}

func TestMemoryQueueNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools are not deterministic under the race detector")
	}
	l := api.New(&stub{}, api.Config{})
	defer l.Exit()
	qd := must1(l.MemoryQueue(api.MemoryLimit{}))
	sga := l.Alloc(1000)
	defer sga.Free()
	var out [2]api.Completion
	for name, f := range map[string]func(){
		"push first": func() {
			must1(l.Push(qd, sga))
			must1(l.Pop(qd))
		},
		"pop first": func() {
			must1(l.Pop(qd))
			must1(l.Push(qd, sga))
		},
	} {
		n := testing.AllocsPerRun(1000, func() {
			f()
			must1(l.WaitNext(ctx, out[:]))
			for _, c := range out {
				if c.Op == api.OpPop {
					c.SGA.Free()
				}
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A cancel costs no search among the ops that wait.
func TestMemoryCancelOfMany(t *testing.T) {
	l := alone(t)
	qd := must1(l.MemoryQueue(api.MemoryLimit{}))
	ids := make([]api.Token, 100_000)
	for i := range ids {
		ids[i] = must1(l.Pop(qd))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range ids {
			must(l.Cancel(ids[len(ids)-1-i])) // the youngest is the last in the list
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second): // a search for each takes minutes
		t.Error("the cancels do not come to an end")
		<-done
	}
	if s := l.Stats(); s.Pending != 0 || s.Unclaimed != len(ids) {
		t.Errorf("after all of them: %+v", s)
	}
}
