package api_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// What is done before anybody asks for it by name is found in the completion
// queue, until that has handed it out.
func TestAskedForLate(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		sqd, cqd := r.pair()
		late := must1(r.server.Pop(sqd))
		wait(t, r.client, must1(r.client.Push(cqd, api.SGAOf([]byte("a")))))
		for r.server.Stats().Unclaimed == 0 {
			time.Sleep(time.Millisecond)
		}
		wait(t, r.server, late).SGA.Free()

		gone := must1(r.server.Pop(sqd))
		wait(t, r.client, must1(r.client.Push(cqd, api.SGAOf([]byte("b")))))
		for c, err := range r.server.Completions(ctx) {
			must(err)
			if c.Token != gone || string(c.SGA.Append(nil)) != "b" {
				t.Errorf("the queue had %+v", c)
			}
			c.SGA.Free()
			break
		}
		_, err := r.server.Wait(ended, gone)
		r.fails("Wait after the queue", err, syscall.EINVAL)
		if s := r.server.Stats(); s.Unclaimed != 0 || s.Pending != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}

func TestContextEndsTheWaitNotTheOp(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		sqd, cqd := r.pair()
		pop := must1(r.server.Pop(sqd))
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_, err := r.server.Wait(short, pop)
		r.fails("Wait", err, context.DeadlineExceeded)
		_, err = r.server.WaitNext(short, make([]api.Completion, 1))
		r.fails("WaitNext", err, context.DeadlineExceeded)
		for _, err = range r.server.Completions(short) {
			break
		}
		r.fails("Completions", err, context.DeadlineExceeded)
		wait(t, r.client, must1(r.client.Push(cqd, api.SGAOf([]byte("x")))))
		if c := wait(t, r.server, pop); c.N != 1 {
			t.Errorf("the op did not survive: %+v", c)
		} else {
			c.SGA.Free()
		}
	})
}

func TestWaitAny(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		a, ca := r.pair()
		b, cb := r.pair()
		ids := []api.Token{must1(r.server.Pop(a)), must1(r.server.Pop(b))}
		wait(t, r.client, must1(r.client.Push(cb, api.SGAOf([]byte("b")))))
		i, c, err := r.server.WaitAny(ctx, ids)
		if err != nil || i != 1 || c.QD != b || string(c.SGA.Append(nil)) != "b" {
			t.Errorf("got %d %+v %v", i, c, err)
		}
		c.SGA.Free()
		_, _, err = r.server.WaitAny(ctx, ids) // ids[1] is used up
		r.fails("a used token among others", err, syscall.EINVAL)
		_, _, err = r.server.WaitAny(ctx, nil)
		r.fails("no tokens", err, syscall.EINVAL)
		i, _, err = r.server.WaitAny(ended, ids[:1])
		r.fails("polling", err, context.Canceled)
		if i != -1 {
			t.Errorf("index %d with an error", i)
		}
		// The first done comes first, not the first of the list.
		ids[1] = must1(r.server.Pop(b))
		wait(t, r.client, must1(r.client.Push(cb, api.SGAOf([]byte("b")))))
		for r.server.Stats().Unclaimed == 0 {
			time.Sleep(time.Millisecond)
		}
		wait(t, r.client, must1(r.client.Push(ca, api.SGAOf([]byte("a")))))
		for r.server.Stats().Unclaimed == 1 {
			time.Sleep(time.Millisecond)
		}
		for _, want := range []int{1, 0} {
			i, c, err := r.server.WaitAny(ctx, ids[:want+1])
			if err != nil || i != want {
				t.Errorf("got %d, %v, want %d", i, err, want)
			}
			c.SGA.Free()
		}
	})
}

func TestCancel(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		_, cqd := r.pair()
		pop := must1(r.client.Pop(cqd))
		must(r.client.Cancel(pop))
		r.fails("the pop", wait(t, r.client, pop).Err, syscall.ECANCELED)
		r.fails("Cancel of a used token", r.client.Cancel(pop), syscall.EINVAL)
		r.fails("Cancel of no token", r.client.Cancel(0), syscall.EINVAL)

		sga := r.client.Alloc(16 << 20)
		push := must1(r.client.Push(cqd, sga))
		must(r.client.Cancel(push))
		c := wait(t, r.client, push)
		r.fails("the push", c.Err, syscall.ECANCELED)
		if c.N >= c.SGA.Len() || c.SGA.Len() != 16<<20 {
			t.Errorf("n = %d, the array has %d bytes", c.N, c.SGA.Len())
		}
		c.SGA.Free()
	})
}

// Pending ops and unclaimed completions are bounded together, so that closing a
// queue with many pops does not bring more than was meant.
func TestOpsAreBounded(t *testing.T) {
	st, ct, addr := stepped(t)
	r := rig{t, api.New(st, api.Config{Strict: true}), api.New(ct, api.Config{Strict: true, MaxOps: 3}), addr}
	defer r.server.Exit()
	defer r.client.Exit()
	_, qd := r.pair()
	push := func() error { _, err := r.client.Push(qd, api.SGAOf([]byte("x"))); return err }
	for i := range 3 {
		must(push())
		for r.client.Stats().Unclaimed != i+1 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	r.fails("a push more", push(), syscall.ENOBUFS)
	if s := r.client.Stats(); s.Unclaimed != 3 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
	if n, err := r.client.WaitNext(ctx, make([]api.Completion, 10)); n != 3 || err != nil {
		t.Errorf("WaitNext: %d, %v", n, err)
	}
	if err := push(); err != nil {
		t.Errorf("a push afterwards: %v", err)
	}
	must1(r.client.Pop(qd))
	dropped := must1(r.client.Pop(qd))
	must(r.client.Drop(dropped)) // it is pending all the same
	_, err := r.client.Pop(qd)
	r.fails("a pop more", err, syscall.ENOBUFS)
	must1(r.client.AsyncClose(qd)) // is let through: it makes room
	for n := 0; n < 3; n += must1(r.client.WaitNext(ctx, make([]api.Completion, 10))) {
	}
	if s := r.client.Stats(); s.Pending != 0 || s.Unclaimed != 0 || s.Refused != 2 {
		t.Errorf("%+v", s)
	}
}

// Whatever the order of waits, everything is delivered once.
func TestManyWaiters(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		const goroutines, rounds = 6, 60
		var wg sync.WaitGroup
		for g := range goroutines {
			sqd, cqd := r.pair()
			wg.Go(func() {
				for range rounds {
					push := must1(r.client.Push(cqd, api.SGAOf([]byte{byte(g)})))
					pop := must1(r.client.Pop(cqd))
					for range 2 {
						ids := []api.Token{push, pop}
						if pop == 0 {
							ids = ids[:1]
						} else if push == 0 {
							ids = ids[1:]
						}
						_, c, err := r.client.WaitAny(ctx, ids)
						if err != nil || c.Err != nil {
							t.Errorf("client: %v, %v", err, c.Err)
							return
						}
						if c.Op == api.OpPush {
							push = 0
						} else {
							pop = 0
							c.SGA.Free()
						}
					}
				}
				must(r.client.Close(cqd))
			})
			wg.Go(func() {
				for {
					c := wait(t, r.server, must1(r.server.Pop(sqd)))
					if c.EOF || c.Err != nil {
						must(r.server.Close(sqd))
						return
					}
					if c.SGA.Segs[0][0] != byte(g) {
						t.Error("got another's byte")
					}
					wait(t, r.server, must1(r.server.Push(sqd, c.SGA))).SGA.Free()
				}
			})
		}
		wg.Wait()
	})
}
