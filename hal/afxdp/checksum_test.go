package afxdp

import (
	"encoding/binary"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// packet makes a packet whose transport checksum is blank, and says where it is.
func packet(v6 bool, proto byte, payload int) (p []byte, m hal.Meta) {
	l4 := 20
	m.CsumOffset = tcpChecksum
	if proto == protoUDP {
		l4, m.CsumOffset = 8, udpChecksum
	}
	ip := 20
	if v6 {
		ip = 40
	}
	size := l4 + payload
	p = make([]byte, hal.EthernetHeaderLen+ip+size)
	h := p[hal.EthernetHeaderLen:]
	var s offload.Sum
	if v6 {
		p[12], p[13], h[0], h[6] = 0x86, 0xdd, 0x60, proto
		binary.BigEndian.PutUint16(h[4:], uint16(size))
		h[8], h[23], h[24], h[39] = 0xfd, 1, 0xfd, 2
		s.Add(h[8:40])
	} else {
		p[12], h[0], h[9] = 8, 0x45, proto
		binary.BigEndian.PutUint16(h[2:], uint16(ip+size))
		h[12], h[15], h[16], h[19] = 10, 1, 10, 2
		s.Add(h[12:20])
		var c offload.Sum
		c.Add(h[:20])
		binary.BigEndian.PutUint16(h[10:], ^c.Fold())
	}
	t := h[ip:]
	t[1], t[3] = 7, 7
	if proto == protoUDP {
		binary.BigEndian.PutUint16(t[4:], uint16(size))
	} else {
		t[12] = 5 << 4
	}
	for i := range t[l4:] {
		t[l4+i] = byte(i * 7)
	}
	s.AddUint16(uint16(proto))
	s.AddUint16(uint16(size))
	m.NeedsCsum, m.CsumStart = true, uint16(hal.EthernetHeaderLen+ip)
	binary.BigEndian.PutUint16(t[m.CsumOffset:], s.Fold())
	return p, m
}

func TestBlankChecksum(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, proto := range []byte{protoTCP, protoUDP} {
			for _, payload := range []int{0, 1, 100, 1400} {
				p, want := packet(v6, proto, payload)
				if m, ok := blank(p); !ok || m != want {
					t.Errorf("IPv6 %v, protocol %d, %d bytes: blank is %v, %+v, want %+v", v6, proto, payload, ok, m, want)
				}
				padded := append(p[:len(p):len(p)], 0, 0, 0)
				if m, ok := blank(padded); !ok || m != want {
					t.Errorf("IPv6 %v, protocol %d, padded: blank is %v, %+v", v6, proto, ok, m)
				}
				full := []hal.Frame{hal.NewFrame(p, 0, len(p), 0)}
				full[0].Meta = want
				if err := offload.Complete(full); err != nil {
					t.Fatal(err)
				}
				if _, ok := blank(p); ok {
					t.Errorf("IPv6 %v, protocol %d, %d bytes: a right checksum is taken for a blank one", v6, proto, payload)
				}
			}
		}
	}
}

func TestNoBlankChecksum(t *testing.T) {
	tests := map[string]func([]byte) []byte{
		"one off":   func(p []byte) []byte { p[34+tcpChecksum]++; return p },
		"fragment":  func(p []byte) []byte { p[20] |= 0x20; return p },
		"ICMP":      func(p []byte) []byte { p[23] = 1; return p },
		"ARP":       func(p []byte) []byte { p[13] = 6; return p },
		"short":     func(p []byte) []byte { return p[:40] },
		"runt":      func(p []byte) []byte { return p[:13] },
		"empty":     func([]byte) []byte { return nil },
		"malformed": func(p []byte) []byte { p[14] = 0x41; return p },
	}
	for name, spoil := range tests {
		p, _ := packet(false, protoTCP, 30)
		if m, ok := blank(spoil(p)); ok || m != (hal.Meta{}) {
			t.Errorf("%s: blank is %v, %+v", name, ok, m)
		}
	}
}

func FuzzBlank(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		p, _ := packet(v6, protoUDP, 3)
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, ok := blank(p)
		if ok && int(m.CsumStart)+int(m.CsumOffset)+2 > len(p) {
			t.Errorf("the checksum is at %d+%d of %d bytes", m.CsumStart, m.CsumOffset, len(p))
		}
	})
}
