package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

const allOffloads = hal.Csum | hal.TSO4 | hal.TSO6 | hal.USO

// drain takes all packets out of c, into chains cut like cuts.
func drain(t *testing.T, c *Cutter, cuts []byte) [][]hal.Frame {
	t.Helper()
	var out [][]hal.Frame
	for c.More() {
		n := c.Len()
		fs := chain(bytes.Repeat([]byte{0xee}, n), cuts)
		fs[0].Meta = hal.Meta{NeedsCsum: true, CsumStart: 999, HdrLen: 999} // from the last user
		c.Next(fs)
		out = append(out, fs)
		if len(cuts) > 0 {
			cuts = append(cuts[1:len(cuts):len(cuts)], cuts[0])
		}
	}
	if c.Len() != 0 || c.rest != nil || c.cur != nil {
		t.Errorf("a Cutter without packets still holds one")
	}
	return out
}

// checkCut cuts a super-frame and compares with refCut, byte by byte.
func checkCut(t *testing.T, c *Cutter, p packet, gsoSize int, can hal.Offload, srcCuts, dstCuts []byte) {
	t.Helper()
	b, m := p.super(gsoSize)
	before := append([]byte{}, b...)
	if err := c.Reset(pieces(b, p.payloadAt, srcCuts), m, can); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	out := drain(t, c, dstCuts)
	if !bytes.Equal(b, before) {
		t.Fatalf("the source was changed")
	}
	if can.Carries(m) {
		if len(out) != 1 || out[0][0].Meta != m || !bytes.Equal(join(out[0]), b) {
			t.Fatalf("%d packets, metadata %+v: want the one given", len(out), out[0][0].Meta)
		}
		return
	}
	want := p.refCut(gsoSize)
	if len(out) != len(want) {
		t.Fatalf("%d segments, want %d", len(out), len(want))
	}
	var payload []byte
	for i, fs := range out {
		if can&hal.Csum != 0 {
			if w := (hal.Meta{NeedsCsum: true, CsumStart: m.CsumStart, CsumOffset: m.CsumOffset}); fs[0].Meta != w {
				t.Fatalf("segment %d: metadata %+v, want %+v", i, fs[0].Meta, w)
			}
			at := p.csumAt()
			if got, w := binary.BigEndian.Uint16(fs[0].Data[at:]), refSum(p.pseudo(b, len(want[i])-p.l4At)); got != w {
				t.Fatalf("segment %d: pseudo-header sum %#04x, want %#04x", i, got, w)
			}
			if err := Complete(fs); err != nil {
				t.Fatalf("segment %d: Complete: %v", i, err)
			}
		}
		if fs[0].Meta != (hal.Meta{}) {
			t.Fatalf("segment %d: metadata %+v", i, fs[0].Meta)
		}
		if got := join(fs); !bytes.Equal(got, want[i]) {
			t.Fatalf("segment %d of %d:\n%x, want\n%x", i, len(out), got, want[i])
		}
		if v := Verify(fs); v != Valid {
			t.Fatalf("segment %d: %v", i, v)
		}
		payload = append(payload, join(fs)[p.payloadAt:]...)
	}
	if !bytes.Equal(payload, p.payload) {
		t.Fatalf("the payload is not that of the super-frame")
	}
}

func TestCutterCuts(t *testing.T) {
	r := rng(1)
	var c Cutter
	for name, p := range kinds() {
		if p.proto != protoTCP && p.proto != protoUDP {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, gsoSize := range []int{1, 2, 7, 536, 1447, 1448, 65535} {
				for _, n := range []int{0, 1, 2, 100, 1447, 1448, 1449, 2896, 5001} {
					if n/gsoSize > 1500 {
						continue
					}
					p.payload = random(r, n)
					for _, can := range []hal.Offload{0, hal.Csum, hal.TSO4 | hal.TSO6 | hal.USO, allOffloads} {
						checkCut(t, &c, p, gsoSize, can, random(r, 20), random(r, 8))
						checkCut(t, &c, p, gsoSize, can, nil, nil)
					}
				}
			}
		})
	}
}

