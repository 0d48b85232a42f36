package haltest

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
)

// The two hosts of the tests. Benchmarking addresses (RFC 2544) and unique local
// ones (RFC 4193): nobody else has them on the link.
var (
	dev4, far4 = netip.MustParseAddr("198.18.99.2"), netip.MustParseAddr("198.18.99.1")
	dev6, far6 = netip.MustParseAddr("fd99:686c::2"), netip.MustParseAddr("fd99:686c::1")
	farMAC     = hal.MAC{2, 0x68, 0x61, 0x6c, 0, 1}
)

const (
	protoTCP, protoUDP = 6, 17

	ip4Len, ip6Len = 20, 40
	udpLen, tcpLen = 8, 20

	// minPacket is the shortest packet of flow: headers, the case and a number.
	minPacket = hal.EthernetHeaderLen + ip4Len + udpLen + 16
)

// direction is which way a test packet goes.
type direction struct {
	src, dst   hal.MAC
	src4, dst4 netip.Addr
	src6, dst6 netip.Addr
}

func (l *lab) toFar() direction {
	return direction{l.info.MAC, farMAC, dev4, far4, dev6, far6}
}

func (l *lab) toDev() direction {
	return direction{farMAC, l.info.MAC, far4, dev4, far6, dev6}
}

// flow makes packet seq of a UDP flow, size bytes from the Ethernet header on.
// Everything in it follows from the arguments and the case, so that the receiver
// can tell a changed bit.
func (l *lab) flow(d direction, port uint16, seq, size int) []byte {
	payload := make([]byte, size-(minPacket-16))
	binary.BigEndian.PutUint64(payload, l.id)
	binary.BigEndian.PutUint64(payload[8:], uint64(seq))
	for i := 16; i < len(payload); i++ {
		payload[i] = byte(i*7 + seq)
	}
	p := ip4(d, protoUDP, udpHeader(port, len(payload)), payload)
	finish(p, hal.EthernetHeaderLen+ip4Len, 6, pseudo(d.src4, d.dst4, protoUDP, udpLen+len(payload)))
	return p
}

// seqOf returns the number of a packet that flow made for this case. Other
// packets are noise, and ok is false. A packet that was changed is reported.
func (l *lab) seqOf(d direction, port uint16, data []byte, m hal.Meta) (seq int, ok bool) {
	const at = minPacket - 16
	if len(data) < minPacket || binary.BigEndian.Uint64(data[at:]) != l.id ||
		binary.BigEndian.Uint16(data[hal.EthernetHeaderLen+ip4Len+2:]) != port {
		return 0, false
	}
	seq = int(binary.BigEndian.Uint64(data[at+8:]))
	want := l.flow(d, port, seq, len(data))
	if m.NeedsCsum { // the sender left it to the receiver, who need not look
		const csum = hal.EthernetHeaderLen + ip4Len + 6
		copy(want[csum:csum+2], data[csum:])
	}
	if !bytes.Equal(want, data) {
		l.Errorf("packet %d of %d bytes was changed on its way", seq, len(data))
	}
	return seq, true
}

func ether(d direction, typ uint16) []byte {
	p := append(d.dst[:], d.src[:]...)
	return binary.BigEndian.AppendUint16(p, typ)
}

// ip4 makes an Ethernet and IPv4 packet (RFC 791) around a transport header.
func ip4(d direction, proto byte, l4, payload []byte) []byte {
	p := ether(d, 0x0800)
	h := make([]byte, ip4Len)
	h[0], h[8], h[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(ip4Len+len(l4)+len(payload)))
	copy(h[12:], d.src4.AsSlice())
	copy(h[16:], d.dst4.AsSlice())
	binary.BigEndian.PutUint16(h[10:], ^fold(sum(0, h)))
	return append(append(append(p, h...), l4...), payload...)
}

// ip6 is ip4 for IPv6 (RFC 8200).
func ip6(d direction, proto byte, l4, payload []byte) []byte {
	p := ether(d, 0x86dd)
	h := make([]byte, ip6Len)
	h[0], h[6], h[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(l4)+len(payload)))
	copy(h[8:], d.src6.AsSlice())
	copy(h[24:], d.dst6.AsSlice())
	return append(append(append(p, h...), l4...), payload...)
}

func udpHeader(port uint16, payload int) []byte {
	h := make([]byte, udpLen)
	binary.BigEndian.PutUint16(h, 9) // discard, should anybody want to answer
	binary.BigEndian.PutUint16(h[2:], port)
	binary.BigEndian.PutUint16(h[4:], uint16(udpLen+payload))
	return h
}

func tcpHeader(port uint16, seq uint32) []byte {
	h := make([]byte, tcpLen)
	binary.BigEndian.PutUint16(h, 9)
	binary.BigEndian.PutUint16(h[2:], port)
	binary.BigEndian.PutUint32(h[4:], seq)
	h[12], h[13] = tcpLen/4<<4, 0x10                // ACK
	binary.BigEndian.PutUint16(h[14:], uint16(512)) // window
	return h
}

// pseudo is the sum of the pseudo-header.
func pseudo(src, dst netip.Addr, proto byte, length int) uint32 {
	s := sum(0, src.AsSlice())
	s = sum(s, dst.AsSlice())
	return s + uint32(proto) + uint32(length)
}

// finish writes the transport checksum.
func finish(p []byte, l4, at int, pseudo uint32) {
	c := ^fold(sum(pseudo, p[l4:]))
	if c == 0 {
		c = 0xffff // UDP: zero means none (RFC 768); to TCP both are the same
	}
	binary.BigEndian.PutUint16(p[l4+at:], c)
}

// sum adds up 16-bit words (RFC 1071).
func sum(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
		s = s&0xffff + s>>16
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
