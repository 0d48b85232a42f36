package afxdp

import (
	"encoding/binary"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// Where the checksum is in a header.
const (
	tcpChecksum = 16
	udpChecksum = 6
)

// blank finds out whether the sender of a packet has left its TCP or UDP checksum
// to a network card, and there was none: then the field holds the sum of the
// pseudo-header and nothing else. A virtual cable carries such packets as they
// are, and the kernel, which knows that they never left the machine, tells others
// so by metadata that AF_XDP does not have.
//
// One in 65536 packets with a right checksum looks the same. It is right anyway.
func blank(first []byte) (hal.Meta, bool) {
	if len(first) < hal.EthernetHeaderLen || first[12] != 0x08 && first[12] != 0x86 {
		return hal.Meta{}, false // not IP
	}
	h, err := offload.Parse(first)
	if err != nil || h.Version == 0 || h.Fragment || h.Total == 0 {
		return hal.Meta{}, false
	}
	at := uint16(tcpChecksum)
	switch h.Proto {
	case protoTCP:
	case protoUDP:
		at = udpChecksum
	default:
		return hal.Meta{}, false
	}
	var s offload.Sum
	if h.Version == 4 {
		s.Add(first[h.L3+12 : h.L3+20])
	} else {
		s.Add(first[h.L3+8 : h.L3+40])
	}
	s.AddUint16(uint16(h.Proto))
	s.AddUint16(uint16(h.Total - h.L4))
	if s.Fold() != binary.BigEndian.Uint16(first[h.L4+int(at):]) {
		return hal.Meta{}, false
	}
	return hal.Meta{NeedsCsum: true, CsumStart: uint16(h.L4), CsumOffset: at}, true
}
