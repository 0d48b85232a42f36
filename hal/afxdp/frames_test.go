package afxdp

import (
	"encoding/binary"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
)

// Frames for tests, made of layers: ether(to, typeIPv4, ip4(dst, protoUDP, udp(53))).

var (
	kernelMAC = hal.MAC{2, 0, 0, 0, 0, 1}
	ownMAC    = hal.MAC{2, 0, 0, 0, 0, 2}
	peerMAC   = hal.MAC{2, 0, 0, 0, 0, 9}
)

func ether(to hal.MAC, typ uint16, rest ...byte) []byte {
	f := append(to[:], peerMAC[:]...)
	return append(binary.BigEndian.AppendUint16(f, typ), rest...)
}

func arp(op byte, target string) []byte {
	a := netip.MustParseAddr(target).As4()
	p := []byte{0, 1, 8, 0, 6, 4, 0, op}
	p = append(p, peerMAC[:]...)
	p = append(p, 10, 0, 0, 9)
	p = append(p, make([]byte, 6)...)
	return append(p, a[:]...)
}

func ip4(to string, proto byte, rest ...byte) []byte { return ip4Frag(to, proto, 0, nil, rest...) }

// ip4Frag has an offset in units of eight bytes, and options.
func ip4Frag(to string, proto byte, offset uint16, options []byte, rest ...byte) []byte {
	p := make([]byte, 20)
	p[0] = 0x45 + byte(len(options)/4)
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(options)+len(rest)))
	binary.BigEndian.PutUint16(p[6:], offset|0x2000)
	p[8], p[9] = 64, proto
	copy(p[12:], []byte{10, 0, 0, 9})
	a := netip.MustParseAddr(to).As4()
	copy(p[16:], a[:])
	return append(append(p, options...), rest...)
}

func ip6(to string, next byte, rest ...byte) []byte {
	p := make([]byte, 40)
	p[0], p[6], p[7] = 0x60, next, 255
	binary.BigEndian.PutUint16(p[4:], uint16(len(rest)))
	a := netip.MustParseAddr(to).As16()
	copy(p[24:], a[:])
	return append(p, rest...)
}

// extension is an IPv6 extension header of eight bytes and eight for each of more.
func extension(next byte, more int, rest ...byte) []byte {
	h := make([]byte, 8+8*more)
	h[0], h[1] = next, byte(more)
	return append(h, rest...)
}

func fragment(next byte, offset uint16, rest ...byte) []byte {
	h := make([]byte, 8)
	h[0] = next
	binary.BigEndian.PutUint16(h[2:], offset<<3|1)
	return append(h, rest...)
}

// ports is a transport header as far as it counts.
func ports(to uint16) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0xc0, 0x00}, to)
	return append(h, make([]byte, 16)...)
}

func icmp(typ byte) []byte { return append([]byte{typ}, make([]byte, 23)...) }
