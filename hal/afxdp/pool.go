package afxdp

import (
	"fmt"
	"math/bits"
)

// layout is how the memory that is shared with the kernel is divided: into chunks,
// each of which holds a frame, and these among the halves of the queues.
type layout struct {
	chunk   int // bytes of a chunk, a power of two
	rx, tx  int // chunks of a half of each queue
	fill    int // slots of the fill ring: room for all of rx
	rxRing  int // slots of the receive ring
	txRing  int // slots of the transmit and completion rings: room for all of tx
	loans   int // received chunks that may be lent at a time
	rxChain int // most chunks of a packet
	txChain int
	meta    int // bytes of metadata before a packet to send; 0: the kernel has none
}

// The kernel's headroom at the start of a received chunk (XDP_PACKET_HEADROOM),
// and that of the users of this driver in one to send.
const (
	kernelRoom = 256
	headroom   = 64
)

// metaLength is the length of the metadata before a packet to send (struct
// xsk_tx_metadata).
const metaLength = 24

// overhead is how much longer than the MTU a packet may be: by its Ethernet
// header, and a tag (IEEE 802.1Q) that is not counted either.
const overhead = 14 + 4

// defaultFrames gives the fill ring 4096 frames when the receive ring is full:
// with half of that, a machine with few cores loses frames in a flood.
const defaultFrames = 8192

// newLayout divides frames chunks, a power of two, of one queue. Chunks are as
// small as the packets allow: the kernel takes 2 KiB or 4 KiB.
func newLayout(frames, mtu, meta int) layout {
	if frames == 0 {
		frames = defaultFrames
	}
	l := layout{chunk: 2048, meta: meta}
	if mtu+overhead > l.chunk-kernelRoom {
		l.chunk = 4096
	}
	l.tx = frames / 4
	l.rx = frames - l.tx
	l.fill, l.rxRing, l.txRing, l.loans = frames, frames/4, l.tx, frames/4
	l.rxChain = pieces(mtu+overhead, l.chunk-kernelRoom)
	l.txChain = pieces(mtu+overhead, l.payload())
	return l
}

// payload is how many bytes of a packet fit a chunk to send.
func (l *layout) payload() int { return l.chunk - headroom - l.meta }

func (l *layout) maxChain() int { return max(l.rxChain, l.txChain) }

// pieces is how many pieces of a size something has.
func pieces(n, size int) int { return max(1, (n+size-1)/size) }

// holder says who has a chunk.
type holder uint8

const (
	idle   holder = iota // nobody
	lent                 // our user
	kernel               // the kernel, or it is in a ring on the way there or back
)

// A pool is the chunks of one half. It knows where each of them is, so that
// nothing the kernel says can make one memory two frames. It has one owner, like
// the half.
type pool struct {
	mem   []byte // the whole memory
	shift int    // of a chunk's number to its address
	first uint64 // number of the first chunk
	where []holder
	free  []uint64 // numbers of the idle ones; the last that came back is lent first
	out   int      // how many are lent

	counted bool // the device is closed, and count has said how many are out
}

func newPool(mem []byte, chunk int, first uint64, n int) pool {
	p := pool{mem: mem, shift: bits.TrailingZeros(uint(chunk)), first: first, where: make([]holder, n), free: make([]uint64, n)}
	for i := range p.free {
		p.free[i] = first + uint64(n-1-i)
	}
	return p
}

// size is the size of a chunk.
func (p *pool) size() int { return 1 << p.shift }

// chunk returns the memory of a chunk, and no more than that.
func (p *pool) chunk(n uint64) []byte {
	at := int(n << p.shift)
	return p.mem[at : at+p.size() : at+p.size()]
}

// get takes an idle chunk. There must be one.
func (p *pool) get(to holder) (n uint64) {
	n = p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.move(n, to)
	return n
}

// put makes a chunk idle.
func (p *pool) put(n uint64) {
	p.move(n, idle)
	p.free = append(p.free, n)
}

// move notes that a chunk of this pool is somewhere else now.
func (p *pool) move(n uint64, to holder) {
	w := &p.where[n-p.first]
	if *w == lent {
		p.out--
	}
	if to == lent {
		p.out++
	}
	*w = to
}

// count returns how many chunks are lent when the device is closed.
func (p *pool) count() int {
	p.counted = true
	return p.out
}

// has reports whether n is the number of a chunk of this pool, with that holder.
func (p *pool) has(n uint64, at holder) bool {
	return n >= p.first && n-p.first < uint64(len(p.where)) && p.where[n-p.first] == at
}

// find returns the chunk of an address that the kernel gives back, and the offset
// there. What is not ours, or not the kernel's to give, is refused.
func (p *pool) find(addr uint64) (n uint64, offset int, ok bool) {
	n = addr >> p.shift
	return n, int(addr & uint64(p.size()-1)), p.has(n, kernel)
}

// mustBeLent panics if the chunk of a loan that ends is not out: somebody else
// may be writing to it already.
func (p *pool) mustBeLent(ref uint64) {
	if !p.has(ref, lent) {
		panic(fmt.Sprintf("hal: a frame was given back twice, or to the wrong half (frame %#x)", ref))
	}
}
