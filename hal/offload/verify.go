package offload

import (
	"encoding/binary"
	"fmt"

	"github.com/ringtail-net/ringtail/hal"
)

// A Verdict is what the checksums of a packet say about it.
type Verdict uint8

// The verdicts.
const (
	// Unchecked: no checksum of the transport could be checked. The packet is
	// not IP, a fragment, of an unknown transport, a UDP datagram sent over
	// IPv4 without checksum, or an IPv6 packet whose headers go on behind the
	// first frame. The IPv4 header, if there is one, is right.
	Unchecked Verdict = iota
	// Valid: every checksum is right, or the device vouches for it.
	Valid
	// Bad: a checksum is wrong, the headers are malformed, or the packet is
	// shorter than its IP header says. Drop it.
	Bad
)

func (v Verdict) String() string {
	switch v {
	case Unchecked:
		return "unchecked"
	case Valid:
		return "valid"
	case Bad:
		return "bad"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// Verify checks the checksums of one packet: always that of the IPv4 header, and
// that of TCP, UDP or ICMP unless the metadata says that the device has done so
// (CsumValid) or that the packet never was on a wire (NeedsCsum). Bytes behind
// the end of the IP packet are padding and do not count. A super-frame is
// verified as the one large packet that it is. Verify changes nothing.
func Verify(chain []hal.Frame) Verdict {
	if len(chain) == 0 {
		return Bad
	}
	first, size, m := chain[0].Data, hal.PacketLen(chain), &chain[0].Meta
	h, err := Parse(first)
	deep := err == ErrShort && len(first) >= hal.Contiguous && len(first) < size
	if err != nil && !deep || size < h.Total {
		return Bad
	}
	if h.Version == 4 {
		var s Sum
		s.Add(first[h.L3:h.L4])
		if s.Fold() != 0xffff {
			return Bad
		}
	}
	switch {
	case h.Version == 0, h.Fragment:
		return Unchecked
	case m.NeedsCsum, m.CsumValid:
		return Valid
	case deep, h.routed, h.Total == 0:
		return Unchecked
	}
	return h.verifyTransport(chain)
}

// verifyTransport checks the checksum of the transport, all of whose headers are
// in the first frame.
func (h *Headers) verifyTransport(chain []hal.Frame) Verdict {
	first, end := chain[0].Data, h.Total
	pseudo := true
	switch {
	case h.Proto == protoTCP, h.Proto == protoICMPv6 && h.Version == 6:
	case h.Proto == protoICMP && h.Version == 4:
		pseudo = false
	case h.Proto == protoUDP:
		if binary.BigEndian.Uint16(first[h.L4+6:]) == 0 { // the sender made none
			if h.Version == 6 {
				return Bad // RFC 8200, section 8.1
			}
			return Unchecked
		}
		end = h.L4 + int(binary.BigEndian.Uint16(first[h.L4+4:]))
	default:
		return Unchecked
	}
	var s Sum
	if pseudo {
		h.addPseudo(&s, first, end-h.L4)
	}
	addRange(&s, chain, h.L4, end)
	if s.Fold() != 0xffff {
		return Bad
	}
	return Valid
}

// addPseudo adds the pseudo-header of RFC 9293, section 3.1 (IPv4), or RFC 8200,
// section 8.1 (IPv6), for size bytes of transport.
func (h *Headers) addPseudo(s *Sum, first []byte, size int) {
	if h.Version == 4 {
		s.Add(first[h.L3+12 : h.L3+20])
	} else {
		s.Add(first[h.L3+8 : h.L3+40])
	}
	s.AddUint16(uint16(h.Proto))
	s.AddUint16(uint16(size)) // the IP header has 16 bits for it, too
}

// addRange adds the bytes of a chain from offset from, which is in the first
// frame, up to offset to.
func addRange(s *Sum, chain []hal.Frame, from, to int) {
	for i := range chain {
		d := chain[i].Data
		if to <= len(d) {
			s.Add(d[from:to])
			return
		}
		s.Add(d[from:])
		from, to = 0, to-len(d)
	}
}

// Complete finishes the checksum of a packet in place if its metadata says
// NeedsCsum, and clears that; otherwise it does nothing. It is the way out to
// anybody who wants whole packets and whom a copy is not worth it; with a copy,
// use a [Cutter]. A super-frame, or a checksum outside of the first frame, is
// ErrMeta, and the packet is unchanged.
func Complete(chain []hal.Frame) error {
	if len(chain) == 0 || !chain[0].Meta.NeedsCsum {
		return nil
	}
	m, first := &chain[0].Meta, chain[0].Data
	if m.GSO != hal.GSONone {
		return errStillSuper
	}
	field := int(m.CsumStart) + int(m.CsumOffset)
	if field+2 > len(first) {
		return errCsumRange
	}
	var s Sum
	addRange(&s, chain, int(m.CsumStart), hal.PacketLen(chain))
	putCsum(first[field:], s, m.CsumOffset == udpCsum)
	m.NeedsCsum, m.CsumStart, m.CsumOffset = false, 0, 0
	return nil
}

// Where the checksum is in a header.
const (
	tcpCsum = 16
	udpCsum = 6
)

// putCsum writes the checksum for a sum. In UDP 0 means that there is none, so
// the other zero of one's complement stands for it (RFC 768).
func putCsum(b []byte, s Sum, udp bool) {
	v := ^s.Fold()
	if udp && v == 0 {
		v = 0xffff
	}
	binary.BigEndian.PutUint16(b, v)
}