// The longest super-frames that an IP header can describe.
func TestCutterLongest(t *testing.T) {
	r := rng(2)
	var c Cutter
	for name, p := range kinds() {
		if p.proto != protoTCP && p.proto != protoUDP {
			continue
		}
		n := 65535 - len(p.l4) - len(p.ext)
		if !p.v6 {
			n -= 20 + len(p.options)
		}
		p.payload = random(r, n)
		t.Run(name, func(t *testing.T) {
			checkCut(t, &c, p, 1448, 0, random(r, 400), random(r, 8))
			checkCut(t, &c, p, 1448, hal.Csum, nil, nil)
		})
	}
}

// A UDP checksum that comes out as 0 is sent as 0xffff (RFC 768).
func TestCutterUDPZero(t *testing.T) {
	p := packet{proto: protoUDP, l4: udpHeader(), payload: make([]byte, 4)}
	b := p.bytes() // pick the payload so that the first segment sums up to zero
	copy(p.payload, b[p.csumAt():p.csumAt()+2])
	b = p.bytes()
	if got := binary.BigEndian.Uint16(b[p.csumAt():]); got != 0xffff {
		t.Fatalf("the test's packet has checksum %#04x", got)
	}
	p.payload = append(p.payload, 5, 6, 7, 8)
	var c Cutter
	checkCut(t, &c, p, 4, 0, nil, nil)
	checkCut(t, &c, p, 4, hal.Csum, nil, nil)

	// The same without super-frames.
	p.payload = p.payload[:4]
	want := p.bytes()
	b, m := p.super(1)
	m.GSO = hal.GSONone
	if err := c.Reset([][]byte{b}, m, 0); err != nil {
		t.Fatal(err)
	}
	if out := drain(t, &c, nil); !bytes.Equal(join(out[0]), want) {
		t.Errorf("the Cutter finished %x, want %x", join(out[0]), want)
	}
	fs := chain(b, nil)
	fs[0].Meta = m
	if err := Complete(fs); err != nil || !bytes.Equal(join(fs), want) {
		t.Errorf("Complete: %v, %x, want %x", err, join(fs), want)
	}
}

func TestCutterFinishes(t *testing.T) {
	r := rng(3)
	var c Cutter
	for name, p := range kinds() {
		for _, n := range []int{0, 1, 2, 178, 1447, 1448, 9001} {
			p.payload = random(r, n)
			want := p.bytes()
			b := append([]byte{}, want...)
			at := p.csumAt()
			binary.BigEndian.PutUint16(b[at:], refSum(p.pseudo(b, len(b)-p.l4At)))
			m := hal.Meta{NeedsCsum: true, CsumStart: uint16(p.l4At), CsumOffset: uint16(at - p.l4At)}
			// Here no piece need hold the headers.
			if err := c.Reset(pieces(b, 0, random(r, 9)), m, hal.TSO4); err != nil {
				t.Fatalf("%s: Reset: %v", name, err)
			}
			out := drain(t, &c, random(r, 5))
			if len(out) != 1 || out[0][0].Meta != (hal.Meta{}) || !bytes.Equal(join(out[0]), want) {
				t.Fatalf("%s, %d bytes: not finished: %+v", name, n, out[0][0].Meta)
			}
			if v := Verify(out[0]); v != Valid {
				t.Errorf("%s: %v", name, v)
			}
		}
	}
}

func TestCutterCopies(t *testing.T) {
	r := rng(4)
	var c Cutter
	for _, b := range [][]byte{{1}, random(r, 60), random(r, 3000)} {
		m := hal.Meta{CsumValid: true}
		if err := c.Reset(pieces(b, 0, random(r, 9)), m, 0); err != nil {
			t.Fatal(err)
		}
		out := drain(t, &c, random(r, 5))
		if len(out) != 1 || out[0][0].Meta != m || !bytes.Equal(join(out[0]), b) {
			t.Errorf("%d bytes: not as they were", len(b))
		}
	}
}

