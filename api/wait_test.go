package api_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// A token that somebody waits for by name goes to that waiter; every other
// completion goes to the completion queue.
func TestNamedAndQueued(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 2)
	defer l.Exit()
	var wg sync.WaitGroup
	wg.Go(func() {
		if c := wait(t, l, ids[0]); c.Token != ids[0] {
			t.Errorf("the waiter got %+v", c)
		} else {
			c.SGA.Free()
		}
	})
	<-d.sleeps // he waits
	if _, err := l.Wait(ended, ids[0]); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a second waiter: %v", err)
	}
	if _, _, err := l.WaitAny(ended, []api.Token{ids[1], ids[0]}); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a second waiter, among others: %v", err)
	}
	d.finish(nil)
	var out [3]api.Completion
	if n, err := l.WaitNext(ctx, out[:]); n != 1 || err != nil || out[0].Token != ids[1] {
		t.Errorf("the queue had %d, %v, %+v", n, err, out[0])
	}
	out[0].SGA.Free()
	wg.Wait()
}

// A done op wakes the sleeper it belongs to.
func TestDoneWakesSleeper(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 1)
	defer l.Exit()
	var wg sync.WaitGroup
	wg.Go(func() { wait(t, l, ids[0]).SGA.Free() })
	<-d.sleeps
	d.finish(nil)
	wg.Wait()
	if d.turns.Load() == 0 {
		t.Error("the sleeper ran no turn")
	}
}

// The end of a context wakes the sleeper, also that of a second context.
func TestContextWakesSleeper(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 1)
	defer l.Exit()
	for range 3 {
		c, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Wait(c, ids[0]); !errors.Is(err, context.Canceled) {
				t.Errorf("Wait: %v", err)
			}
		})
		<-d.sleeps
		cancel()
		wg.Wait()
	}
	l.Exit()
	wait(t, l, ids[0])
}

// Whoever leaves hands the role of the sleeper on.
func TestRoleIsHandedOn(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 3)
	defer l.Exit()
	leave := make([]context.CancelFunc, 3)
	var wg sync.WaitGroup
	for i, id := range ids {
		c, cancel := context.WithCancel(ctx)
		leave[i] = cancel
		wg.Go(func() {
			if _, err := l.Wait(c, id); !errors.Is(err, context.Canceled) {
				t.Errorf("Wait: %v", err)
			}
		})
		if i == 0 {
			<-d.sleeps // the others find the role taken
		}
	}
	for _, f := range leave[:2] {
		f()
	}
	// Of the last two at least the one who stays gets to sleep.
	<-d.sleeps
	leave[2]()
	wg.Wait()
	l.Exit()
	for _, id := range ids {
		wait(t, l, id)
	}
}

// With the role taken by somebody else a waiter parks, and is found there.
func TestBusyDriver(t *testing.T) {
	d := newDriverStub()
	d.busy.Store(true)
	l, ids := held(d, &d.stub, 2)
	defer l.Exit()
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() { wait(t, l, id).SGA.Free() })
	}
	<-d.sleeps // of one at least: the other parks at once if it comes meanwhile
	d.finish(nil)
	wg.Wait()
}

func TestDeadlockIsTheWaitersError(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 1)
	defer l.Exit()
	d.deadend.Store(true)
	if _, err := l.Wait(ctx, ids[0]); !errors.Is(err, api.ErrDeadlock) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := l.WaitNext(ctx, make([]api.Completion, 1)); !errors.Is(err, api.ErrDeadlock) {
		t.Errorf("WaitNext: %v", err)
	}
	// The op lives on; but a call of the net face ends its own.
	conn := must1(l.Net().ListenPacket("udp", "127.0.0.1:0"))
	if _, _, err := conn.ReadFrom(make([]byte, 1)); !errors.Is(err, api.ErrDeadlock) {
		t.Errorf("ReadFrom: %v", err)
	}
	d.deadend.Store(false)
	d.finish(nil)
	wait(t, l, ids[0]).SGA.Free()
}

