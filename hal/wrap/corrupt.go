package wrap

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/ringtail-net/ringtail/hal/offload"
)

// IP protocol numbers, as IANA assigns them.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

const ipv6Len = 40

// A span is a range of bytes of a packet.
type span struct{ from, to int }

// pickBit picks one of the bits of a packet that [Link] may flip, all with the
// same chance, and returns zero if there is none.
func pickBit(packet []byte, rnd *rand.Rand) int {
	spans, n := caught(packet)
	total := 0
	for _, s := range spans[:n] {
		total += s.to - s.from
	}
	if total == 0 {
		return 0
	}
	bit := rnd.IntN(total * 8)
	for _, s := range spans[:n] {
		if bit < (s.to-s.from)*8 {
			return s.from*8 + bit
		}
		bit -= (s.to - s.from) * 8
	}
	return 0
}

// caught returns the bytes in which the checksums of a packet catch any single
// flipped bit. That a checksum covers a byte is not enough: the flip must not
// change which bytes it covers (version, header length, lengths, next header),
// nor switch it off (the checksum of UDP: one flip may make it zero).
func caught(packet []byte) (spans [3]span, n int) {
	h, err := offload.Parse(packet)
	if err != nil || h.Version == 0 || h.Total == 0 || h.Total > len(packet) {
		return spans, 0
	}
	header := span{h.L3 + 1, h.L4} // IPv4: its own checksum, RFC 791
	if h.Version == 6 {
		// The addresses, by the pseudo-header (RFC 8200, section 8.1): they
		// count only with a checksum behind them.
		header = span{h.L3 + 8, h.L3 + ipv6Len}
	}
	spans[0] = header
	n = 1
	switch {
	case h.Fragment: // checked with the others only, and not known with what
	case h.Proto == protoTCP, h.Proto == protoICMP && h.Version == 4, h.Proto == protoICMPv6 && h.Version == 6:
		spans[1] = span{h.L4, h.Total}
		n = 2
	case h.Proto == protoUDP:
		end := h.L4 + int(binary.BigEndian.Uint16(packet[h.L4+4:]))
		sum := binary.BigEndian.Uint16(packet[h.L4+6:])
		if sum != 0 && end >= h.Payload && end <= h.Total {
			spans[1], spans[2] = span{h.L4, h.L4 + 4}, span{h.Payload, end}
			n = 3
		}
	}
	switch {
	case h.Version == 6 && n == 1:
		return spans, 0
	case h.Version == 6 && h.L4 != h.L3+ipv6Len:
		spans[0] = span{} // a routing header may replace the destination
	}
	return spans, n
}
