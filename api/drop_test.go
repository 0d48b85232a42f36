package api_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// Nobody learns of an op whose token was dropped, before it is done or after,
// and what it brought is gone.
func TestDrop(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		sqd, cqd := r.pair()
		early := must1(r.server.Pop(sqd))
		must(r.server.Drop(early))
		_, err := r.server.Wait(ended, early)
		r.fails("Wait for a dropped token", err, syscall.EINVAL)
		r.fails("Cancel of one", r.server.Cancel(early), syscall.EINVAL)
		r.fails("Drop of one", r.server.Drop(early), syscall.EINVAL)
		wait(t, r.client, push(r.client, cqd, "first"))
		for r.server.Stats().Pending != 0 {
			time.Sleep(time.Millisecond)
		}
		late := must1(r.server.Pop(sqd))
		wait(t, r.client, push(r.client, cqd, "second"))
		for r.server.Stats().Unclaimed != 1 {
			time.Sleep(time.Millisecond)
		}
		must(r.server.Drop(late))
		if s := r.server.Stats(); s.Unclaimed != 0 || s.Pending != 0 || s.SGAs != 0 {
			t.Errorf("left over: %+v", s)
		}
		sga := r.client.Alloc(5)
		copy(sga.Segs[0], "third")
		must(r.client.Drop(must1(r.client.Push(cqd, sga)))) // and it frees the array
		if got := pop(t, r.server, sqd); got != "third" {
			t.Errorf("popped %q", got)
		}
		var wg sync.WaitGroup
		named := must1(r.server.Pop(sqd))
		limited, stop := context.WithCancel(ctx)
		wg.Go(func() {
			_, err := r.server.Wait(limited, named)
			r.fails("Wait", err, context.Canceled)
		})
		for err = nil; !errors.Is(err, syscall.EBUSY); _, err = r.server.Wait(ended, named) {
			time.Sleep(time.Millisecond)
		}
		r.fails("Drop of a token that is waited for", r.server.Drop(named), syscall.EBUSY)
		stop()
		wg.Wait()
	})
}

// A connection that a dropped accept gets is closed.
func TestDropAccept(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		ln, addr := r.listen()
		open := r.server.Stats().Queues
		for _, early := range []bool{true, false} {
			acc := must1(r.server.Accept(ln))
			if early {
				must(r.server.Drop(acc))
			}
			qd := must1(r.client.Socket(api.TCP))
			wait(t, r.client, must1(r.client.Connect(qd, addr)))
			if !early {
				for r.server.Stats().Unclaimed != 1 {
					time.Sleep(time.Millisecond)
				}
				must(r.server.Drop(acc))
			}
			if c := wait(t, r.client, must1(r.client.Pop(qd))); !c.EOF && c.Err == nil {
				t.Errorf("the peer's pop: %+v", c)
			}
			if s := r.server.Stats(); s.Queues != open || s.Unclaimed != 0 {
				t.Errorf("left over: %+v", s)
			}
			must(r.client.Close(qd))
		}
	})
}

func TestWaitAll(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		sqd, cqd := r.pair()
		mem := must1(r.client.MemoryQueue(api.MemoryLimit{}))
		ids := []api.Token{must1(r.client.Pop(cqd)), must1(r.client.Pop(mem)), push(r.client, cqd, "there")}
		push(r.client, mem, "in memory")
		_, err := r.client.WaitAll(ended, ids)
		r.fails("polling", err, context.Canceled)
		if got := pop(t, r.server, sqd); got != "there" {
			t.Errorf("popped %q", got)
		}
		var answer sync.WaitGroup
		answer.Go(func() { wait(t, r.server, push(r.server, sqd, "back")) })
		all, err := r.client.WaitAll(ctx, ids)
		answer.Wait()
		if err != nil || len(all) != len(ids) {
			t.Fatalf("%d completions, %v", len(all), err)
		}
		for i, want := range []string{"back", "in memory", "there"} {
			if c := all[i]; c.Token != ids[i] || c.Err != nil || string(c.SGA.Append(nil)) != want {
				t.Errorf("%d: %+v, want %q", i, c, want)
			}
			all[i].SGA.Free()
		}
		var out [2]api.Completion
		if n := r.client.Poll(out[:]); n != 1 || out[0].QD != mem || out[0].Op != api.OpPush {
			t.Errorf("left in the queue: %d, %+v", n, out[0])
		}
		_, err = r.client.WaitAll(ctx, ids[:1])
		r.fails("a used token", err, syscall.EINVAL)
		if all, err := r.client.WaitAll(ctx, nil); len(all) != 0 || err != nil {
			t.Errorf("no tokens: %v, %v", all, err)
		}
		twice := push(r.client, mem, "x")
		_, err = r.client.WaitAll(ctx, []api.Token{twice, twice})
		r.fails("a token twice", err, syscall.EINVAL)
		wait(t, r.client, twice) // it is still good
	})
}

