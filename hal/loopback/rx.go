package loopback

import (
	"sync"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// entry is a frame in a ring.
type entry struct {
	buf       *buffer
	off, size int32
	more      bool
	meta      hal.Meta
}

// rxQueue is a receive half: the ring that others send to, and the loans.
type rxQueue struct {
	dev   *device
	loans loans // of the owner
	spare []*txQueue
	told  told

	packets, bytes atomic.Uint64

	mu      sync.Mutex // guards the following
	ring    []entry
	head, n int        // the oldest entry, and how many there are
	closed  bool       // takes nothing any more
	waiting []*txQueue // have found the ring full since the last Rx
}

func newRxQueue(d *device) *rxQueue {
	return &rxQueue{dev: d, loans: newLoans(d.config.Frames), ring: make([]entry, d.config.Frames)}
}

// Notify implements [hal.Notifier].
func (q *rxQueue) Notify(f func()) { q.told.set(f) }

func (q *rxQueue) at(i int) *entry { return &q.ring[(q.head+i)%len(q.ring)] }

// room returns how many entries are free. Locked.
func (q *rxQueue) room() int { return len(q.ring) - q.n }

// put appends an entry; there is room. Locked.
func (q *rxQueue) put(e entry) {
	*q.at(q.n) = e
	q.n++
}

// next returns the length of the oldest chain. Locked, not empty.
func (q *rxQueue) next() int {
	n := 1
	for q.at(n - 1).more {
		n++
	}
	return n
}

func (q *rxQueue) Rx(fs []hal.Frame) (int, error) {
	if q.dev.closed.Load() {
		return 0, hal.ErrClosed
	}
	if len(fs) < q.dev.maxChain() {
		return 0, hal.ErrShortBurst
	}
	n, packets, bytes := 0, 0, 0
	q.mu.Lock()
	for q.n > 0 {
		c := q.next()
		if n+c > len(fs) || c > q.loans.left() {
			break
		}
		for range c {
			e := q.at(0)
			fs[n] = q.loans.lend(e.buf, int(e.off), int(e.size))
			fs[n].More, fs[n].Meta = e.more, e.meta
			bytes += int(e.size)
			*e = entry{}
			q.head = (q.head + 1) % len(q.ring)
			q.n--
			n++
		}
		packets++
	}
	var wake []*txQueue
	if n > 0 && len(q.waiting) > 0 {
		wake, q.waiting = q.waiting, q.spare[:0]
	}
	q.mu.Unlock()
	for i, tx := range wake {
		tx.told.call()
		wake[i] = nil
	}
	if wake != nil {
		q.spare = wake
	}
	q.packets.Add(uint64(packets))
	q.bytes.Add(uint64(bytes))
	return n, nil
}

func (q *rxQueue) Release(fs []hal.Frame) {
	if q.dev.closed.Load() {
		return
	}
	for i := range fs {
		q.loans.take(&fs[i]).release()
	}
}

// close empties the ring, refuses what comes, and wakes both sides.
func (q *rxQueue) close() {
	q.mu.Lock()
	q.closed = true
	lost := 0
	for ; q.n > 0; q.n-- {
		e := q.at(q.n - 1)
		if !e.more {
			lost++
		}
		e.buf.release()
		*e = entry{}
	}
	wake := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	q.dev.drops[rxClosed].Add(uint64(lost))
	for _, tx := range wake {
		tx.told.call()
	}
	q.told.call()
}

// told is whom a half tells of its readiness.
type told struct{ f atomic.Pointer[func()] }

func (t *told) set(f func()) {
	if f == nil {
		t.f.Store(nil)
		return
	}
	t.f.Store(&f)
}

func (t *told) call() {
	if f := t.f.Load(); f != nil {
		(*f)()
	}
}
