package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"github.com/ringtail-net/ringtail/hal"
)

// A packet is built field by field, slowly, with right checksums.
type packet struct {
	v6      bool
	options []byte // of IPv4: a multiple of 4 bytes
	ext     []byte // extension headers of IPv6 …
	extType uint8  // … and the type of the first of them; the last one names proto

	proto   uint8
	l4      []byte // transport header, checksum and UDP length are filled in
	payload []byte

	l4At, payloadAt int // set by bytes
}

// bytes returns the whole Ethernet frame.
func (p *packet) bytes() []byte {
	b := append([]byte{}, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"...)
	size := len(p.l4) + len(p.payload)
	if p.v6 {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.ext)+size))
		next := p.proto
		if p.ext != nil {
			next = p.extType
		}
		b = append(b, next, 64)
		b = append(b, "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"...)
		b = append(b, "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"...)
		b = append(b, p.ext...)
	} else {
		b = append(b, 8, 0, 0x45+byte(len(p.options)/4), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(p.options)+size))
		b = append(b, 0xff, 0xfe, 0x40, 0, 64, p.proto, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2)
		b = append(b, p.options...)
		binary.BigEndian.PutUint16(b[24:], ^refSum(b[14:]))
	}
	p.l4At = len(b)
	b = append(b, p.l4...)
	p.payloadAt = len(b)
	b = append(b, p.payload...)
	if p.proto == protoUDP {
		binary.BigEndian.PutUint16(b[p.l4At+4:], uint16(size))
	}
	if at := p.csumAt(); at != 0 {
		refComplete(b, p.l4At, at, p.pseudo(b, size))
	}
	return b
}

// csumAt is the offset of the transport's checksum, 0 if it has none.
func (p *packet) csumAt() int {
	switch p.proto {
	case protoTCP:
		return p.l4At + 16
	case protoUDP:
		return p.l4At + 6
	case protoICMP, protoICMPv6:
		return p.l4At + 2
	}
	return 0
}

// pseudo returns the pseudo-header of frame b.
func (p *packet) pseudo(b []byte, size int) []byte {
	switch {
	case p.proto == protoICMP:
		return nil
	case p.v6:
		s := append([]byte{}, b[22:54]...)
		s = binary.BigEndian.AppendUint32(s, uint32(size))
		return append(s, 0, 0, 0, p.proto)
	}
	s := append([]byte{}, b[26:34]...)
	return binary.BigEndian.AppendUint16(append(s, 0, p.proto), uint16(size))
}

// refComplete puts the checksum over pseudo and b[from:] at b[at:].
func refComplete(b []byte, from, at int, pseudo []byte) {
	b[at], b[at+1] = 0, 0
	v := ^refSum(append(append([]byte{}, pseudo...), b[from:]...))
	if v == 0 && at == from+6 {
		v = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], v)
}

// super returns the packet as a super-frame: whole, but for the checksum of
// the transport, which is that of the pseudo-header.
func (p *packet) super(gsoSize int) ([]byte, hal.Meta) {
	b := p.bytes()
	at := p.csumAt()
	binary.BigEndian.PutUint16(b[at:], refSum(p.pseudo(b, len(b)-p.l4At)))
	m := hal.Meta{NeedsCsum: true, CsumStart: uint16(p.l4At), CsumOffset: uint16(at - p.l4At),
		GSO: hal.GSOTCP4, GSOSize: uint16(gsoSize), HdrLen: uint16(p.payloadAt)}
	if p.v6 {
		m.GSO = hal.GSOTCP6
	}
	if p.proto == protoUDP {
		m.GSO = hal.GSOUDP
	}
	return b, m
}

