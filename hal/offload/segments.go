package offload

import (
	"encoding/binary"

	"github.com/ringtail-net/ringtail/hal"
)

// Flags of TCP that are not the same in all segments of a super-frame.
const (
	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// segments is the template of a super-frame's segments: their headers with all
// that changes from one to the next set to zero, the sums over that, and the
// values for the next segment.
type segments struct {
	head    [hal.Contiguous]byte
	headLen int // Ethernet, IP and transport
	l3, l4  int
	version uint8
	udp     bool

	size int      // most payload of a segment
	meta hal.Meta // NeedsCsum if the device finishes the checksums

	ip   Sum // over the IPv4 header
	base Sum // over pseudo-header (without length) and transport header

	id    uint16 // of IPv4
	seq   uint32
	flags uint8
}

// reset makes the template for a super-frame that parseSuper has passed.
func (g *segments) reset(first []byte, h Headers, m hal.Meta, can hal.Offload) {
	g.headLen, g.l3, g.l4 = h.Payload, h.L3, h.L4
	g.version, g.udp, g.size = h.Version, h.Proto == protoUDP, int(m.GSOSize)
	g.meta = hal.Meta{}
	if can&hal.Csum != 0 {
		g.meta = hal.Meta{NeedsCsum: true, CsumStart: m.CsumStart, CsumOffset: m.CsumOffset}
	}
	copy(g.head[:], first[:g.headLen])
	ip, l4 := g.head[g.l3:g.l4], g.head[g.l4:g.headLen]

	if g.version == 4 {
		g.id = binary.BigEndian.Uint16(ip[4:])
		clear(ip[2:6])   // length, ID
		clear(ip[10:12]) // checksum
		g.ip = Sum{}
		g.ip.Add(ip)
	}

	// The field holds the sum of the pseudo-header; only its length changes.
	field := l4[m.CsumOffset:][:2]
	g.base = Sum{}
	g.base.AddUint16(binary.BigEndian.Uint16(field))
	g.base.AddUint16(^uint16(h.Total - h.L4))
	clear(field)
	if g.udp {
		clear(l4[4:6]) // length
	} else {
		g.seq, g.flags = binary.BigEndian.Uint32(l4[4:]), l4[13]
		clear(l4[4:8])
		l4[13] = 0
	}
	if !g.meta.NeedsCsum {
		g.base.Add(l4)
	}
}

// finish completes the headers in b of a segment with n bytes of payload, of
// which s is the sum together with the template, and turns to the next segment.
func (g *segments) finish(b []byte, n int, s Sum, last bool) {
	ip, l4 := b[g.l3:g.l4], b[g.l4:g.headLen]
	size := uint16(g.headLen - g.l4 + n) // transport header and payload
	g.finishIP(ip, size)
	s.AddUint16(size) // of the pseudo-header
	field := l4[udpCsum:]
	if g.udp {
		binary.BigEndian.PutUint16(l4[4:], size)
	} else {
		field = l4[tcpCsum:]
		flags := g.flags
		if !last {
			flags &^= tcpPSH | tcpFIN
		}
		l4[13] = flags
		binary.BigEndian.PutUint32(l4[4:], g.seq)
		g.flags &^= tcpCWR // says something about the first segment (RFC 3168)
		g.seq += uint32(n)
	}
	if g.meta.NeedsCsum {
		binary.BigEndian.PutUint16(field, s.Fold())
		return
	}
	// What the template left out.
	if g.udp {
		s.AddUint16(size)
	} else {
		s.AddUint16(binary.BigEndian.Uint16(l4[4:]))
		s.AddUint16(binary.BigEndian.Uint16(l4[6:]))
		s.AddUint16(uint16(l4[13]))
	}
	putCsum(field, s, g.udp)
}

// finishIP writes what changes in the IP header in front of size bytes. The ID
// counts on even if the packet must not be fragmented, as network cards do it.
func (g *segments) finishIP(ip []byte, size uint16) {
	if g.version == 6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len)+size)
		return
	}
	total := uint16(len(ip)) + size
	binary.BigEndian.PutUint16(ip[2:], total)
	binary.BigEndian.PutUint16(ip[4:], g.id)
	s := g.ip
	s.AddUint16(total)
	s.AddUint16(g.id)
	putCsum(ip[10:], s, false)
	g.id++
}
