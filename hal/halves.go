package hal

import (
	"sync/atomic"
	"time"
)

// The nap between two looks at a half that can only be polled.
const (
	shortNap = 20 * time.Microsecond
	longNap  = time.Millisecond
)

// halves is what every sleeper knows of its devices, and the part of its work
// that does not depend on how it blocks.
type halves struct {
	rxTells, txTells []Notifier // of receive halves and devices; of transmit halves
	pending          []Pending
	fds              map[int]fdUse // descriptors to wait for
	rxPolled         bool          // a receive half can only be polled
	lookers          []Looker      // those that say themselves whether it is worth it
	blind            bool          // and there are others
	txPolled         bool          // a transmit half can only be polled
	writable         *atomic.Bool  // as set by SetWritable
	pace             pace

	nap time.Duration // the last one; belongs to the goroutine in Wait
}

// fdUse says which halves share a descriptor.
type fdUse struct{ rx, tx bool }

func (h *halves) addDevice(d Device) error {
	for i := range d.Info().Queues {
		rx, tx, err := d.Queue(i)
		if err != nil {
			return err
		}
		h.addRx(rx)
		h.addTx(tx)
	}
	if n, ok := As[Notifier](d); ok {
		h.rxTells = append(h.rxTells, n)
	}
	return nil
}

func (h *halves) addRx(rx RxQueue) {
	h.pace.add(rx)
	n, tells := As[Notifier](rx)
	if tells {
		h.rxTells = append(h.rxTells, n)
	}
	if fd, ok := descriptor(rx); ok {
		h.use(fd, fdUse{rx: true})
	} else if _, pollable := As[Pollable](rx); pollable || !tells {
		// A pollable half notifies only of Close: without polling its
		// descriptor it has to be looked at.
		h.rxPolled = true
		l, ok := As[Looker](rx)
		h.blind = h.blind || !ok
		if ok {
			h.lookers = append(h.lookers, l)
		}
	}
	h.addPending(rx)
}

func (h *halves) addTx(tx TxQueue) {
	n, tells := As[Notifier](tx)
	if tells {
		h.txTells = append(h.txTells, n)
	}
	if fd, ok := descriptor(tx); ok {
		h.use(fd, fdUse{tx: true})
	} else if _, pollable := As[Pollable](tx); pollable || !tells {
		h.txPolled = true
	}
	h.addPending(tx)
}

// descriptor returns what to poll for a half, where that can be done.
func descriptor(half any) (int, bool) {
	if !canPoll {
		return 0, false
	}
	p, ok := As[Pollable](half)
	if !ok {
		return 0, false
	}
	return p.FD(), true
}

func (h *halves) use(fd int, u fdUse) {
	if h.fds == nil {
		h.fds = make(map[int]fdUse)
	}
	was := h.fds[fd]
	h.fds[fd] = fdUse{rx: was.rx || u.rx, tx: was.tx || u.tx}
}

func (h *halves) addPending(half any) {
	for v := half; v != nil; v = unwrap(v) {
		if p, ok := v.(Pending); ok {
			h.pending = append(h.pending, p)
		}
	}
}

// listen gives every notifier its function, and wakes: what became ready before
// has told nobody. An object that is both halves of its queue keeps one function
// only: the last, which is the one that always wakes.
func (h *halves) listen(wake func()) {
	whenWritable := func() {
		if h.writable.Load() {
			wake()
		}
	}
	for _, n := range h.txTells {
		n.Notify(whenWritable)
	}
	for _, n := range h.rxTells {
		n.Notify(wake)
	}
	wake()
}

// leave takes the functions back.
func (h *halves) leave() {
	for _, n := range h.txTells {
		n.Notify(nil)
	}
	for _, n := range h.rxTells {
		n.Notify(nil)
	}
}

// until returns when a Wait ends at the latest, the zero time for never: at the
// caller's deadline, when a delayed packet is due, or after a nap.
func (h *halves) until(deadline time.Time) time.Time {
	deadline = h.bound(deadline)
	if h.rxPolled || h.txPolled && h.writable.Load() {
		h.nap = min(max(2*h.nap, shortNap), longNap)
		deadline = earlier(deadline, time.Now().Add(h.nap))
	}
	return deadline
}

// bound returns when a Wait ends if nobody has to be looked at: at the caller's
// deadline, or when a delayed packet is due.
func (h *halves) bound(deadline time.Time) time.Time {
	for _, p := range h.pending {
		if at, ok := p.Pending(); ok {
			if at.IsZero() {
				at = past
			}
			deadline = earlier(deadline, at)
		}
	}
	return deadline
}

// past is a time that has passed whatever the clock says.
var past = time.Unix(1, 0)

// earlier returns the earlier of a deadline, which may be none, and a time.
func earlier(deadline, at time.Time) time.Time {
	if deadline.IsZero() || at.Before(deadline) {
		return at
	}
	return deadline
}
