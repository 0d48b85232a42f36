package offload

import (
	"encoding/binary"
	"math/bits"
)

// A Sum adds up bytes as the Internet checksum does (RFC 1071): as 16-bit words
// in network order, in one's complement. Pieces follow each other without gaps,
// whatever their lengths: after an odd piece the next one begins with the low
// byte of a word. The zero Sum is empty and ready; a copy goes on by itself,
// which makes a Sum of the parts that never change a template.
type Sum struct {
	// acc adds little-endian 64-bit words with the carry fed back, so it is
	// right modulo 2^64-1 and therefore modulo 2^16-1, which divides it. Byte
	// order only swaps the bytes of the result (RFC 1071, section 2(B)).
	acc uint64
	// odd says that an odd number of bytes was added: acc is then rotated by
	// one byte, so that the next piece can be added as if it were aligned.
	odd bool
}

// Add adds b.
func (s *Sum) Add(b []byte) {
	var c uint64
	acc, n := s.acc, len(b)
	for ; len(b) >= 64; b = b[64:] {
		p := (*[64]byte)(b)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[0:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[8:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[16:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[24:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[32:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[40:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[48:]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[56:]), c)
	}
	for ; len(b) >= 8; b = b[8:] {
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b), c)
	}
	s.end(acc, tail(b), c, n)
}

// AddCopy copies src to dst, which must be at least as long and must not overlap
// it, and adds it: one pass over the memory.
//
// It goes in blocks that stay in the first-level cache between the copy and the
// sum. Storing word by word beside the additions is no faster, and for pieces of
// a packet's size slower: the runtime's copy moves 32 bytes a step. What is
// summed is what was written, even if somebody else changes src meanwhile.
func (s *Sum) AddCopy(dst, src []byte) {
	dst = dst[:len(src):len(dst)] // panics if it is shorter
	for len(src) > copyBlock {
		copy(dst, src[:copyBlock])
		s.Add(dst[:copyBlock])
		dst, src = dst[copyBlock:], src[copyBlock:]
	}
	copy(dst, src)
	s.Add(dst)
}

// copyBlock is even, and twice it is well below 32 KiB.
const copyBlock = 4 << 10

// AddUint16 adds a header field by its value, as a word of its own: it may come
// between any two pieces, also odd ones. AddUint16(^v) takes v out again.
func (s *Sum) AddUint16(v uint16) {
	if !s.odd {
		v = bits.ReverseBytes16(v)
	}
	acc, c := bits.Add64(s.acc, uint64(v), 0)
	s.acc = acc + c
}

// Fold returns the sum as 16 bits, not complemented. What goes into a header is
// ^Fold(); a range of bytes with a right checksum in it sums up to 0xffff.
func (s Sum) Fold() uint16 {
	v := s.acc>>32 + s.acc&0xffffffff
	v = v>>32 + v&0xffffffff
	v = v>>16 + v&0xffff
	v = v>>16 + v&0xffff
	if s.odd {
		return uint16(v)
	}
	return bits.ReverseBytes16(uint16(v))
}

// end adds the last word and the carry after n bytes.
func (s *Sum) end(acc, last, c uint64, n int) {
	acc, c = bits.Add64(acc, last, c)
	acc += c // cannot carry again: last is less than 2^56
	if n&1 != 0 {
		acc = bits.RotateLeft64(acc, 8)
		s.odd = !s.odd
	}
	s.acc = acc
}

// tail returns fewer than 8 bytes as a little-endian word, padded with zeros.
func tail(b []byte) (w uint64) {
	if len(b) >= 4 {
		w = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
		return w | short(b)<<32
	}
	return short(b)
}

// short does the same for fewer than 4 bytes.
func short(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 3:
		return uint64(binary.LittleEndian.Uint16(b)) | uint64(b[2])<<16
	}
	return 0
}
