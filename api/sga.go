package api

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
)

// An SGA is a scatter-gather array: the bytes of one push or pop, in one or more
// segments, in order. It is a value; copies of it are the same array.
//
// The array of a pop, and one from [LibOS.Alloc], is on loan: whoever holds it
// gives it back with Free, once. A push borrows it until its completion, which
// hands it back: to be pushed again, read, or freed. Meanwhile nobody writes to
// it or frees it. Several pushes may borrow it at once.
//
// An SGA has no lock: it is one goroutine's at a time, who may hand it on. Free
// and the counters that Alloc keeps are safe in any goroutine.
type SGA struct {
	// Segs are the segments. They may be shortened in place, to pop less of a
	// header or to push less than was allocated.
	Segs [][]byte

	lease *lease // nil if the memory is the user's
	owner *LibOS // of the lease
	gen   uint32
}

// SGAOf makes an array of memory that belongs to the caller. A push borrows it
// like any other; Free does nothing.
func SGAOf(segs ...[]byte) SGA { return SGA{Segs: segs} }

// Len returns the number of bytes.
func (s SGA) Len() int {
	n := 0
	for _, seg := range s.Segs {
		n += len(seg)
	}
	return n
}

// Append appends the bytes to p and returns the result.
func (s SGA) Append(p []byte) []byte {
	for _, seg := range s.Segs {
		p = append(p, seg...)
	}
	return p
}

// Free gives the memory back. It must not be used afterwards, through any copy
// of s. The zero SGA, an empty one, and one of the user's own memory may be
// freed as well: nothing happens. Freeing twice, or during a push, does nothing
// but is counted in [Stats] and logged.
func (s SGA) Free() {
	if s.lease != nil {
		s.end()
	}
}

// Pieces of memory are powers of two from 1<<minPiece to 1<<maxPiece bytes;
// what is longer takes several.
const (
	minPiece = 8
	maxPiece = 16
)

// A lease is a piece of memory, and while it is on loan as an SGA, the state of
// that. What is longer than a piece has more of them, whose own state is not
// used. Leases are pooled; the generation tells one use from the next.
type lease struct {
	buf  []byte // 1<<size bytes
	size int
	more []*lease

	segs  [][]byte
	bytes int64

	// state is the generation, and below it how many pushes borrow the array,
	// and whether its only push was dropped.
	state atomic.Uint64
}

// dropped in a lease's state: the push frees the array, and nobody else has it.
const dropped = 1 << 31

var leases [maxPiece + 1]sync.Pool

// piece returns memory for n bytes, more than 0, or as much as one has.
func piece(n int) *lease {
	size := min(max(bits.Len(uint(n-1)), minPiece), maxPiece)
	if a, ok := leases[size].Get().(*lease); ok {
		return a
	}
	return &lease{buf: make([]byte, 1<<size), size: size}
}

type sgaCounters struct {
	live, bytes atomic.Int64
	misused     atomic.Uint64
}

// Alloc returns an array of size bytes, in segments of at most 64 KiB. Its
// content is undefined. It belongs to the caller until Free. A size of 0 or less
// gives an empty array.
func (l *LibOS) Alloc(size int) SGA {
	if size <= 0 {
		return SGA{}
	}
	s := newLease(size).give(l)
	l.tracker.hold(s.lease)
	return s
}

// newLease returns size bytes, more than 0, that are nobody's yet.
func newLease(size int) *lease {
	a := piece(size)
	n := min(size, len(a.buf))
	a.segs, a.bytes = append(a.segs, a.buf[:n:n]), int64(len(a.buf))
	for size -= n; size > 0; size -= n {
		m := piece(size)
		n = min(size, len(m.buf))
		a.more, a.segs = append(a.more, m), append(a.segs, m.buf[:n:n])
		a.bytes += int64(len(m.buf))
	}
	return a
}

// give gives the memory to the users of l.
func (a *lease) give(l *LibOS) SGA {
	l.sgas.live.Add(1)
	l.sgas.bytes.Add(a.bytes)
	return SGA{Segs: a.segs, lease: a, owner: l, gen: uint32(a.state.Load() >> 32)}
}

// trim cuts the array to its first n bytes.
func (s *SGA) trim(n int) {
	for i, seg := range s.Segs {
		if n < len(seg) {
			s.Segs[i] = seg[:n:n]
			if n > 0 {
				i++
			}
			s.Segs = s.Segs[:i]
			return
		}
		n -= len(seg)
	}
}

// lend notes that a push borrows the array. It returns false if it is not there
// any more.
func (s SGA) lend() bool {
	a := s.lease
	if a == nil {
		return true
	}
	for {
		v := a.state.Load()
		switch {
		case uint32(v>>32) != s.gen:
			s.misuse("pushed after it was freed")
			return false
		case v&dropped != 0:
			s.misuse("pushed after its push was dropped")
			return false
		}
		if a.state.CompareAndSwap(v, v+1) {
			s.owner.tracker.letGo(a)
			return true
		}
	}
}

// restore notes that a push gave the array back.
func (s SGA) restore() {
	if s.lease != nil {
		s.lease.state.Add(^uint64(0))
	}
}

// drop notes that the array is the business of one push alone from here on, which
// is over or not. It returns false if another push has it too.
func (s SGA) drop(over bool) bool {
	a, borrowed := s.lease, uint64(1)
	if over {
		borrowed = 0
	}
	v := uint64(s.gen)<<32 | borrowed
	return a == nil || a.state.CompareAndSwap(v, v|dropped)
}

// freeDropped is Free at the end of a push that was dropped.
func (s SGA) freeDropped() {
	if s.lease != nil {
		s.lease.state.And(^uint64(dropped))
		s.Free()
	}
}

func (s SGA) end() {
	a, l := s.lease, s.owner
	for {
		v := a.state.Load()
		switch {
		case uint32(v>>32) != s.gen:
			s.misuse("freed twice")
			return
		case uint32(v) != 0:
			s.misuse("freed while a push borrows it")
			return
		}
		l.tracker.letGo(a) // before it can be somebody else's
		if a.state.CompareAndSwap(v, uint64(s.gen+1)<<32) {
			break
		}
	}
	l.sgas.live.Add(-1)
	l.sgas.bytes.Add(-a.bytes)
	if l.cfg.Strict {
		poison(a.buf)
		for _, m := range a.more {
			poison(m.buf)
		}
	}
	a.recycle()
}

// recycle puts the memory back into the pools.
func (a *lease) recycle() {
	for i, m := range a.more {
		leases[m.size].Put(m)
		a.more[i] = nil
	}
	clear(a.segs)
	a.more, a.segs = a.more[:0], a.segs[:0]
	leases[a.size].Put(a)
}

// poison fills freed memory, so that its use shows.
func poison(p []byte) {
	for i := range p {
		p[i] = 0xdb
	}
}

func (s SGA) misuse(what string) {
	l := s.owner
	l.sgas.misused.Add(1)
	l.cfg.Logger.Error("api: misuse of an SGA", "error", what)
	if l.cfg.Strict {
		panic(fmt.Sprintf("api: an SGA was %s", what))
	}
}
