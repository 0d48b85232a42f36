package offload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// FuzzCutter cuts well-formed super-frames of random shape.
func FuzzCutter(f *testing.F) {
	names := []string{"tcp4", "tcp4 options", "tcp4 longest", "tcp6", "tcp6 hop", "udp4", "udp6", "udp6 chain"}
	for i := range names {
		f.Add(uint8(i), uint16(1000), uint8(0), bytes.Repeat([]byte("payload"), 500), []byte{1, 33, 255}, []byte{200, 7, 0, 91})
		f.Add(uint8(i), uint16(7), uint8(1), []byte("odd pieces of an odd payload, "), []byte{5, 5, 0, 3}, []byte{})
	}
	f.Fuzz(func(t *testing.T, kind uint8, gsoSize uint16, can uint8, payload, srcCuts, dstCuts []byte) {
		p := kinds()[names[int(kind)%len(names)]]
		if gsoSize == 0 || len(payload) > 60000 || len(payload)/int(gsoSize) > 500 {
			return
		}
		p.payload = payload
		var c Cutter
		checkCut(t, &c, p, int(gsoSize), hal.Offload(can)&allOffloads, srcCuts, dstCuts)
	})
}

// FuzzCutterHostile gives the Cutter anything. What it takes must come out
// whole, and right if the pseudo-header's sum was right.
func FuzzCutterHostile(f *testing.F) {
	for _, p := range kinds() {
		p.payload = bytes.Repeat([]byte{1, 2, 3}, 200)
		if p.proto == protoTCP || p.proto == protoUDP {
			b, m := p.super(100)
			f.Add(b, uint8(m.GSO), m.GSOSize, m.CsumStart, m.CsumOffset, m.HdrLen, uint8(0), []byte{3})
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, gso uint8, gsoSize, start, offset, hdrLen uint16, can uint8, cuts []byte) {
		m := hal.Meta{NeedsCsum: true, CsumStart: start, CsumOffset: offset, GSO: hal.GSO(gso), GSOSize: gsoSize, HdrLen: hdrLen}
		if gsoSize > 0 && len(b)/int(gsoSize) > 500 {
			return
		}
		first := min(len(b), hal.Contiguous)
		h, _ := Parse(b[:first])
		if m.GSO != hal.GSONone && h.L4+int(offset)+2 <= len(b) && h.Version != 0 && h.L4 >= h.L3+20 {
			var s Sum
			h.addPseudo(&s, b, len(b)-h.L4)
			binary.BigEndian.PutUint16(b[h.L4+int(offset):], s.Fold())
		}
		var c Cutter
		if c.Reset(pieces(b, first, cuts), m, hal.Offload(can)&allOffloads) != nil {
			if c.More() {
				t.Fatalf("a packet after an error")
			}
			return
		}
		payload := 0
		for _, fs := range drain(t, &c, cuts) {
			payload += hal.PacketLen(fs) - h.Payload
			if m.GSO == hal.GSONone || fs[0].Meta.GSO != hal.GSONone {
				if hal.PacketLen(fs) != len(b) {
					t.Fatalf("%d bytes became %d", len(b), hal.PacketLen(fs))
				}
				return
			}
			if err := Complete(fs); err != nil {
				t.Fatal(err)
			}
			if v := Verify(fs); v != Valid && !(h.routed && v == Unchecked) {
				t.Fatalf("%v: %x", v, join(fs))
			}
		}
		if payload != len(b)-h.Payload {
			t.Fatalf("%d bytes of payload became %d", len(b)-h.Payload, payload)
		}
	})
}

func BenchmarkCutter(b *testing.B) {
	for _, name := range []string{"tcp4", "tcp6", "udp4"} {
		for _, can := range []hal.Offload{0, hal.Csum, allOffloads} {
			p := kinds()[name]
			p.payload = random(rng(6), 65000)
			packet, m := p.super(1448)
			cuts := bytes.Repeat([]byte{0}, 1) // headers alone, then one large piece
			src := pieces(packet, p.payloadAt, cuts)
			dst := chain(make([]byte, len(packet)), nil)
			full := dst[0].Data
			b.Run(fmt.Sprintf("%s/device=%v", name, can), func(b *testing.B) {
				b.SetBytes(int64(len(p.payload)))
				b.ReportAllocs()
				var c Cutter
				for b.Loop() {
					if err := c.Reset(src, m, can); err != nil {
						b.Fatal(err)
					}
					for c.More() {
						dst[0].Data = full[:c.Len()]
						c.Next(dst)
					}
				}
			})
		}
	}
}
