package afxdp

import "sync/atomic"

// A ring is a queue in memory that is shared with the kernel: slots, a power of
// two of them, and two indexes that only grow, past 2^32 too. One side produces
// and the other consumes; each writes its own index alone. Here is the
// arithmetic, and no system call.
//
// Both indexes have a copy in our own memory: ours is ahead of the shared one until
// it is published, once a burst, and theirs is looked at only when the copy says
// that there is too little. That saves the traffic of a cache line per frame.
//
// What the other side says is not believed. The distance of the indexes is the
// number of filled slots; where it is larger than the ring, nothing can be told
// any more. Then the ring is broken for good, and for its user empty, or full.
type ring[T any] struct {
	slots []T
	mine  *atomic.Uint32 // the shared index that this side writes
	other *atomic.Uint32 // the one that the other side writes
	flags *atomic.Uint32 // the other side's wishes

	next   uint32 // ours: the next slot
	seen   uint32 // theirs, when we looked last
	broken bool
}

// wakeup is the flag by which the other side asks for a system call
// (XDP_RING_NEED_WAKEUP).
const wakeup = 1

// needsWakeup reports whether the other side has stopped looking, and wants to
// be woken. Ask after publish: Go's atomics keep the two in order.
func (r *ring[T]) needsWakeup() bool { return r.flags.Load()&wakeup != 0 }

// publish shows the other side how far we are.
func (r *ring[T]) publish() { r.mine.Store(r.next) }

// distance checks how many slots are filled, by two indexes.
func (r *ring[T]) distance(producer, consumer uint32) int {
	n := producer - consumer
	if r.broken || n > uint32(len(r.slots)) {
		r.broken = true
		return -1
	}
	return int(n)
}

func (r *ring[T]) slot(index uint32) *T { return &r.slots[index&uint32(len(r.slots)-1)] }

// A producer is our side of a ring that the kernel consumes.
type producer[T any] struct{ ring[T] }

// start takes over the indexes as they are.
func (r *producer[T]) start() { r.next, r.seen = r.mine.Load(), r.other.Load() }

// room returns how many slots are free. It looks at the kernel's index only if
// fewer than want are known to be.
func (r *producer[T]) room(want int) int {
	if n := len(r.slots) - int(r.next-r.seen); n >= want && !r.broken {
		return n
	}
	return len(r.slots) - r.look()
}

// look returns how many slots are filled, and all of them if the ring is broken.
func (r *producer[T]) look() int {
	r.seen = r.other.Load()
	n := r.distance(r.next, r.seen)
	if n < 0 {
		r.seen = r.next - uint32(len(r.slots))
		return len(r.slots)
	}
	return n
}

// put fills the next slot. There must be room.
func (r *producer[T]) put(v T) {
	*r.slot(r.next) = v
	r.next++
}

// A consumer is our side of a ring that the kernel produces.
type consumer[T any] struct{ ring[T] }

// start takes over the indexes as they are.
func (r *consumer[T]) start() { r.next, r.seen = r.mine.Load(), r.other.Load() }

// ready returns how many slots are filled. It looks at the kernel's index only if
// fewer than want are known to be.
func (r *consumer[T]) ready(want int) int {
	if n := int(r.seen - r.next); n >= want && !r.broken && n <= len(r.slots) {
		return n
	}
	r.seen = r.other.Load()
	n := r.distance(r.seen, r.next)
	if n < 0 {
		r.seen = r.next
		return 0
	}
	return n
}

// peek returns the i-th of the slots that are ready. It is read once: the memory
// is shared, so a second look may see something else.
func (r *consumer[T]) peek(i int) T { return *r.slot(r.next + uint32(i)) }

// skip is done with n slots that were ready.
func (r *consumer[T]) skip(n int) { r.next += uint32(n) }

// desc is a slot of the receive and transmit rings: struct xdp_desc.
type desc struct {
	addr    uint64 // of the first byte, in the memory shared with the kernel
	size    uint32
	options uint32
}

// Options of a desc.
const (
	optContinued = 1 // the packet goes on in the next slot (XDP_PKT_CONTD)
	optMetadata  = 2 // there is metadata before the packet (XDP_TX_METADATA)
)
