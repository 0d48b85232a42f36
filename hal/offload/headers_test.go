package offload

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestParse(t *testing.T) {
	for name, p := range kinds() {
		t.Run(name, func(t *testing.T) {
			p.payload = []byte("some payload")
			b := p.bytes()
			want := Headers{L3: 14, L4: p.l4At, Payload: p.payloadAt, Proto: p.proto, Total: len(b)}
			if p.v6 {
				want.EtherType, want.Version = 0x86dd, 6
				want.Src, want.Dst = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
			} else {
				want.EtherType, want.Version = 0x0800, 4
				want.Src, want.Dst = netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.2")
			}
			switch p.proto {
			case protoTCP:
				want.SrcPort, want.DstPort, want.TCPFlags = 12345, 80, p.l4[13]
			case protoUDP:
				want.SrcPort, want.DstPort = 12345, 53
			default:
				want.SrcPort, want.DstPort, want.ICMPType = 0x1234, 0x1234, p.l4[0]
			}
			// Padding behind the packet changes nothing.
			for _, padded := range [][]byte{b, append(b, make([]byte, 40)...)} {
				got, err := Parse(padded)
				if err != nil || got != want {
					t.Errorf("%v\n%+v, want\n%+v", err, got, want)
				}
			}
			// Every header that is cut off is missed; payload is not.
			for n := range b {
				got, err := Parse(b[:n])
				if n < p.payloadAt && err != ErrShort || n >= p.payloadAt && (err != nil || got != want) {
					t.Errorf("the first %d bytes: %v %+v", n, err, got)
				}
			}
		})
	}
}

func TestParseOther(t *testing.T) {
	arp := append(make([]byte, 12), 8, 6, 0, 1)
	if h, err := Parse(arp); err != nil || h != (Headers{L3: 14, L4: 14, Payload: 14, EtherType: 0x0806}) {
		t.Errorf("ARP: %v %+v", err, h)
	}
	vlan := append(append(make([]byte, 12), 0x81, 0, 0, 5), (&packet{proto: 47}).bytes()[12:]...)
	if h, err := Parse(vlan); err != nil || h.Version != 0 || h.EtherType != 0x8100 {
		t.Errorf("VLAN: %v %+v", err, h)
	}
	gre := (&packet{proto: 47, payload: []byte{1}}).bytes()
	if h, err := Parse(gre); err != nil || h.L4 != 34 || h.Payload != 34 || h.Proto != 47 || h.SrcPort != 0 {
		t.Errorf("GRE: %v %+v", err, h)
	}
	gre[14] = 0x44
	if _, err := Parse(gre); err != ErrMalformed {
		t.Errorf("an IPv4 header of 16 bytes: %v", err)
	}
	// The ICMP of the other version is just an unknown protocol.
	if h, err := Parse((&packet{v6: true, proto: protoICMP, l4: make([]byte, 4)}).bytes()); err != nil || h.Payload != h.L4 {
		t.Errorf("ICMPv4 over IPv6: %v %+v", err, h)
	}
	unreachable := packet{proto: protoICMP, l4: echoHeader(3)}
	if h, err := Parse(unreachable.bytes()); err != nil || h.SrcPort != 0 || h.Payload != 42 {
		t.Errorf("ICMP unreachable: %v %+v", err, h)
	}
	jumbo := packet{v6: true, proto: protoTCP, ext: []byte{protoTCP, 0, 0xc2, 4, 0, 2, 0, 0}, extType: protoHopByHop, l4: tcpHeader(0, 0x10)}
	b := jumbo.bytes()
	b[18], b[19] = 0, 0
	if h, err := Parse(b); err != nil || h.Total != 0 || h.DstPort != 80 {
		t.Errorf("jumbogram: %v %+v", err, h)
	}
}

