package packet

import "encoding/binary"

// A block is one block of a TPACKET_V3 ring, in which the kernel has written
// packets (Documentation/networking/packet_mmap.rst):
//
//	block header   version, …, status (8), packets (12), offset of the first (16), …
//	packet header  offset of the next (0), …, stored length (12), true length (16), …, offset of the packet (24)
//	…              virtio-net header, immediately before the packet
//	packet
//	packet header  …
//
// All numbers are the machine's. The kernel is trusted with them as far as one must:
// nothing is read outside of the block, whatever they are.
type block []byte

// Offsets, and lengths of both headers.
const (
	blockStatus = 8
	blockCount  = 12
	blockFirst  = 16
	blockHeader = 48

	packetNext   = 0
	packetStored = 12
	packetLen    = 16
	packetStart  = 24
	packetHeader = 48
)

func (b block) uint32(at uint64) uint64 { return uint64(binary.NativeEndian.Uint32(b[at:])) }

// A cursor is the place of the next packet in a block.
type cursor struct {
	at   uint64
	left uint64 // packets from there on
}

// begin returns the place of the first packet, and false if that cannot be.
func (b block) begin() (cursor, bool) {
	if len(b) < blockHeader {
		return cursor{}, false
	}
	return cursor{at: b.uint32(blockFirst), left: b.uint32(blockCount)}, true
}

// piece is where a packet lies in its block, behind size bytes of its header; end
// is before what was cut off, if anything was.
type piece struct {
	start, end int
	cut        bool
}

// next returns the packet at c, with at least before bytes in front of it in the
// block, and moves c on. It returns false, and ends the walk, where the block
// contradicts itself.
func (b block) next(c *cursor, before uint64) (p piece, ok bool) {
	size := uint64(len(b))
	if c.left == 0 || c.at < blockHeader || c.at+packetHeader > size {
		c.left = 0
		return p, false
	}
	start := c.at + uint64(binary.NativeEndian.Uint16(b[c.at+packetStart:]))
	end := start + b.uint32(c.at+packetStored)
	if start < c.at+packetHeader+before || end > size {
		c.left = 0
		return p, false
	}
	p = piece{start: int(start), end: int(end), cut: end-start < b.uint32(c.at+packetLen)}
	c.left--
	if step := b.uint32(c.at + packetNext); step < packetHeader {
		c.left = min(c.left, 1) // there is no next one: if one is missing, that will show
		c.at = 0
	} else {
		c.at += step
	}
	return p, true
}
