package api

import (
	"context"
	"errors"
	"net"
	"time"
)

// Waiting, for both faces.
//
// A goroutine that waits is a waiter. One waiter of a LibOS at a time, the
// sleeper, may sleep in the transport's Driver and run its turns, so that a
// packet is processed by the goroutine that wants it; the others park on their
// channels. Whoever leaves as the sleeper wakes one of them to take over. All of
// this is about speed: the transport makes progress while nobody sleeps in it.
//
// The mutex of the LibOS guards everything here. It is never held while the
// transport or its driver is called.

// A waiter is a goroutine in a wait.
type waiter struct {
	called bool          // what it waits for may be there
	left   int           // of WaitAll: ops that are not done
	drive  bool          // it may become the sleeper
	parked bool          // it is, or will be, in a receive from ch
	ch     chan struct{} // holds one signal
	heir   node[waiter]  // in LibOS.heirs while it is parked and may drive, or in LibOS.idle
	taker  node[waiter]  // in LibOS.takers while it waits for any completion
}

// newWaiter returns a waiter. They are kept by LibOS, not in a pool of the
// process: a channel belongs to the [testing/synctest] bubble it was made in.
// l.mu is held.
func (l *LibOS) newWaiter() *waiter {
	w := l.idle.pop()
	if w == nil {
		w = &waiter{ch: make(chan struct{}, 1)}
		w.heir.of, w.taker.of = w, w
	}
	w.called, w.left, w.drive = false, 0, l.driver != nil && !l.dead
	return w
}

// freeWaiter takes back a waiter that nobody knows any more. l.mu is held.
func (l *LibOS) freeWaiter(w *waiter) {
	select {
	case <-w.ch: // a signal that came too late
	default:
	}
	if l.idle.n < maxIdle {
		l.idle.push(&w.heir)
	}
}

// maxIdle bounds the waiters, and the calls, that are kept.
const maxIdle = 1024

func (w *waiter) signal() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// call tells w to look again. If it returns true, w sleeps in the driver and the
// caller must call Wake once it has released l.mu. l.mu is held.
func (l *LibOS) call(w *waiter) (wake bool) {
	w.called = true
	if w.parked {
		w.signal()
	}
	return l.sleeper == w && l.asleep.Load()
}

// wait returns nil once w has been called, else the reason why it gave up: the
// end of ctx, or the driver's. With a ctx that has ended it polls: it runs one
// turn. l.mu is held, and released meanwhile.
func (l *LibOS) wait(ctx context.Context, w *waiter) error {
	defer l.abdicate(w)
	spin := l.cfg.Spin
	if ctx.Err() != nil {
		spin = 1
	}
	for !w.called {
		switch {
		case w.drive && spin > 0:
			spin--
			l.mu.Unlock()
			l.driver.Turn()
			l.mu.Lock()
		case ctx.Err() != nil:
			return ctx.Err()
		case !w.drive || l.sleeper != nil && l.sleeper != w:
			l.park(ctx, w)
		default:
			if err := l.sleep(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// park waits for a signal, or the end of ctx. l.mu is held, and released
// meanwhile.
func (l *LibOS) park(ctx context.Context, w *waiter) {
	w.parked = true
	if w.drive {
		l.heirs.push(&w.heir)
	}
	l.mu.Unlock()
	select {
	case <-w.ch:
	case <-ctx.Done():
	}
	l.mu.Lock()
	w.heir.remove()
	w.parked = false
}

// sleep waits as the sleeper and runs a turn. l.mu is held, and released
// meanwhile.
func (l *LibOS) sleep(ctx context.Context, w *waiter) error {
	l.sleeper = w
	l.watch(ctx)
	l.asleep.Store(true)
	l.mu.Unlock()
	err := l.driver.Sleep(time.Time{})
	l.asleep.Store(false)
	if err == nil {
		l.driver.Turn()
	}
	l.mu.Lock()
	switch {
	case errors.Is(err, ErrBusy):
		// Somebody outside this LibOS sleeps, and will see to our ops too.
		l.sleeper = nil
		if !w.called {
			l.park(ctx, w)
		}
		return nil
	case errors.Is(err, net.ErrClosed), err != nil && l.exiting:
		w.drive = false
		l.die()
		return nil
	}
	return err
}

// abdicate ends w's being the sleeper, if it is, and lets another take over.
// l.mu is held.
func (l *LibOS) abdicate(w *waiter) {
	if l.sleeper != w {
		return
	}
	l.sleeper = l.heirs.pop()
	if l.sleeper != nil {
		l.sleeper.signal()
	}
}

// watch sees to it that the end of ctx wakes the sleeper. It remembers the last
// context, because most often the next one is the same. l.mu is held.
func (l *LibOS) watch(ctx context.Context) {
	if ctx.Done() == nil || ctx.Done() == l.watched {
		return
	}
	if l.unwatch != nil {
		l.unwatch()
	}
	l.watched = ctx.Done()
	l.unwatch = context.AfterFunc(ctx, l.wakeSleeper)
}

func (l *LibOS) wakeSleeper() {
	l.mu.Lock()
	wake := l.asleep.Load()
	l.mu.Unlock()
	if wake {
		l.driver.Wake()
	}
}
