package offload

import (
	"encoding/binary"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
)

// EtherTypes and protocol numbers (IANA) that this package knows.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd

	protoHopByHop = 0
	protoICMP     = 1
	protoTCP      = 6
	protoUDP      = 17
	protoRouting  = 43
	protoFragment = 44
	protoICMPv6   = 58
	protoDstOpts  = 60
)

// Lengths of headers without options.
const (
	ipv4Len = 20
	ipv6Len = 40
	tcpLen  = 20
	udpLen  = 8
	icmpLen = 8
)

// Headers says where the headers of a packet are and what they say. Offsets
// count from the packet's first byte, its Ethernet header.
type Headers struct {
	L3      int // the IP header, or what else follows the Ethernet header
	L4      int // the transport header; L3 if the packet is not IP
	Payload int // behind the transport header; L4 if there is none we know

	EtherType uint16
	Version   uint8 // 4 or 6; 0: not IP, and all fields below are zero
	Proto     uint8 // what is at L4: behind the extension headers of IPv6

	// Fragment says that the packet is part of a larger one. Its transport
	// header is not looked at, not even in the first fragment, so that all
	// fragments look alike. An IPv6 packet that is a fragment in form only
	// (RFC 6946) is not one.
	Fragment bool

	// Total is the length of the packet by its IP header, Ethernet header
	// included: a frame may be longer (padding). 0 is unknown: not IP, or an
	// IPv6 jumbogram (RFC 2675).
	Total int

	Src, Dst netip.Addr

	// Ports of TCP and UDP; in an ICMP echo message both are its identifier.
	SrcPort, DstPort uint16
	TCPFlags         uint8 // CWR ECE URG ACK PSH RST SYN FIN, from bit 7 to bit 0
	ICMPType         uint8 // of ICMP or ICMPv6, by Version

	// routed says that a routing header has addresses left, so Dst is not the
	// address in the pseudo-header (RFC 8200, section 8.1).
	routed bool
}

// Parse reads the headers of a packet: Ethernet (a VLAN tag is payload), IPv4
// with options, IPv6 with hop-by-hop, routing, destination and fragment headers,
// TCP, UDP and ICMP. first is the data of a chain's first frame.
//
// A packet that is not IP, or of another transport, is no error. A header that
// runs past first is ErrShort; one that contradicts itself is ErrMalformed: then
// the result says what was read before. Checksums are not looked at, and whether
// the packet is as long as Total is for the caller to compare. Parse keeps
// nothing of first and never panics.
func Parse(first []byte) (Headers, error) {
	var h Headers
	if len(first) < hal.EthernetHeaderLen {
		return h, ErrShort
	}
	h.L3, h.L4, h.Payload = hal.EthernetHeaderLen, hal.EthernetHeaderLen, hal.EthernetHeaderLen
	h.EtherType = binary.BigEndian.Uint16(first[12:])
	var err error
	switch h.EtherType {
	case etherIPv4:
		err = h.ipv4(first)
	case etherIPv6:
		err = h.ipv6(first)
	default:
		return h, nil
	}
	if err != nil || h.Fragment {
		return h, err
	}
	return h, h.transport(first)
}

// fits says whether the n bytes of a header at offset at are part of the packet
// by its own account, and at hand.
func (h *Headers) fits(first []byte, at, n int) error {
	if h.Total != 0 && at+n > h.Total {
		return ErrMalformed
	}
	if at+n > len(first) {
		return ErrShort
	}
	return nil
}

// ipv4 reads the header of RFC 791.
func (h *Headers) ipv4(first []byte) error {
	if err := h.fits(first, h.L3, ipv4Len); err != nil {
		return err
	}
	ip := first[h.L3:]
	ihl, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || ihl < ipv4Len {
		return ErrMalformed
	}
	h.Version, h.Proto, h.Total = 4, ip[9], h.L3+total
	h.Src, h.Dst = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	h.Fragment = binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 // more fragments, or an offset
	h.L4, h.Payload = h.L3+ihl, h.L3+ihl
	return h.fits(first, h.L3, ihl)
}

