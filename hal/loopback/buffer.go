package loopback

import (
	"fmt"
	"sync"

	"github.com/ringtail-net/ringtail/hal"
)

// smallBuffer holds an ordinary packet, and the headers of any.
const smallBuffer = 2048

// A buffer is memory for one frame, the headroom included. It belongs to one
// loan or to one entry of a ring, or is free.
type buffer struct {
	mem   []byte
	class *class
}

// A class is the free buffers of one size. What is free for long goes back to
// the garbage collector: an idle wire holds next to nothing.
type class struct {
	size int // without the headroom
	free sync.Pool
}

// classesOf returns the sizes of buffers a wire needs, the smallest first, so
// that an acknowledgement does not occupy the memory of a super-frame.
func classesOf(c *Config) []class {
	longest := c.longest()
	if c.Chunk > 0 {
		return []class{{size: c.Chunk}}
	}
	var cs []class
	for _, size := range []int{smallBuffer, c.packet(), longest} {
		size = min(size, longest)
		if n := len(cs); n == 0 || size > cs[n-1].size {
			cs = append(cs, class{size: size})
		}
	}
	return cs
}

// buffer returns a free buffer for size bytes, or as many of them as fit in the
// largest.
func (w *Wire) buffer(size int) *buffer {
	i := 0
	for i < len(w.classes)-1 && w.classes[i].size < size {
		i++
	}
	c := &w.classes[i]
	if b, ok := c.free.Get().(*buffer); ok {
		return b
	}
	return &buffer{mem: make([]byte, headroom+c.size), class: c}
}

func (b *buffer) release() { b.class.free.Put(b) }

// loans are the frames of one half that are on loan. A frame's ref is the number
// of its slot and how often the slot has been lent: a frame that is given back
// twice is noticed. Only the owner of the half uses it.
type loans struct {
	slots []slot
	free  []uint32 // slots not on loan
}

type slot struct {
	buf  *buffer
	lent uint32
}

func newLoans(n int) loans {
	l := loans{slots: make([]slot, n), free: make([]uint32, n)}
	for i := range l.free {
		l.free[i] = uint32(n - 1 - i)
	}
	return l
}

func (l *loans) left() int { return len(l.free) }

// lend makes a frame of size bytes at offset off of b. The caller has asked left.
func (l *loans) lend(b *buffer, off, size int) hal.Frame {
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	s := &l.slots[i]
	s.buf = b
	s.lent++
	return hal.NewFrame(b.mem, off, size, uint64(s.lent)<<32|uint64(i))
}

// find returns the buffer of a frame that is on loan. Anything else is a mistake
// of the program, and would corrupt packets later on: it panics.
func (l *loans) find(f *hal.Frame) *buffer {
	i, lent := uint32(f.Ref()), uint32(f.Ref()>>32)
	if int(i) >= len(l.slots) || l.slots[i].buf == nil || l.slots[i].lent != lent {
		panic(fmt.Sprintf("loopback: frame %#x is not on loan: given back twice, or to another half than its own", f.Ref()))
	}
	return l.slots[i].buf
}

// take ends a loan and returns the buffer.
func (l *loans) take(f *hal.Frame) *buffer {
	b := l.find(f)
	i := uint32(f.Ref())
	l.slots[i].buf = nil
	l.free = append(l.free, i)
	return b
}

// offset returns where in its buffer the content of a frame starts. It relies on
// Data being cut by plain slicing only, as the contract says, and verifies that.
func (b *buffer) offset(f *hal.Frame) int {
	off := len(b.mem) - cap(f.Data)
	if off < 0 || len(f.Data) > 0 && &b.mem[off] != &f.Data[0] {
		panic("loopback: Frame.Data is not a plain slice of the memory that Alloc lent")
	}
	return off
}
