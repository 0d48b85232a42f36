package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// refVirtio is struct virtio_net_hdr with num_buffers.
type refVirtio struct {
	Flags, GSOType                                     uint8
	HdrLen, GSOSize, CsumStart, CsumOffset, NumBuffers uint16
}

func (v refVirtio) bytes() []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}

func TestPutVirtio(t *testing.T) {
	for name, test := range map[string]struct {
		m    hal.Meta
		want refVirtio
	}{
		"nothing": {hal.Meta{}, refVirtio{}},
		"csum": {hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 6},
			refVirtio{Flags: 1, CsumStart: 34, CsumOffset: 6}},
		"vouched for": {hal.Meta{CsumValid: true}, refVirtio{}},
		"tcp4": {hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 16, GSO: hal.GSOTCP4, GSOSize: 1448, HdrLen: 66},
			refVirtio{Flags: 1, GSOType: 1, HdrLen: 66, GSOSize: 1448, CsumStart: 34, CsumOffset: 16}},
		"tcp6": {hal.Meta{NeedsCsum: true, CsumStart: 54, CsumOffset: 16, GSO: hal.GSOTCP6, GSOSize: 1428, HdrLen: 86},
			refVirtio{Flags: 1, GSOType: 4, HdrLen: 86, GSOSize: 1428, CsumStart: 54, CsumOffset: 16}},
		"udp": {hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 6, GSO: hal.GSOUDP, GSOSize: 1200, HdrLen: 42},
			refVirtio{Flags: 1, GSOType: 5, HdrLen: 42, GSOSize: 1200, CsumStart: 34, CsumOffset: 6}},
	} {
		for _, n := range []int{VirtioLen, VirtioMrgLen, 20} {
			b := bytes.Repeat([]byte{0xee}, n)
			PutVirtio(b, test.m)
			want := append(test.want.bytes()[:min(n, VirtioMrgLen)], bytes.Repeat([]byte{0xee}, 8)...)[:n]
			if !bytes.Equal(b, want) {
				t.Errorf("%s: %x, want %x", name, b, want)
			}
		}
	}
	if !panics(func() { PutVirtio(make([]byte, 9, 12), hal.Meta{}) }) {
		t.Errorf("9 bytes: no panic")
	}
}

