package afxdp

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// The pause before the kernel is asked again: it doubles.
const (
	shortPause = 50 * time.Microsecond
	longPause  = time.Millisecond
)

// A recess leaves the kernel alone for a while.
type recess struct {
	until atomic.Int64 // in ns since 1970; 0: there is none
	last  time.Duration
}

// begin begins a recess, longer than the last one.
func (r *recess) begin() {
	r.last = min(max(2*r.last, shortPause), longPause)
	r.until.Store(time.Now().Add(r.last).UnixNano())
}

// end notes that there was progress.
func (r *recess) end() {
	if r.last != 0 {
		r.last = 0
		r.until.Store(0)
	}
}

// over reports whether none is under way.
func (r *recess) over() bool {
	at := r.until.Load()
	return at == 0 || time.Now().UnixNano() >= at
}

// Flush implements [hal.TxQueue]. What the kernel does not take stays in the ring:
// then Pending says when to flush again.
func (q *txQueue) Flush() error {
	fd := q.half.Lock()
	defer q.half.Unlock()
	switch {
	case fd < 0:
		return hal.ErrClosed
	case q.link.gone.Load():
		return q.errGone()
	}
	if q.dirty {
		q.ring.publish()
	}
	switch {
	case q.link.down.Load():
		q.unsent.end() // we hear when it is up again
	case q.dirty && q.unsent.over():
		if err := q.kick(fd); err != nil {
			return err
		}
	}
	if q.reap(); len(q.pool.free) >= q.txChain {
		q.starved.end()
		return q.check()
	}
	if q.starved.last > 0 {
		return q.full()
	}
	return q.check()
}

// Pending implements [hal.Pending]: packets are in the ring that the kernel has
// not taken, or all chunks are with it. The descriptor does not tell: it is called
// writable while half of the ring is free, also when there is not one chunk
// to write to, and nobody says when the kernel would take more.
func (q *txQueue) Pending() (time.Time, bool) {
	at, other := q.unsent.until.Load(), q.starved.until.Load()
	if at == 0 || other != 0 && other < at {
		at = other
	}
	return time.Unix(0, at), at != 0
}

// kick makes the kernel send what is in the ring. When it copies, that happens in
// this very call: a packet at a time, until the ring is empty or something is in
// the way.
func (q *txQueue) kick(fd int) error {
	if q.zero {
		// The card does it by itself; it only has to be told if it sleeps.
		if q.ring.needsWakeup() {
			_ = unix.Send(fd, nil, unix.MSG_DONTWAIT)
		}
		q.settle()
		return nil
	}
	for left := q.ring.look(); left > 0; {
		err := unix.Send(fd, nil, unix.MSG_DONTWAIT)
		was := left
		left = q.ring.look()
		switch err {
		case nil: // all is sent, though the index may show it with the next packet only
			q.settle()
			return nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			if left < was {
				continue // so much at a time, says the kernel
			}
			// Packets of ours that nobody has received yet fill the socket's
			// send buffer, or the interface has no room.
		case unix.EBUSY:
			q.dropped(txBusy)
		case unix.ENOBUFS, unix.ENOMEM, unix.ENETDOWN:
		case unix.ENXIO, unix.ENODEV:
			q.link.gone.Store(true)
			return q.errGone()
		default:
			return fmt.Errorf("afxdp: sending to interface %s: %w", q.name, err)
		}
		q.unsent.begin()
		return nil
	}
	q.settle()
	return nil
}

// settle notes that the kernel has taken everything.
func (q *txQueue) settle() {
	q.dirty = false
	q.unsent.end()
}
