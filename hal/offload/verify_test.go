package offload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestVerify(t *testing.T) {
	r := rng(1)
	for name, p := range kinds() {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, 2, 11, 150, 1447, 9001} {
				p.payload = random(r, n)
				b := p.bytes()
				padded := append(append([]byte{}, b...), random(r, 19)...)
				for _, b := range [][]byte{b, padded} {
					if v := Verify(chain(b, nil)); v != Valid {
						t.Fatalf("%d bytes: %v", len(b), v)
					}
					if v := Verify(chain(b, random(r, 9))); v != Valid {
						t.Fatalf("%d bytes in pieces: %v", len(b), v)
					}
				}
				if v := Verify(chain(b[:len(b)-1], nil)); v != Bad {
					t.Errorf("shorter than IP says: %v", v)
				}
			}
			p.payload = []byte("every bit counts")
			b := p.bytes()
			for bit := 14 * 8; bit < len(b)*8; bit++ {
				b[bit/8] ^= 1 << (bit % 8)
				// The fields that no checksum covers: those of the IPv6 header
				// outside of the pseudo-header, and its extension headers.
				at := bit / 8
				covered := !p.v6 || at >= 22 && at < 54 || at >= p.l4At
				if v := Verify(chain(b, nil)); covered && v == Valid {
					t.Errorf("bit %d of byte %d flipped: %v", bit%8, at, v)
				}
				b[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
}

func TestVerifyTrusts(t *testing.T) {
	for name, p := range kinds() {
		p.payload = []byte("payload")
		b := p.bytes()
		b[len(b)-1] ^= 1
		for _, m := range []hal.Meta{{CsumValid: true}, {NeedsCsum: true}} {
			fs := chain(b, nil)
			fs[0].Meta = m
			if v := Verify(fs); v != Valid {
				t.Errorf("%s, %+v: %v", name, m, v)
			}
			if !p.v6 { // but nobody vouches for the IP header
				fs[0].Data[22] ^= 1
				if v := Verify(fs); v != Bad {
					t.Errorf("%s, %+v, bad IPv4 header: %v", name, m, v)
				}
			}
		}
	}
}

func TestVerifySuper(t *testing.T) {
	for name, p := range kinds() {
		if p.proto != protoTCP && p.proto != protoUDP {
			continue
		}
		p.payload = random(rng(2), 20001)
		b, m := p.super(1448)
		fs := chain(b, []byte{200, 255, 33})
		fs[0].Meta = m
		if v := Verify(fs); v != Valid {
			t.Errorf("%s: %v", name, v)
		}
		// Complete as a whole: the sums hold over all of it.
		fs = chain(p.bytes(), []byte{200, 255, 33})
		fs[0].Meta = hal.Meta{GSO: m.GSO, GSOSize: m.GSOSize}
		if v := Verify(fs); v != Valid {
			t.Errorf("%s with its checksum: %v", name, v)
		}
		fs[1].Data[4] ^= 4
		if v := Verify(fs); v != Bad {
			t.Errorf("%s corrupted: %v", name, v)
		}
	}
}

func TestVerifySpecial(t *testing.T) {
	check := func(name string, b []byte, want Verdict) {
		t.Helper()
		if v := Verify(chain(b, nil)); v != want {
			t.Errorf("%s: %v, want %v", name, v, want)
		}
	}
	if v := Verify(nil); v != Bad {
		t.Errorf("no frames: %v", v)
	}
	check("runt", make([]byte, 13), Bad)
	check("ARP", append(make([]byte, 12), 8, 6), Unchecked)
	gre := (&packet{proto: 47, payload: []byte{1, 2}}).bytes()
	check("unknown transport", gre, Unchecked)
	gre[20] = 0
	check("unknown transport, bad IPv4 header", gre, Bad)

	udp := packet{proto: protoUDP, l4: udpHeader(), payload: []byte("x")}
	b := udp.bytes()
	b[40], b[41] = 0, 0
	check("UDP without checksum", b, Unchecked)
	udp.v6 = true
	b = udp.bytes()
	b[60], b[61] = 0, 0
	check("UDP over IPv6 without checksum", b, Bad)

	// A UDP datagram may be shorter than the IP packet around it.
	udp.v6, udp.payload = false, []byte("datagram")
	short := udp.bytes()
	binary.BigEndian.PutUint16(short[16:], 20+16+3)
	short[24], short[25] = 0, 0
	binary.BigEndian.PutUint16(short[24:], ^refSum(short[14:34]))
	check("UDP with a tail", append(short, 1, 2, 3), Valid)

	fragment := udp.bytes()
	fragment[20], fragment[24], fragment[25] = 0x20, 0, 0
	binary.BigEndian.PutUint16(fragment[24:], ^refSum(fragment[14:34]))
	check("fragment", fragment, Unchecked)
	fs := chain(fragment, nil)
	fs[0].Meta.CsumValid = true // nobody can know
	if v := Verify(fs); v != Unchecked {
		t.Errorf("fragment with CsumValid: %v", v)
	}
	fragment[25] ^= 1
	check("fragment, bad IPv4 header", fragment, Bad)

	routed := kinds()["udp6 chain"]
	routed.ext = append([]byte{}, routed.ext...)
	routed.ext[3] = 1
	check("segments left in a routing header", routed.bytes(), Unchecked)
}

// IPv6 extension headers that go on behind the first frame.
func TestVerifyDeep(t *testing.T) {
	p := packet{v6: true, proto: protoUDP, ext: make([]byte, 200), extType: protoDstOpts, l4: udpHeader(), payload: make([]byte, 50)}
	p.ext[0], p.ext[1] = protoUDP, 24
	b := p.bytes()
	if v := Verify(chain(b, nil)); v != Valid {
		t.Errorf("in one frame: %v", v)
	}
	fs := chain(b, []byte{192})
	if v := Verify(fs); v != Unchecked {
		t.Errorf("in two frames: %v", v)
	}
	fs[0].Meta.CsumValid = true
	if v := Verify(fs); v != Valid {
		t.Errorf("in two frames, with CsumValid: %v", v)
	}
	fs[1].Data = fs[1].Data[1:]
	if v := Verify(fs); v != Bad {
		t.Errorf("shorter than IP says: %v", v)
	}
	if v := Verify(chain(b[:250], nil)); v != Bad {
		t.Errorf("cut off: %v", v)
	}
	// That is for a first frame as long as the contract says. A device that
	// breaks it must not get everything through.
	fs = append(chain(b[:191], nil), chain(b[191:], nil)...)
	if v := Verify(fs); v != Bad {
		t.Errorf("first frame too short: %v", v)
	}
}

func TestVerdictString(t *testing.T) {
	for v, want := range map[Verdict]string{Unchecked: "unchecked", Valid: "valid", Bad: "bad", 9: "Verdict(9)"} {
		if v.String() != want {
			t.Errorf("%v, want %s", v, want)
		}
	}
}

// refVerify is Verify for a packet in one piece and without metadata, as one
// would explain it: take the layers off one after the other.
func refVerify(b []byte) Verdict {
	if len(b) < 14 {
		return Bad
	}
	kind, rest := binary.BigEndian.Uint16(b[12:]), b[14:]
	var proto byte
	var addrs []byte
	switch {
	case kind == 0x0800:
		if len(rest) < 20 || rest[0]>>4 != 4 || rest[0]&15 < 5 {
			return Bad
		}
		header, total := int(rest[0]&15)*4, int(binary.BigEndian.Uint16(rest[2:]))
		if total < header || total > len(rest) || refSum(rest[:header]) != 0xffff {
			return Bad
		}
		if binary.BigEndian.Uint16(rest[6:])<<2 != 0 {
			return Unchecked
		}
		proto, addrs, rest = rest[9], rest[12:20], rest[header:total]
		if proto == 1 {
			if len(rest) < 8 || refSum(rest) != 0xffff {
				return Bad
			}
			return Valid
		}
	case kind == 0x86dd:
		if len(rest) < 40 || rest[0]>>4 != 6 {
			return Bad
		}
		size, final := int(binary.BigEndian.Uint16(rest[4:])), true
		jumbo := size == 0 && rest[6] == 0
		if !jumbo && 40+size > len(rest) {
			return Bad
		}
		proto, addrs = rest[6], rest[8:40]
		rest = rest[40:]
		if !jumbo {
			rest = rest[:size]
		}
		for proto == 0 || proto == 43 || proto == 44 || proto == 60 {
			n := 8
			if len(rest) >= 8 && proto != 44 {
				n = 8 + int(rest[1])*8
			}
			if len(rest) < n {
				return Bad
			}
			if proto == 44 && (rest[2] != 0 || rest[3]&^6 != 0) {
				return Unchecked
			}
			if proto == 43 && rest[3] != 0 {
				final = false
			}
			proto, rest = rest[0], rest[n:]
		}
		if proto == 58 && len(rest) < 8 {
			return Bad
		}
		if proto == 58 && final && !jumbo {
			return refTransport(proto, addrs, rest)
		}
		if !final || jumbo { // only that the header is there and makes sense
			switch v := refTransport(proto, addrs, rest); {
			case proto == 6 && (len(rest) < 20 || rest[12]>>4 < 5 || int(rest[12]>>4)*4 > len(rest)):
				return v
			case proto == 17 && len(rest) < 8:
				return v
			case proto == 17 && binary.BigEndian.Uint16(rest[4:]) < 8:
				return v
			case proto == 17 && !jumbo && int(binary.BigEndian.Uint16(rest[4:])) > len(rest):
				return v
			}
			return Unchecked
		}
	default:
		return Unchecked
	}
	if proto == 6 || proto == 17 {
		return refTransport(proto, addrs, rest)
	}
	return Unchecked
}

// refTransport verifies a transport that has a pseudo-header.
func refTransport(proto byte, addrs, rest []byte) Verdict {
	switch proto {
	case 6:
		if len(rest) < 20 || rest[12]>>4 < 5 || int(rest[12]>>4)*4 > len(rest) {
			return Bad
		}
	case 17:
		if len(rest) < 8 {
			return Bad
		}
		n := int(binary.BigEndian.Uint16(rest[4:]))
		if n < 8 || n > len(rest) {
			return Bad
		}
		rest = rest[:n]
		if rest[6] == 0 && rest[7] == 0 {
			if len(addrs) == 8 {
				return Unchecked
			}
			return Bad
		}
	}
	all := append(append([]byte{}, addrs...), 0, proto, byte(len(rest)>>8), byte(len(rest)))
	if refSum(append(all, rest...)) != 0xffff {
		return Bad
	}
	return Valid
}

func FuzzVerify(f *testing.F) {
	for _, p := range kinds() {
		p.payload = []byte("what a fuzzer may change")
		f.Add(p.bytes(), []byte{1, 2, 3})
		p.payload = bytes.Repeat([]byte{7}, 301)
		f.Add(p.bytes(), []byte{0, 7})
	}
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		want := refVerify(b)
		if got := Verify(chain(b, nil)); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
		fs := chain(b, cuts)
		if got := Verify(fs); got != want {
			if _, err := Parse(fs[0].Data); err != ErrShort || got == Valid {
				t.Fatalf("in pieces: %v, want %v", got, want)
			}
		}
	})
}

func TestVerifyAllocatesNothing(t *testing.T) {
	p := kinds()["tcp4"]
	p.payload = make([]byte, 1000)
	fs := chain(p.bytes(), []byte{200, 33})
	m := hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 16}
	if n := testing.AllocsPerRun(100, func() {
		Verify(fs)
		fs[0].Meta = m
		Complete(fs)
		fs[0].Meta.NeedsCsum, fs[0].Meta.CsumStart = true, 9999
		Complete(fs)
		fs[0].Meta = hal.Meta{}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	p := kinds()["tcp4"]
	p.payload = make([]byte, 1448)
	fs := chain(p.bytes(), nil)
	b.SetBytes(int64(hal.PacketLen(fs)))
	b.ReportAllocs()
	for b.Loop() {
		if Verify(fs) != Valid {
			b.Fatal("not valid")
		}
	}
}