func TestParseFragments(t *testing.T) {
	p := packet{proto: protoUDP, l4: udpHeader(), payload: make([]byte, 100)}
	for _, field := range []uint16{0x2000, 0x00b9, 0x20b9, 0x60b9} {
		b := p.bytes()
		binary.BigEndian.PutUint16(b[20:], field)
		h, err := Parse(b)
		if err != nil || !h.Fragment || h.SrcPort != 0 || h.L4 != 34 || h.Payload != 34 || h.Proto != protoUDP {
			t.Errorf("IPv4 %#04x: %v %+v", field, err, h)
		}
	}
	for field, fragment := range map[uint16]bool{0: false, 6: false, 1: true, 0x00b8: true, 0x00b9: true} {
		p := packet{v6: true, proto: protoUDP, ext: []byte{protoUDP, 0, byte(field >> 8), byte(field), 0, 0, 0, 1},
			extType: protoFragment, l4: udpHeader(), payload: make([]byte, 100)}
		h, err := Parse(p.bytes())
		port, payload := uint16(12345), 70
		if fragment {
			port, payload = 0, 62
		}
		if err != nil || h.Fragment != fragment || h.SrcPort != port || h.L4 != 62 || h.Payload != payload || h.Proto != protoUDP {
			t.Errorf("IPv6 %#04x: %v %+v", field, err, h)
		}
	}
	// Behind a fragment header nothing is looked at, not even more headers.
	p = packet{v6: true, ext: []byte{protoDstOpts, 0, 0, 1, 0, 0, 0, 1}, extType: protoFragment}
	if h, err := Parse(p.bytes()); err != nil || h.Proto != protoDstOpts || h.L4 != 62 {
		t.Errorf("options behind a fragment header: %v %+v", err, h)
	}
}

func TestParseMalformed(t *testing.T) {
	for name, test := range map[string]struct {
		kind string
		at   int
		val  []byte
	}{
		"IPv4 with version 6":         {"tcp4", 14, []byte{0x65}},
		"IPv4 total below header":     {"tcp4", 16, []byte{0, 19}},
		"IPv4 total of zero":          {"tcp4", 16, []byte{0, 0}},
		"IPv4 total below TCP":        {"tcp4", 16, []byte{0, 39}},
		"IPv4 total below UDP":        {"udp4", 16, []byte{0, 27}},
		"IPv4 total below ICMP":       {"icmp4", 16, []byte{0, 27}},
		"IPv6 with version 4":         {"tcp6", 14, []byte{0x40}},
		"IPv6 payload below TCP":      {"tcp6", 18, []byte{0, 31}},
		"IPv6 payload of zero":        {"udp6", 18, []byte{0, 0}},
		"IPv6 payload below hop":      {"tcp6 hop", 18, []byte{0, 7}},
		"IPv6 hop past the packet":    {"tcp6 hop", 55, []byte{4}},
		"TCP header of 16 bytes":      {"tcp4", 46, []byte{0x4f}},
		"TCP header past the packet":  {"tcp4", 46, []byte{0xf0}},
		"UDP length of 7":             {"udp4", 38, []byte{0, 7}},
		"UDP length past the packet":  {"udp4", 38, []byte{0, 13}},
		"UDP length of zero (jumbo)":  {"udp6", 58, []byte{0, 0}},
		"UDP length past IPv6 packet": {"udp6", 58, []byte{0xff, 0xff}},
	} {
		p := kinds()[test.kind]
		p.payload = []byte{1, 2, 3, 4}
		b := append(p.bytes(), make([]byte, 100)...)
		copy(b[test.at:], test.val)
		if _, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for name, p := range kinds() {
		b := p.bytes()
		if n := testing.AllocsPerRun(100, func() { Parse(b); Parse(b[:40]) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range kinds() {
		p.payload = []byte{1, 2, 3}
		f.Add(p.bytes(), 60)
	}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		h, err := Parse(b)
		if err != nil {
			if err != ErrShort && err != ErrMalformed {
				t.Fatalf("error %v", err)
			}
			return
		}
		if h.L3 != hal.EthernetHeaderLen || h.L4 < h.L3 || h.Payload < h.L4 || h.Payload > len(b) {
			t.Fatalf("offsets %+v in %d bytes", h, len(b))
		}
		if h.Version == 0 && h != (Headers{L3: 14, L4: 14, Payload: 14, EtherType: h.EtherType}) {
			t.Fatalf("not IP, but %+v", h)
		}
		if h.Total != 0 && h.Payload > h.Total || h.Version != 0 && (!h.Src.IsValid() || h.Src.Is4() != (h.Version == 4)) {
			t.Fatalf("%+v", h)
		}
		if h.Fragment && (h.SrcPort != 0 || h.DstPort != 0 || h.TCPFlags != 0 || h.Payload != h.L4) {
			t.Fatalf("a fragment with %+v", h)
		}
		// Only the headers count, and how many bytes are at hand.
		if n < 0 || n > len(b) {
			return
		}
		if got, err := Parse(b[:n]); n >= h.Payload && (err != nil || got != h) || n < h.Payload && err != ErrShort {
			t.Fatalf("the first %d bytes: %v %+v; all: %+v", n, err, got, h)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"tcp4", "tcp6", "udp6 chain"} {
		p := kinds()[name]
		packet := p.bytes()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h, _ := Parse(packet)
				sink = h.DstPort
			}
		})
	}
}