// A transport that closes under a waiter ends his wait.
func TestTransportClosesUnderWaiter(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		var n int
		for c, err := range l.Completions(ctx) {
			if err != nil {
				if !errors.Is(err, net.ErrClosed) || n != len(ids) {
					t.Errorf("after %d completions: %v", n, err)
				}
				return
			}
			c.SGA.Free()
			n++
		}
	})
	<-d.sleeps
	d.Close()
	wg.Wait()
}

func TestPollingRunsATurn(t *testing.T) {
	d := newDriverStub()
	l, ids := held(d, &d.stub, 1)
	defer l.Exit()
	if _, err := l.Wait(ended, ids[0]); !errors.Is(err, context.Canceled) || d.turns.Load() != 1 {
		t.Errorf("Wait: %v, after %d turns", err, d.turns.Load())
	}
	d.finish(nil)
	c, err := l.Wait(ended, ids[0])
	if err != nil {
		t.Errorf("Wait, when it is done: %v", err)
	}
	c.SGA.Free()
}

func TestSpin(t *testing.T) {
	d := newDriverStub()
	l := api.New(d, api.Config{Spin: 5})
	defer l.Exit()
	qd := must1(l.Socket(api.TCP))
	d.hold = true
	pop := must1(l.Pop(qd))
	var wg sync.WaitGroup
	wg.Go(func() { wait(t, l, pop).SGA.Free() })
	<-d.sleeps
	if n := d.turns.Load(); n != 5 {
		t.Errorf("%d turns before the sleep, want 5", n)
	}
	d.finish(nil)
	wg.Wait()
}

// In the steady state nothing of ours is allocated.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools are not deterministic under the race detector")
	}
	l := api.New(&stub{}, api.Config{})
	defer l.Exit()
	qd := must1(l.Socket(api.TCP))
	sga := l.Alloc(1000)
	defer sga.Free()
	var out [4]api.Completion
	for name, f := range map[string]func(){
		"push and Wait": func() {
			must1(l.Wait(ctx, must1(l.Push(qd, sga))))
		},
		"pop and WaitNext": func() {
			must1(l.Pop(qd))
			must1(l.WaitNext(ctx, out[:]))
			out[0].SGA.Free()
		},
		"name": func() { must1(l.LocalAddr(qd)) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Neither is anything when goroutines meet.
func TestNoAllocationsParked(t *testing.T) {
	if raceEnabled {
		t.Skip("pools are not deterministic under the race detector")
	}
	s := &stub{hold: true}
	l := api.New(s, api.Config{})
	defer l.Exit()
	qd := must1(l.Socket(api.TCP))
	submitted := make(chan struct{})
	defer close(submitted)
	go func() {
		for range submitted {
			s.finish(nil)
		}
	}()
	n := testing.AllocsPerRun(1000, func() {
		id := must1(l.Pop(qd))
		submitted <- struct{}{}
		c, _ := l.Wait(ctx, id)
		c.SGA.Free()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A wait that gives up leaves completions in the order in which ops were done.
func TestGivingUpKeepsTheOrder(t *testing.T) {
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	qd := must1(l.MemoryQueue(api.MemoryLimit{}))
	never := must1(l.Pop(must1(l.MemoryQueue(api.MemoryLimit{}))))
	var ids [5]api.Token
	for i := range ids {
		ids[i] = must1(l.Push(qd, api.SGAOf([]byte{byte(i)})))
	}
	if _, err := l.WaitAll(ended, []api.Token{ids[3], ids[0], ids[2], never}); err != context.Canceled {
		t.Fatal(err)
	}
	var out [8]api.Completion
	n := must1(l.WaitNext(ctx, out[:]))
	for i, c := range out[:n] {
		if c.Token != ids[i] {
			t.Errorf("place %d: token %d, want %d", i, c.Token, ids[i])
		}
	}
	if n != len(ids) {
		t.Errorf("%d completions", n)
	}
}
