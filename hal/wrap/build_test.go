package wrap

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// The addresses of the packets below.
var (
	clientMAC, serverMAC = hal.MAC{2, 0, 0, 0, 0, 1}, hal.MAC{2, 0, 0, 0, 0, 2}
	client4, server4     = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	client6, server6     = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
)

// ip makes an Ethernet frame with an IP packet from src to dst. What is at sum
// in body, if not negative, is its checksum: left to be finished, as Meta says.
func ip(src, dst netip.Addr, proto byte, body []byte, sum int) packet {
	b := append(append(append([]byte{}, serverMAC[:]...), clientMAC[:]...), 0x08, 0x00)
	if src.Is4() {
		b = append(b, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0)
		binary.BigEndian.PutUint16(b[16:], uint16(20+len(body)))
	} else {
		b[12], b[13] = 0x86, 0xdd
		b = append(b, 0x60, 0, 0, 0, 0, 0, proto, 64)
		binary.BigEndian.PutUint16(b[18:], uint16(len(body)))
	}
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	if src.Is4() {
		var s offload.Sum
		s.Add(b[14:])
		binary.BigEndian.PutUint16(b[24:], ^s.Fold())
	}
	p := packet{data: append(b, body...)}
	if sum < 0 {
		return p
	}
	var s offload.Sum
	if proto != protoICMP {
		s.Add(src.AsSlice())
		s.Add(dst.AsSlice())
		s.AddUint16(uint16(proto))
		s.AddUint16(uint16(len(body)))
	}
	binary.BigEndian.PutUint16(p.data[len(b)+sum:], s.Fold())
	p.meta = hal.Meta{NeedsCsum: true, CsumStart: uint16(len(b)), CsumOffset: uint16(sum)}
	return p
}

// The blank packets have no complete transport checksum yet.
func blankTCP(src, dst netip.Addr, seq, ack uint32, flags byte, payload []byte) packet {
	b := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(b[0:], 40000)
	binary.BigEndian.PutUint16(b[2:], 80)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = 5<<4, flags
	binary.BigEndian.PutUint16(b[14:], 65535)
	return ip(src, dst, protoTCP, append(b, payload...), 16)
}

func blankUDP(src, dst netip.Addr, payload []byte) packet {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b[0:], 40000)
	binary.BigEndian.PutUint16(b[2:], 7)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return ip(src, dst, protoUDP, append(b, payload...), 6)
}

func blankPing(src, dst netip.Addr, payload []byte) packet {
	typ, proto := byte(8), byte(protoICMP)
	if src.Is6() {
		typ, proto = 128, protoICMPv6
	}
	return ip(src, dst, proto, append([]byte{typ, 0, 0, 0, 0, 1, 0, 1}, payload...), 2)
}

func arp() packet {
	b := append(append([]byte{}, hal.Broadcast[:]...), clientMAC[:]...)
	b = append(b, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, clientMAC[:]...), client4.AsSlice()...)
	return packet{data: append(append(b, 0, 0, 0, 0, 0, 0), server4.AsSlice()...)}
}

// complete finishes the checksum of p.
func complete(t testing.TB, p packet) packet {
	t.Helper()
	f := hal.NewFrame(p.data, 0, len(p.data), 0)
	f.Meta = p.meta
	if err := offload.Complete([]hal.Frame{f}); err != nil {
		t.Fatal(err)
	}
	return packet{data: p.data}
}

// super makes a blank packet a super-frame.
func super(p packet, gso hal.GSO, size int) packet {
	p.meta.GSO, p.meta.GSOSize = gso, uint16(size)
	return p
}

// verdict says what a receiver would say of the checksums of a packet.
func verdict(data []byte) offload.Verdict {
	return offload.Verify([]hal.Frame{hal.NewFrame(data, 0, len(data), 0)})
}

// payload is n bytes that are not all the same.
func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// fixIPv4 sets the header checksum right.
func fixIPv4(p packet) packet {
	p.data[24], p.data[25] = 0, 0
	var s offload.Sum
	s.Add(p.data[14:34])
	binary.BigEndian.PutUint16(p.data[24:], ^s.Fold())
	return p
}
