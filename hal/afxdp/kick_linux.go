package afxdp

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// The pause before the kernel is asked again to send what it could not: it doubles.
const (
	shortPause = 50 * time.Microsecond
	longPause  = time.Millisecond
)

// Flush implements [hal.TxQueue]. What the kernel does not take stays in the ring:
// then Pending says when to flush again.
func (q *txQueue) Flush() error {
	fd := q.Lock()
	defer q.Unlock()
	switch {
	case fd < 0:
		return hal.ErrClosed
	case q.link.gone.Load():
		return q.errGone()
	}
	q.ring.publish()
	if q.link.down.Load() {
		q.retry.Store(0) // link says when it is up again
		return q.check()
	}
	if !q.unsent || time.Now().UnixNano() < q.retry.Load() {
		return q.check()
	}
	if err := q.kick(fd); err != nil {
		return err
	}
	q.reap()
	return q.check()
}

// Pending implements [hal.Pending]: packets in the ring that the kernel has not
// taken. Nobody says when it would: the descriptor tells of room in the ring.
func (q *txQueue) Pending() (time.Time, bool) {
	at := q.retry.Load()
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
		q.backOff()
		return nil
	}
	q.settle()
	return nil
}

// settle notes that the kernel has taken everything.
func (q *txQueue) settle() {
	q.unsent, q.pause = false, 0
	q.retry.Store(0)
}

// backOff leaves the kernel alone for a while.
func (q *txQueue) backOff() {
	q.pause = min(max(2*q.pause, shortPause), longPause)
	q.retry.Store(time.Now().Add(q.pause).UnixNano())
}
