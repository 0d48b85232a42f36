package afxdp

import (
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// pair makes both sides of a ring over the same memory, at an index that wraps
// around soon.
func pair(size int, at uint32) (p *producer[uint64], c *consumer[uint64]) {
	p, c = new(producer[uint64]), new(consumer[uint64])
	p.slots = make([]uint64, size)
	p.mine, p.other, p.flags = new(atomic.Uint32), new(atomic.Uint32), new(atomic.Uint32)
	p.mine.Store(at)
	p.other.Store(at)
	c.slots, c.mine, c.other, c.flags = p.slots, p.other, p.mine, p.flags
	p.start()
	c.start()
	return p, c
}

// A ring is a queue of what was published and not yet consumed, and both sides
// know its length as well as what they have looked at allows.
func TestRingIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 1 << rapid.IntRange(0, 5).Draw(t, "log size")
		p, c := pair(size, rapid.Uint32Range(1<<32-3*32, 1<<32-1).Draw(t, "start"))
		var put, published, taken, released int // counts, from the start
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				want := rapid.IntRange(1, size+1).Draw(t, "want")
				room := p.room(want)
				if free := size - (put - released); room > free || want <= free && room < want {
					t.Fatalf("room(%d) = %d, and %d slots are free", want, room, free)
				}
				for range min(want, room) {
					p.put(uint64(put))
					put++
				}
			},
			"publish": func(t *rapid.T) {
				p.publish()
				published = put
			},
			"take": func(t *rapid.T) {
				want := rapid.IntRange(1, size+1).Draw(t, "want")
				ready := c.ready(want)
				if full := published - taken; ready > full || want <= full && ready < want {
					t.Fatalf("ready(%d) = %d, and %d slots are full", want, ready, full)
				}
				n := min(want, ready)
				for i := range n {
					if got := c.peek(i); got != uint64(taken+i) {
						t.Fatalf("entry %d is %d", taken+i, got)
					}
				}
				c.skip(n)
				taken += n
			},
			"release": func(t *rapid.T) {
				c.publish()
				released = taken
			},
			"": func(t *rapid.T) {
				if p.broken || c.broken {
					t.Fatal("a ring in order is called broken")
				}
			},
		})
	})
}

// Whatever the other side writes, nobody reads or writes outside of the ring, and
// no call says more than its size.
func FuzzRingOtherSide(f *testing.F) {
	f.Add(uint8(3), uint32(0), uint32(8), uint32(9))
	f.Add(uint8(0), uint32(1<<32-1), uint32(0), uint32(1))
	f.Add(uint8(5), uint32(1<<32-4), uint32(28), uint32(29))
	f.Fuzz(func(t *testing.T, log uint8, at, first, second uint32) {
		size := 1 << (log % 8)
		p, c := pair(size, at)
		c.other = new(atomic.Uint32) // the sides are strangers now
		c.other.Store(at)
		for _, says := range []uint32{first, second} {
			p.other.Store(says)
			wasBroken := p.broken
			room := p.room(size + 1) // more than there can be: it has to look
			if room < 0 || room > size || wasBroken && room > 0 {
				t.Fatalf("room of %d slots: %d", size, room)
			}
			if sane := p.next-says <= uint32(size); !wasBroken && p.broken == sane {
				t.Fatalf("index %#x after %#x, %d slots: broken is %v", says, p.next, size, p.broken)
			}
			for range room {
				p.put(1)
			}
			p.publish()

			c.other.Store(says)
			wasBroken = c.broken
			ready := c.ready(size)
			if ready < 0 || ready > size || wasBroken && ready > 0 {
				t.Fatalf("ready of %d slots: %d", size, ready)
			}
			for i := range ready {
				c.peek(i)
			}
			c.skip(ready)
			c.publish()
			if more := c.ready(1); more < 0 || more > size {
				t.Fatalf("ready of %d slots: %d", size, more)
			}
		}
	})
}

func TestWakeupFlag(t *testing.T) {
	p, _ := pair(4, 0)
	if p.needsWakeup() {
		t.Error("wakes a kernel that is awake")
	}
	p.flags.Store(wakeup)
	if !p.needsWakeup() {
		t.Error("lets a sleeping kernel sleep")
	}
}