// ipv6 reads the header of RFC 8200 and its extension headers.
func (h *Headers) ipv6(first []byte) error {
	if err := h.fits(first, h.L3, ipv6Len); err != nil {
		return err
	}
	ip := first[h.L3:]
	if ip[0]>>4 != 6 {
		return ErrMalformed
	}
	h.Version, h.Proto = 6, ip[6]
	h.Src, h.Dst = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
	h.L4, h.Payload = h.L3+ipv6Len, h.L3+ipv6Len
	size := int(binary.BigEndian.Uint16(ip[4:]))
	if size != 0 || h.Proto != protoHopByHop { // else it is a jumbogram
		h.Total = h.L4 + size
	}
	for !h.Fragment {
		next, err := h.extension(first)
		if !next || err != nil {
			return err
		}
	}
	return nil
}

// extension skips the IPv6 extension header at L4, if there is one.
func (h *Headers) extension(first []byte) (found bool, err error) {
	switch h.Proto {
	case protoHopByHop, protoRouting, protoDstOpts, protoFragment:
	default:
		return false, nil
	}
	if err := h.fits(first, h.L4, 8); err != nil {
		return false, err
	}
	ext, n := first[h.L4:], 8
	switch h.Proto {
	case protoFragment:
		h.Fragment = binary.BigEndian.Uint16(ext[2:])&0xfff9 != 0 // an offset, or more fragments
	case protoRouting:
		h.routed = h.routed || ext[3] != 0
		fallthrough
	default:
		n += int(ext[1]) * 8
	}
	if err := h.fits(first, h.L4, n); err != nil {
		return false, err
	}
	h.Proto = ext[0]
	h.L4 += n
	h.Payload = h.L4
	return true, nil
}

// transport reads the header at L4.
func (h *Headers) transport(first []byte) error {
	switch {
	case h.Proto == protoTCP:
		return h.tcp(first)
	case h.Proto == protoUDP:
		return h.udp(first)
	case h.Proto == protoICMP && h.Version == 4, h.Proto == protoICMPv6 && h.Version == 6:
		return h.icmp(first)
	}
	return nil
}

// tcp reads the header of RFC 9293, section 3.1.
func (h *Headers) tcp(first []byte) error {
	if err := h.fits(first, h.L4, tcpLen); err != nil {
		return err
	}
	l4 := first[h.L4:]
	n := int(l4[12]>>4) * 4
	if n < tcpLen {
		return ErrMalformed
	}
	h.Payload = h.L4 + n
	h.SrcPort, h.DstPort = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	h.TCPFlags = l4[13]
	return h.fits(first, h.L4, n)
}

// udp reads the header of RFC 768. Its length may be less than that of the IP
// packet, but not more.
func (h *Headers) udp(first []byte) error {
	if err := h.fits(first, h.L4, udpLen); err != nil {
		return err
	}
	l4 := first[h.L4:]
	n := int(binary.BigEndian.Uint16(l4[4:]))
	if n < udpLen || h.Total != 0 && h.L4+n > h.Total {
		return ErrMalformed
	}
	h.Payload = h.L4 + udpLen
	h.SrcPort, h.DstPort = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	return nil
}

// icmp reads the header of RFC 792 or RFC 4443.
func (h *Headers) icmp(first []byte) error {
	if err := h.fits(first, h.L4, icmpLen); err != nil {
		return err
	}
	l4 := first[h.L4:]
	h.Payload, h.ICMPType = h.L4+icmpLen, l4[0]
	if echo(h.Version, l4[0]) {
		h.SrcPort = binary.BigEndian.Uint16(l4[4:])
		h.DstPort = h.SrcPort
	}
	return nil
}

// echo reports whether an ICMP type is an echo request or reply.
func echo(version, typ uint8) bool {
	if version == 4 {
		return typ == 8 || typ == 0
	}
	return typ == 128 || typ == 129
}