func TestParseVirtio(t *testing.T) {
	tcp4 := hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 16, GSO: hal.GSOTCP4, GSOSize: 1448}
	tcp6 := hal.Meta{NeedsCsum: true, CsumStart: 54, CsumOffset: 16, GSO: hal.GSOTCP6, GSOSize: 1428}
	udp := hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 6, GSO: hal.GSOUDP, GSOSize: 1200}
	for name, test := range map[string]struct {
		in   refVirtio
		size int
		want hal.Meta
		err  error
	}{
		"nothing":           {refVirtio{}, 0, hal.Meta{}, nil},
		"valid":             {refVirtio{Flags: 2}, 60, hal.Meta{CsumValid: true}, nil},
		"unknown flags":     {refVirtio{Flags: 0xfc, CsumStart: 9999}, 60, hal.Meta{}, nil},
		"csum":              {refVirtio{Flags: 1, CsumStart: 34, CsumOffset: 16}, 60, hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 16}, nil},
		"csum wins":         {refVirtio{Flags: 3, CsumStart: 34, CsumOffset: 6}, 60, hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 6}, nil},
		"csum at the end":   {refVirtio{Flags: 1, CsumStart: 34, CsumOffset: 24}, 60, hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 24}, nil},
		"csum too far":      {refVirtio{Flags: 1, CsumStart: 34, CsumOffset: 25}, 60, hal.Meta{}, ErrMeta},
		"csum overflows":    {refVirtio{Flags: 1, CsumStart: 0xffff, CsumOffset: 0xffff}, 60, hal.Meta{}, ErrMeta},
		"csum in Ethernet":  {refVirtio{Flags: 1, CsumStart: 13, CsumOffset: 16}, 60, hal.Meta{}, ErrMeta},
		"tcp4":              {refVirtio{1, 1, 66, 1448, 34, 16, 1}, 9000, tcp4, nil},
		"tcp4 ECN":          {refVirtio{1, 0x81, 66, 1448, 34, 16, 1}, 9000, tcp4, nil},
		"tcp4 hint":         {refVirtio{1, 1, 9000, 1448, 34, 16, 1}, 9000, tcp4, nil},
		"tcp4 small":        {refVirtio{1, 1, 0, 1448, 34, 16, 1}, 54, tcp4, nil},
		"tcp4 too small":    {refVirtio{1, 1, 0, 1448, 34, 16, 1}, 53, hal.Meta{}, ErrMeta},
		"tcp4 hint too far": {refVirtio{1, 1, 9001, 1448, 34, 16, 1}, 9000, hal.Meta{}, ErrMeta},
		"tcp4 no csum":      {refVirtio{0, 1, 66, 1448, 34, 16, 1}, 9000, hal.Meta{}, ErrMeta},
		"tcp4 udp's csum":   {refVirtio{1, 1, 66, 1448, 34, 6, 1}, 9000, hal.Meta{}, ErrMeta},
		"tcp4 no size":      {refVirtio{1, 1, 66, 0, 34, 16, 1}, 9000, hal.Meta{}, ErrMeta},
		"tcp4 in IP":        {refVirtio{1, 1, 66, 1448, 33, 16, 1}, 9000, hal.Meta{}, ErrMeta},
		"tcp6":              {refVirtio{1, 4, 86, 1428, 54, 16, 1}, 9000, tcp6, nil},
		"tcp6 ECN":          {refVirtio{1, 0x84, 86, 1428, 54, 16, 1}, 9000, tcp6, nil},
		"tcp6 in IP":        {refVirtio{1, 4, 86, 1428, 53, 16, 1}, 9000, hal.Meta{}, ErrMeta},
		"udp":               {refVirtio{1, 5, 42, 1200, 34, 6, 1}, 9000, udp, nil},
		"udp too small":     {refVirtio{1, 5, 0, 1200, 34, 6, 1}, 41, hal.Meta{}, ErrMeta},
		"ECN alone":         {refVirtio{GSOType: 0x80}, 60, hal.Meta{}, nil},
		"UFO":               {refVirtio{1, 3, 42, 1480, 34, 6, 1}, 9000, hal.Meta{}, hal.ErrNotSupported},
		"GSO 2":             {refVirtio{1, 2, 42, 1480, 34, 6, 1}, 9000, hal.Meta{}, hal.ErrNotSupported},
		"UDP tunnel":        {refVirtio{1, 0x21, 66, 1448, 34, 16, 1}, 9000, hal.Meta{}, hal.ErrNotSupported},
	} {
		for _, n := range []int{VirtioLen, VirtioMrgLen} {
			got, err := ParseVirtio(test.in.bytes()[:n], test.size)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%s: %+v, %v; want %+v, %v", name, got, err, test.want, test.err)
			}
		}
	}
	if _, err := ParseVirtio(make([]byte, VirtioLen-1), 60); !errors.Is(err, ErrShort) {
		t.Errorf("9 bytes: %v", err)
	}
}

func FuzzParseVirtio(f *testing.F) {
	f.Add(refVirtio{1, 1, 66, 1448, 34, 16, 1}.bytes(), 9000)
	f.Add(refVirtio{1, 0x84, 86, 1428, 54, 16, 1}.bytes()[:10], 9000)
	f.Add(refVirtio{1, 5, 42, 1200, 34, 6, 1}.bytes(), 50)
	f.Add(refVirtio{Flags: 2}.bytes(), 60)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		m, err := ParseVirtio(b, size)
		if err != nil {
			if m != (hal.Meta{}) {
				t.Fatalf("%v, and %+v", err, m)
			}
			return
		}
		var v refVirtio
		if _, err := binary.Decode(append(b[:VirtioLen:VirtioLen], 0, 0), binary.LittleEndian, &v); err != nil {
			t.Fatal(err)
		}
		want := hal.Meta{NeedsCsum: v.Flags&1 != 0, CsumValid: v.Flags&3 == 2}
		if want.NeedsCsum {
			want.CsumStart, want.CsumOffset = v.CsumStart, v.CsumOffset
			if int(v.CsumStart) < 14 || int(v.CsumStart)+int(v.CsumOffset)+2 > size {
				t.Fatalf("%+v in %d bytes", m, size)
			}
		}
		if typ := v.GSOType & 0x7f; typ != 0 {
			want.GSO = map[uint8]hal.GSO{1: hal.GSOTCP4, 4: hal.GSOTCP6, 5: hal.GSOUDP}[typ]
			want.GSOSize = v.GSOSize
			if want.GSO == hal.GSONone || want.GSOSize == 0 || !want.NeedsCsum || int(v.HdrLen) > size {
				t.Fatalf("%+v from %+v", m, v)
			}
		}
		if m != want {
			t.Fatalf("%+v, want %+v", m, want)
		}
		// What was understood can be said again.
		again := make([]byte, VirtioLen)
		PutVirtio(again, m)
		m.CsumValid = false
		if back, err := ParseVirtio(again, size); err != nil || back != m {
			t.Fatalf("%+v became %+v, %v", m, back, err)
		}
	})
}