// refCut cuts by building every segment anew.
func (p *packet) refCut(gsoSize int) [][]byte {
	var segs [][]byte
	for at := 0; at == 0 || at < len(p.payload); at += gsoSize {
		s := *p
		s.l4 = append([]byte{}, p.l4...)
		s.payload = p.payload[at:min(at+gsoSize, len(p.payload))]
		if p.proto == protoTCP {
			binary.BigEndian.PutUint32(s.l4[4:], binary.BigEndian.Uint32(s.l4[4:])+uint32(at))
			if at+gsoSize < len(p.payload) {
				s.l4[13] &^= 0x09
			}
			if at > 0 {
				s.l4[13] &^= 0x80
			}
		}
		b := s.bytes()
		if !p.v6 {
			binary.BigEndian.PutUint16(b[18:], binary.BigEndian.Uint16(b[18:])+uint16(len(segs)))
			b[24], b[25] = 0, 0
			binary.BigEndian.PutUint16(b[24:], ^refSum(b[14:s.l4At]))
		}
		segs = append(segs, b)
	}
	return segs
}

func tcpHeader(options int, flags byte) []byte {
	h := append([]byte{}, "\x30\x39\x00\x50\xff\xff\xfe\x0c\x01\x02\x03\x04\x00\x00\x20\x00\x00\x00\x00\x00"...)
	h[12], h[13] = byte(20+options)/4<<4, flags
	return append(h, bytes.Repeat([]byte{1}, options)...)
}

func udpHeader() []byte { return []byte{0x30, 0x39, 0, 53, 0, 0, 0, 0} }

// echoHeader is an echo request with the identifier 0x1234.
func echoHeader(typ byte) []byte { return []byte{typ, 0, 0, 0, 0x12, 0x34, 0, 1} }

// kinds are packets of all sorts that this package knows, without payload.
func kinds() map[string]packet {
	hop := []byte{protoTCP, 0, 1, 4, 0, 0, 0, 0}
	routing := []byte{protoDstOpts, 0, 4, 0, 0, 0, 0, 0}
	dst := []byte{protoUDP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	return map[string]packet{
		"tcp4":         {proto: protoTCP, l4: tcpHeader(0, 0x18)},
		"tcp4 options": {proto: protoTCP, options: []byte{1, 1, 1, 0}, l4: tcpHeader(12, 0x99)},
		"tcp4 longest": {proto: protoTCP, options: bytes.Repeat([]byte{1}, 40), l4: tcpHeader(40, 0xd9)},
		"tcp6":         {v6: true, proto: protoTCP, l4: tcpHeader(12, 0x19)},
		"tcp6 hop":     {v6: true, proto: protoTCP, ext: hop, extType: protoHopByHop, l4: tcpHeader(0, 0x90)},
		"udp4":         {proto: protoUDP, l4: udpHeader()},
		"udp6":         {v6: true, proto: protoUDP, l4: udpHeader()},
		"udp6 chain":   {v6: true, proto: protoUDP, ext: append(routing, dst...), extType: protoRouting, l4: udpHeader()},
		"icmp4":        {proto: protoICMP, l4: echoHeader(8)},
		"icmp4 reply":  {proto: protoICMP, l4: echoHeader(0)},
		"icmp6":        {v6: true, proto: protoICMPv6, l4: echoHeader(128)},
		"icmp6 reply":  {v6: true, proto: protoICMPv6, l4: echoHeader(129)},
	}
}

// chain lends out a copy of b as frames whose lengths come from cuts; the first
// holds what the contract says.
func chain(b, cuts []byte) []hal.Frame {
	var fs []hal.Frame
	for i := 0; len(b) > 0 || i == 0; i++ {
		n := len(b)
		if i < len(cuts) {
			n = min(n, int(cuts[i]))
		}
		if i == 0 {
			n = max(n, min(len(b), hal.Contiguous))
		}
		fs = append(fs, hal.NewFrame(append([]byte{}, b[:n]...), 0, n, 0))
		fs[i].More = true
		b = b[n:]
	}
	fs[len(fs)-1].More = false
	return fs
}

// pieces cuts b behind its first n bytes into pieces whose lengths come from cuts.
func pieces(b []byte, n int, cuts []byte) [][]byte {
	var ps [][]byte
	for i := 0; len(b) > 0; i++ {
		k := len(b)
		if i < len(cuts) {
			k = min(k, int(cuts[i])+n)
		}
		ps = append(ps, b[:k:k])
		b, n = b[k:], 0
	}
	return ps
}

// join returns the bytes of a chain.
func join(fs []hal.Frame) []byte {
	var b []byte
	for _, f := range fs {
		b = append(b, f.Data...)
	}
	return b
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
