package wrap

import (
	"sort"
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// A hold keeps packets until they are due, in memory of its own. The owner of a
// half fills and empties it; the sleeper beside it asks for the next moment, and
// Close empties it for good: hence the lock, under which nothing is called.
type hold struct {
	mu     sync.Mutex
	queue  []held    // by time; equal ones in the order of their coming
	bytes  int       // memory of queue
	limit  int       // of bytes: what comes when it is reached has to wait
	retry  time.Time // if set, there is no use in coming earlier
	closed bool
}

// held is a packet in a hold.
type held struct {
	at     time.Time
	packet []byte // the buffer is its whole capacity
	valid  bool   // a device has verified its checksum
}

// push adds a packet, and reports false if the hold is closed.
func (h *hold) push(p held) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	at := len(h.queue)
	if at > 0 && p.at.Before(h.queue[at-1].at) {
		at = sort.Search(at, func(i int) bool { return h.queue[i].at.After(p.at) })
	}
	h.queue = append(h.queue, held{})
	copy(h.queue[at+1:], h.queue[at:])
	h.queue[at] = p
	h.bytes += cap(p.packet)
	return true
}

// pop takes the first packet if it is due.
func (h *hold) pop(now time.Time) (held, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 || h.queue[0].at.After(now) {
		return held{}, false
	}
	p := h.queue[0]
	h.retry = time.Time{}
	h.queue[0] = held{}
	h.queue = h.queue[1:]
	h.bytes -= cap(p.packet)
	return p, true
}

// unpop puts packets back that were popped and could not go on. They keep their
// place, in front; the hold asks to be visited again at retry.
func (h *hold) unpop(ps []held, retry time.Time) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.queue = append(append(make([]held, 0, len(ps)+len(h.queue)), ps...), h.queue...)
	for _, p := range ps {
		h.bytes += cap(p.packet)
	}
	h.retry = retry
	return true
}

// pending returns when the first packet can go on.
func (h *hold) pending() (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return time.Time{}, false
	}
	at := h.queue[0].at
	if at.Before(h.retry) {
		at = h.retry
	}
	return at, true
}

// full reports whether new packets have to wait.
func (h *hold) full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes >= h.limit
}

// close drops everything, and what is pushed later. It returns how many packets
// were lost.
func (h *hold) close() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.queue)
	h.queue, h.bytes, h.closed = nil, 0, true
	return n
}

// buffers is a free list of packet memory in a few sizes. One goroutine uses it.
type buffers [len(bufferSizes)][][]byte

var bufferSizes = [...]int{256, 2 << 10, 16 << 10, 72 << 10}

// spare is how much memory a free list keeps of each size.
const spare = 1 << 20

// take returns a buffer of size bytes with undefined content.
func (b *buffers) take(size int) []byte {
	for i, max := range bufferSizes {
		if size > max {
			continue
		}
		if n := len(b[i]); n > 0 {
			buf := b[i][n-1]
			b[i] = b[i][:n-1]
			return buf[:size]
		}
		return make([]byte, size, max)
	}
	return make([]byte, size)
}

// give takes a buffer back.
func (b *buffers) give(buf []byte) {
	for i, size := range bufferSizes {
		if cap(buf) == size && len(b[i]) < spare/size {
			b[i] = append(b[i], buf[:0])
		}
	}
}

// loans are the buffers lent as frames, found again by the frame's ref. One
// goroutine uses it. The zero value lends nothing; see newLoans.
type loans struct {
	bufs [][]byte
	free []uint64
}

func newLoans(n int) loans {
	l := loans{bufs: make([][]byte, n), free: make([]uint64, n)}
	for i := range l.free {
		l.free[i] = uint64(n - 1 - i)
	}
	return l
}

func (l *loans) left() int { return len(l.free) }

// lend makes a frame of a buffer; there must be a loan left.
func (l *loans) lend(buf []byte, headroom int) hal.Frame {
	ref := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	l.bufs[ref] = buf
	return hal.NewFrame(buf, headroom, len(buf)-headroom, ref)
}

// back ends a loan and returns the buffer, or nil if there was no such loan.
func (l *loans) back(f *hal.Frame) []byte {
	ref := f.Ref()
	if ref >= uint64(len(l.bufs)) || l.bufs[ref] == nil {
		return nil
	}
	buf := l.bufs[ref]
	l.bufs[ref] = nil
	l.free = append(l.free, ref)
	return buf
}