// HdrLen 0 is not known: ParseVirtio never knows it.
func TestCutterFindsHdrLen(t *testing.T) {
	p := kinds()["tcp6 hop"]
	p.payload = make([]byte, 3000)
	b, m := p.super(1000)
	want := m
	m.HdrLen = 0
	var c Cutter
	if err := c.Reset([][]byte{b}, m, allOffloads); err != nil {
		t.Fatal(err)
	}
	if out := drain(t, &c, nil); out[0][0].Meta != want {
		t.Errorf("metadata %+v, want %+v", out[0][0].Meta, want)
	}
	if err := c.Reset([][]byte{b}, m, 0); err != nil {
		t.Fatal(err)
	}
	if out := drain(t, &c, nil); len(out) != 3 {
		t.Errorf("%d segments, want 3", len(out))
	}
}

// Netstacks mark packets of one segment, too: an ACK, a SYN.
func TestCutterSmall(t *testing.T) {
	var c Cutter
	for _, flags := range []byte{0x10, 0x02, 0x12} {
		checkCut(t, &c, packet{proto: protoTCP, l4: tcpHeader(20, flags)}, 1460, 0, nil, nil)
	}
	checkCut(t, &c, packet{proto: protoTCP, l4: tcpHeader(20, 0x02), payload: make([]byte, 1460)}, 1460, 0, nil, nil)
}

// A Cutter that was left in the middle of a packet begins the next one anew.
func TestCutterStartsAgain(t *testing.T) {
	p := kinds()["tcp4"]
	p.payload = random(rng(5), 5000)
	b, m := p.super(1000)
	var c Cutter
	if err := c.Reset([][]byte{b}, m, 0); err != nil {
		t.Fatal(err)
	}
	c.Next(chain(make([]byte, c.Len()), nil))
	checkCut(t, &c, p, 1000, 0, nil, nil)

	if err := c.Reset([][]byte{b}, m, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Reset(nil, hal.Meta{}, 0); err == nil || c.More() || c.Len() != 0 {
		t.Errorf("an empty packet: %v, More %v, Len %d", err, c.More(), c.Len())
	}
}

func TestCutterRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		want  error
		spoil func(b *[]byte, m *hal.Meta, first *int)
	}{
		"no GSO size":        {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.GSOSize = 0 }},
		"no NeedsCsum":       {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.NeedsCsum = false }},
		"CsumStart":          {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.CsumStart++ }},
		"CsumOffset":         {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.CsumOffset = 6 }},
		"HdrLen too short":   {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.HdrLen-- }},
		"HdrLen too long":    {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.HdrLen = 60000 }},
		"other version":      {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.GSO = hal.GSOTCP6 }},
		"other protocol":     {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.GSO = hal.GSOUDP }},
		"unknown GSO":        {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.GSO = 77 }},
		"fragment":           {ErrMeta, func(b *[]byte, m *hal.Meta, _ *int) { (*b)[20], m.HdrLen = 0x20, 0 }},
		"not IP":             {ErrMeta, func(b *[]byte, _ *hal.Meta, _ *int) { (*b)[13] = 6 }},
		"SYN":                {ErrMalformed, func(b *[]byte, _ *hal.Meta, _ *int) { (*b)[47] |= 2 }},
		"shorter than IP":    {ErrMalformed, func(b *[]byte, _ *hal.Meta, _ *int) { *b = (*b)[:len(*b)-1] }},
		"longer than IP":     {ErrMalformed, func(b *[]byte, _ *hal.Meta, _ *int) { *b = append(*b, 0) }},
		"TCP header length":  {ErrMalformed, func(b *[]byte, _ *hal.Meta, _ *int) { (*b)[46] = 0x40 }},
		"headers are split":  {ErrShort, func(_ *[]byte, _ *hal.Meta, first *int) { *first = 53 }},
		"first piece empty":  {ErrShort, func(_ *[]byte, _ *hal.Meta, first *int) { *first = 0 }},
		"runt":               {ErrShort, func(b *[]byte, _ *hal.Meta, _ *int) { *b = (*b)[:13] }},
		"nothing":            {ErrShort, func(b *[]byte, _ *hal.Meta, _ *int) { *b = nil }},
		"plain, csum behind": {ErrMeta, func(b *[]byte, m *hal.Meta, _ *int) { m.GSO, m.CsumStart = 0, uint16(len(*b))-17 }},
		"plain, csum deep":   {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.GSO, m.CsumStart = 0, 175 }},
		"plain, overflow":    {ErrMeta, func(_ *[]byte, m *hal.Meta, _ *int) { m.GSO, m.CsumStart, m.CsumOffset = 0, 0xffff, 0xffff }},
	} {
		t.Run(name, func(t *testing.T) {
			p := packet{proto: protoTCP, l4: tcpHeader(0, 0x18), payload: make([]byte, 3000)}
			b, m := p.super(1000)
			first := len(b)
			test.spoil(&b, &m, &first)
			first = min(first, len(b))
			var c Cutter
			err := c.Reset([][]byte{b[:first], b[first:]}, m, 0)
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if c.More() {
				t.Errorf("there is a packet after an error")
			}
		})
	}
}

