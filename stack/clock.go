package stack

import (
	"container/heap"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// clock is the host's time: gVisor's timers and the faces' deadlines in one
// heap, ordered by (when, order of arming). Nothing fires by itself: the turn
// calls run, and the next deadline bounds every sleep.
//
// Functions are never called inline, not even for a delay of 0, and never with
// the clock's lock held: gVisor arms timers under endpoint locks and takes those
// locks in their functions.
type clock struct {
	now func() time.Time
	// base is where the int64 nanoseconds below count from.
	base time.Time

	mu     sync.Mutex
	timers timerHeap
	armed  uint64 // how many timers have been armed

	// sleeping is the deadline of the goroutine that sleeps for this host, or
	// awake. A timer that becomes due earlier calls wake. Both sides store
	// first and then look at the other's variable, so one of them sees it.
	sleeping atomic.Int64
	wake     func()
}

const (
	awake = math.MinInt64 // nobody sleeps: no timer is earlier
	never = math.MaxInt64
)

func newClock(now func() time.Time, wake func()) *clock {
	c := &clock{now: now, base: now(), wake: wake}
	c.sleeping.Store(awake)
	return c
}

// nanos returns the time since base.
func (c *clock) nanos() int64 { return int64(c.now().Sub(c.base)) }

// time returns the moment that is ns after base.
func (c *clock) time(ns int64) time.Time { return c.base.Add(time.Duration(ns)) }

// next returns when the first timer is due, or never.
func (c *clock) next() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 {
		return never
	}
	return c.timers[0].when
}

// run calls the functions that are due now, at most limit of them, and reports
// whether it called any. Timers that they arm wait for the next run.
func (c *clock) run(limit int) bool {
	now := c.nanos()
	c.mu.Lock()
	newest := c.armed
	ran := false
	for ; limit > 0 && len(c.timers) > 0; limit-- {
		t := c.timers[0]
		if t.when > now || t.seq > newest {
			break
		}
		heap.Pop(&c.timers)
		c.mu.Unlock()
		t.f()
		ran = true
		c.mu.Lock()
	}
	c.mu.Unlock()
	return ran
}

// clear forgets all timers.
func (c *clock) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		t.at = -1
	}
	c.timers = nil
}

// A timer is in the heap at index at, or nowhere (-1).
type timer struct {
	c    *clock
	f    func()
	when int64
	seq  uint64
	at   int
}

func (c *clock) afterFunc(d time.Duration, f func()) *timer {
	t := &timer{c: c, f: f, at: -1}
	t.Reset(d)
	return t
}

// Stop prevents the call of f and reports whether it did.
func (t *timer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.at < 0 {
		return false
	}
	heap.Remove(&t.c.timers, t.at)
	return true
}

// Reset arms the timer anew, d from now.
func (t *timer) Reset(d time.Duration) {
	c := t.c
	when := c.nanos() + int64(max(d, 0))
	if when < 0 {
		when = never - 1 // too far to count
	}
	c.mu.Lock()
	c.armed++
	t.when, t.seq = when, c.armed
	if t.at < 0 {
		heap.Push(&c.timers, t)
	} else {
		heap.Fix(&c.timers, t.at)
	}
	c.mu.Unlock()
	if when < c.sleeping.Load() {
		c.wake()
	}
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].when != h[j].when {
		return h[i].when < h[j].when
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.at = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.at = -1
	return t
}

// stackClock is the clock as gVisor sees it.
type stackClock struct{ *clock }

func (c stackClock) Now() time.Time { return c.now() }

func (c stackClock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(time.Duration(c.nanos()))
}

func (c stackClock) AfterFunc(d time.Duration, f func()) tcpip.Timer { return c.afterFunc(d, f) }

// Now returns the host's time.
func (h *Host) Now() time.Time { return h.clock.now() }

// AfterFunc calls f once, d from now, within a turn: f may call Cancel, and
// must not block.
func (h *Host) AfterFunc(d time.Duration, f func()) api.Timer { return h.clock.afterFunc(d, f) }

var _ api.Timers = (*Host)(nil)
