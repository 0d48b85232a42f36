package api

import (
	"os"
	"sync"
	"time"
)

// realTime is the time of transports that have none of their own.
type realTime struct{}

func (realTime) Now() time.Time { return time.Now() }

func (realTime) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// A deadline cancels calls of one direction of a connection. Its mutex is a
// leaf: it is not held while the transport or its timers are called, because
// they may call expire under a lock of their own.
type deadline struct {
	timers Timers

	mu      sync.Mutex
	setting uint64 // counts calls of set; an older timer means nothing
	timer   Timer
	expired bool
	closed  bool // nothing can be set any more
	calls   list[call]
}

// set moves the deadline; the zero time is none. One that is past ends the
// pending calls.
func (d *deadline) set(t time.Time) {
	setting, ok := d.reset(false)
	if !ok || t.IsZero() {
		return
	}
	left := t.Sub(d.timers.Now())
	if left <= 0 {
		d.expire(setting)
		return
	}
	timer := d.timers.AfterFunc(left, func() { d.expire(setting) })
	d.mu.Lock()
	current := d.setting == setting
	if current && !d.expired {
		d.timer = timer
	}
	d.mu.Unlock()
	if !current {
		timer.Stop()
	}
}

// close takes the deadline away for good: who sets one at the same time leaves no
// timer behind.
func (d *deadline) close() { d.reset(true) }

// reset takes the deadline away, and says whether there may be a next one.
func (d *deadline) reset(last bool) (setting uint64, ok bool) {
	d.mu.Lock()
	d.closed = d.closed || last
	d.setting++
	setting, ok = d.setting, !d.closed
	old := d.timer
	d.timer, d.expired = nil, false
	d.mu.Unlock()
	if old != nil {
		old.Stop()
	}
	return setting, ok
}

// expire ends the pending calls, if the deadline is still that of setting.
func (d *deadline) expire(setting uint64) {
	for {
		d.mu.Lock()
		if d.setting != setting {
			d.mu.Unlock()
			return
		}
		d.timer, d.expired = nil, true
		c := d.calls.pop()
		if c == nil {
			d.mu.Unlock()
			return
		}
		t, ticket, pending := c.t, c.ticket, c.doom(os.ErrDeadlineExceeded)
		d.mu.Unlock()
		if pending {
			t.Cancel(ticket, os.ErrDeadlineExceeded)
		}
	}
}

// begin puts c under the deadline until end. It fails if that has passed.
func (d *deadline) begin(c *call) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expired {
		return os.ErrDeadlineExceeded
	}
	d.calls.push(&c.due)
	return nil
}

func (d *deadline) end(c *call) {
	d.mu.Lock()
	c.due.remove()
	d.mu.Unlock()
}