func TestPoll(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 3)
	var out [2]api.Completion
	if n := l.Poll(out[:]); n != 0 || d.turns.Load() != 1 {
		t.Errorf("%d completions after %d turns", n, d.turns.Load())
	}
	d.finish(nil)
	for _, want := range []int{2, 1, 0} {
		if n := l.Poll(out[:]); n != want {
			t.Errorf("%d completions, want %d", n, want)
		}
		for _, c := range out[:want] {
			if c.Token != ids[0] {
				t.Errorf("token %d, want %d", c.Token, ids[0])
			}
			ids = ids[1:]
			c.SGA.Free()
		}
	}
	must(l.Exit())
	if n := l.Poll(out[:]); n != 0 {
		t.Errorf("%d completions after Exit", n)
	}
}

// An unbound datagram queue is bound by what needs it to be, as on Linux.
func TestImplicitBind(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		if strings.HasSuffix(t.Name(), "/kernel") {
			t.Skip("package net, on which this is built, has no unbound sockets")
		}
		server := must1(r.server.Socket(api.UDP4))
		must(r.server.Bind(server, netip.AddrPortFrom(r.addr, 0)))
		addr := must1(r.server.LocalAddr(server))
		for _, connect := range []bool{false, true} {
			qd := must1(r.client.Socket(api.UDP4))
			early := must1(r.client.Pop(qd)) // waits: nobody can send to it yet
			if connect {
				if c := wait(t, r.client, must1(r.client.Connect(qd, addr))); c.Err != nil {
					t.Fatal(c.Err)
				}
				wait(t, r.client, push(r.client, qd, "hello"))
			} else {
				wait(t, r.client, must1(r.client.PushTo(qd, api.SGAOf([]byte("hello")), addr)))
			}
			if port := must1(r.client.LocalAddr(qd)).Port(); port == 0 {
				t.Error("no port")
			}
			c := wait(t, r.server, must1(r.server.Pop(server)))
			wait(t, r.server, must1(r.server.PushTo(server, c.SGA, c.From))).SGA.Free()
			if c := wait(t, r.client, early); c.Err != nil || string(c.SGA.Append(nil)) != "hello" || c.From != addr {
				t.Errorf("the answer: %+v", c)
			} else {
				c.SGA.Free()
			}
			must(r.client.Close(qd))
		}
	})
}

// A close ends the ops of its own queue and nobody else's.
func TestCloseLosesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		_, a := r.pair()
		sb, b := r.pair()
		mem := must1(r.client.MemoryQueue(api.MemoryLimit{}))
		popA, popB, popMem := must1(r.client.Pop(a)), must1(r.client.Pop(b)), must1(r.client.Pop(mem))
		must(r.client.Close(a))
		wait(t, r.server, push(r.server, sb, "b"))
		push(r.client, mem, "mem")
		all, err := r.client.WaitAll(ctx, []api.Token{popA, popB, popMem})
		if err != nil || all[1].Err != nil || all[1].N != 1 || all[2].Err != nil || all[2].N != 3 {
			t.Fatalf("%+v, %v", all, err)
		}
		r.fails("the pop of the closed queue", all[0].Err, syscall.ECANCELED)
		all[1].SGA.Free()
		all[2].SGA.Free()
	})
}

// Memory that several pushes have is no single push's to free. Whoever gave up
// the push gave up the memory too.
func TestDropOfSharedMemory(t *testing.T) {
	tr := &stub{hold: true}
	l := api.New(tr, api.Config{})
	defer l.Exit()
	r := rig{TB: t}
	qd := must1(l.Socket(api.TCP))
	sga := l.Alloc(10)
	first, second := must1(l.Push(qd, sga)), must1(l.Push(qd, sga))
	r.fails("Drop of one of two pushes", l.Drop(first), syscall.EBUSY)
	tr.finish(nil)
	wait(t, l, first)
	must(l.Drop(second))
	if s := l.Stats(); s.SGAs != 0 || s.Misused != 0 {
		t.Errorf("after both: %+v", s)
	}

	sga = l.Alloc(10)
	must(l.Drop(must1(l.Push(qd, sga))))
	_, err := l.Push(qd, sga)
	r.fails("push of what a dropped push has", err, syscall.EINVAL)
	sga.Free()
	tr.finish(nil)
	if s := l.Stats(); s.SGAs != 0 || s.Misused != 2 {
		t.Errorf("after misuse: %+v", s)
	}
}