func TestCutterRefusesMore(t *testing.T) {
	var c Cutter
	deep := packet{v6: true, proto: protoTCP, ext: make([]byte, 120), extType: protoDstOpts, l4: tcpHeader(0, 0x10), payload: make([]byte, 500)}
	deep.ext[0], deep.ext[1] = protoTCP, 14
	b, m := deep.super(100)
	if err := c.Reset([][]byte{b}, m, 0); !errors.Is(err, ErrShort) {
		t.Errorf("headers of %d bytes: %v", deep.payloadAt, err)
	}
	udp := packet{proto: protoUDP, l4: udpHeader(), payload: make([]byte, 500)}
	b, m = udp.super(100)
	binary.BigEndian.PutUint16(b[38:], 100)
	if err := c.Reset([][]byte{b}, m, 0); !errors.Is(err, ErrMalformed) {
		t.Errorf("a UDP length shorter than IP's: %v", err)
	}
}

func TestCutterNextPanics(t *testing.T) {
	p := packet{proto: protoTCP, l4: tcpHeader(0, 0x18), payload: make([]byte, 3000)}
	b, m := p.super(1000)
	var c Cutter
	for name, dst := range map[string][]hal.Frame{
		"no frames": nil,
		"too short": chain(make([]byte, 1053), nil),
		"too long":  chain(make([]byte, 1055), nil),
		"first frame too short": {
			hal.NewFrame(make([]byte, 191), 0, 191, 0), hal.NewFrame(make([]byte, 863), 0, 863, 0)},
	} {
		if err := c.Reset([][]byte{b}, m, 0); err != nil {
			t.Fatal(err)
		}
		if !panics(func() { c.Next(dst) }) {
			t.Errorf("%s: no panic", name)
		}
	}
	c = Cutter{}
	if !panics(func() { c.Next(nil) }) {
		t.Errorf("no packet: no panic")
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestFrames(t *testing.T) {
	fs := chain([]byte("hello, world"), nil)
	fs = append(fs, chain([]byte("again"), nil)...)
	buf := make([][]byte, 1, 4)
	got := Frames(fs, buf[:0])
	if &got[0] != &buf[0] || string(bytes.Join(got, []byte("|"))) != "hello, world|again" {
		t.Errorf("%q", got)
	}
}
