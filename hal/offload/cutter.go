package offload

import (
	"encoding/binary"
	"fmt"

	"github.com/ringtail-net/ringtail/hal"
)

// A Cutter makes of a packet what a device can carry, and copies it straight
// into the device's frames: a super-frame the device cannot cut is cut, a
// checksum it cannot finish is finished, in the same pass over the bytes as the
// copy; anything else is copied as it is. It can stop after any packet and go on
// when the device has frames again.
//
// The zero Cutter is ready for Reset and is meant to be used again. One
// goroutine uses it at a time.
type Cutter struct {
	job  job
	meta hal.Meta // of the packets that come out

	rest [][]byte // the pieces that are not yet copied
	cur  []byte   // what is left of the piece before them
	left int      // bytes in cur and rest

	seg segments
}

// job is what a Cutter does with its packet.
type job uint8

const (
	jobDone   job = iota
	jobCopy       // one packet, as it is
	jobFinish     // one packet, whose checksum is finished
	jobCut        // segments
)

// Reset begins a packet with metadata m for a device that takes the offloads
// can. The pieces of packet are its bytes from the Ethernet header on; the first
// one holds all headers of a super-frame. They must not change until the last
// Next, and are not kept after it. What was left of the packet before is
// forgotten.
//
// If can carries the packet ([hal.Offload.Carries]) it comes out as one packet
// with the same bytes and metadata. If it carries only checksums, segments come
// out with NeedsCsum. Otherwise packets come out complete.
//
// A super-frame must have NeedsCsum, a GSO size, and headers that agree with
// each other, with the length of the packet and with HdrLen (0 is taken as not
// known and filled in); if not, Reset fails with ErrMeta, ErrMalformed or
// ErrShort, and there is no packet.
func (c *Cutter) Reset(packet [][]byte, m hal.Meta, can hal.Offload) error {
	c.end()
	size := 0
	for _, p := range packet {
		size += len(p)
	}
	if size == 0 {
		return ErrShort
	}
	todo := jobCopy
	switch {
	case m.GSO != hal.GSONone:
		h, err := parseSuper(packet[0], size, m)
		if err != nil {
			return err
		}
		m.HdrLen = uint16(h.Payload)
		if !can.Carries(m) {
			todo = jobCut
			c.seg.reset(packet[0], h, m, can)
		}
	case !can.Carries(m):
		todo = jobFinish
		if int(m.CsumStart)+int(m.CsumOffset)+2 > min(size, hal.Contiguous) {
			return errCsumRange
		}
	}
	c.job, c.meta, c.left, c.rest = todo, m, size, packet
	if todo == jobCut {
		c.cur, c.rest = packet[0][m.HdrLen:], packet[1:]
		c.left -= int(m.HdrLen)
		c.meta = c.seg.meta
	}
	return nil
}

// More reports whether there is a packet for Next.
func (c *Cutter) More() bool { return c.job != jobDone }

// Len returns the length of the packet that Next will write, 0 if there is none.
func (c *Cutter) Len() int {
	if c.job == jobCut {
		return c.seg.headLen + min(c.seg.size, c.left)
	}
	return c.left
}

// Next writes the next packet to the chain dst and sets dst[0].Meta. dst has
// exactly Len bytes in all, and the first min(Len, hal.Contiguous) of them in its
// first frame, as [hal.TxQueue.Alloc] gives them; anything else is a mistake of
// the caller, as is a Next without More, and panics.
func (c *Cutter) Next(dst []hal.Frame) {
	n := c.Len()
	if n == 0 || hal.PacketLen(dst) != n || len(dst[0].Data) < min(n, hal.Contiguous) {
		panic(fmt.Sprintf("offload: Next with a chain of %d bytes for a packet of %d", hal.PacketLen(dst), n))
	}
	to := target{frames: dst}
	meta := c.meta
	switch c.job {
	case jobCopy:
		c.move(&to, n, nil)
	case jobFinish:
		var s Sum
		c.move(&to, int(meta.CsumStart), nil)
		c.move(&to, n-int(meta.CsumStart), &s)
		putCsum(dst[0].Data[meta.CsumStart+meta.CsumOffset:], s, meta.CsumOffset == udpCsum)
		meta = hal.Meta{}
	case jobCut:
		g := &c.seg
		n -= g.headLen
		to.at = copy(dst[0].Data, g.head[:g.headLen])
		s := g.base
		if meta.NeedsCsum {
			c.move(&to, n, nil)
		} else {
			c.move(&to, n, &s)
		}
		g.finish(dst[0].Data, n, s, c.left == 0)
	}
	dst[0].Meta = meta
	if c.left == 0 {
		c.end()
	}
}

// end forgets the packet, so that its memory is not kept.
func (c *Cutter) end() { c.job, c.rest, c.cur, c.left = jobDone, nil, nil, 0 }

// target is a place in the chain that is written.
type target struct {
	frames []hal.Frame
	at     int // in frames[0]
}

// move copies n bytes, which are there on both sides, and adds them to s if
// there is one.
func (c *Cutter) move(to *target, n int, s *Sum) {
	c.left -= n
	for n > 0 {
		for len(c.cur) == 0 {
			c.cur, c.rest = c.rest[0], c.rest[1:]
		}
		for to.at == len(to.frames[0].Data) {
			to.frames, to.at = to.frames[1:], 0
		}
		dst := to.frames[0].Data[to.at:]
		k := min(n, len(dst), len(c.cur))
		if s != nil {
			s.AddCopy(dst[:k], c.cur[:k])
		} else {
			copy(dst[:k], c.cur[:k])
		}
		c.cur = c.cur[k:]
		to.at += k
		n -= k
	}
}

// Frames appends the data of a chain to buf, as Reset wants it, and returns
// buf. Pass buf[:0] to use a buffer again.
func Frames(chain []hal.Frame, buf [][]byte) [][]byte {
	for i := range chain {
		buf = append(buf, chain[i].Data)
	}
	return buf
}

// parseSuper reads the headers of a super-frame of size bytes and checks them
// against its metadata.
func parseSuper(first []byte, size int, m hal.Meta) (Headers, error) {
	h, err := Parse(first)
	if err != nil {
		return h, err
	}
	version, proto, field := h.Version, uint8(protoTCP), uint16(tcpCsum)
	switch m.GSO {
	case hal.GSOTCP4:
		version = 4
	case hal.GSOTCP6:
		version = 6
	case hal.GSOUDP:
		proto, field = protoUDP, udpCsum
	default:
		return h, errGSOType
	}
	switch {
	case h.Version == 0 || h.Version != version || h.Proto != proto || h.Fragment:
		return h, errGSOType
	case m.GSOSize == 0:
		return h, errGSOSize
	case !m.NeedsCsum || int(m.CsumStart) != h.L4 || m.CsumOffset != field:
		return h, errGSOCsum
	case m.HdrLen != 0 && int(m.HdrLen) != h.Payload:
		return h, errGSOHdrLen
	case h.Payload > hal.Contiguous:
		return h, errGSOHeaders
	case size != h.Total, proto == protoUDP && h.L4+int(binary.BigEndian.Uint16(first[h.L4+4:])) != size:
		return h, errGSOLength
	case h.TCPFlags&tcpSYN != 0 && size-h.Payload > int(m.GSOSize):
		return h, errGSOSyn // it takes a sequence number, so those of the others would be wrong
	}
	return h, nil
}
