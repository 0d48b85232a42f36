package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestComplete(t *testing.T) {
	r := rng(3)
	for name, p := range kinds() {
		for _, n := range []int{0, 1, 100, 1447, 9001} {
			p.payload = random(r, n)
			want := p.bytes()
			b, m := p.super(1)
			m.GSO, m.GSOSize, m.HdrLen = hal.GSONone, 0, 0
			fs := chain(b, random(r, 9))
			fs[0].Meta = m
			if err := Complete(fs); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(join(fs), want) || fs[0].Meta != (hal.Meta{}) {
				t.Errorf("%s, %d bytes: not complete, or metadata %+v", name, n, fs[0].Meta)
			}
		}
	}
}

func TestCompleteRefuses(t *testing.T) {
	fs := chain(make([]byte, 300), []byte{200})
	if err := Complete(fs); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
	if err := Complete(nil); err != nil {
		t.Errorf("no frames: %v", err)
	}
	for name, m := range map[string]hal.Meta{
		"behind the packet":      {CsumStart: 299, CsumOffset: 0},
		"behind the first frame": {CsumStart: 34, CsumOffset: 165},
		"far behind":             {CsumStart: 0xffff, CsumOffset: 0xffff},
		"super-frame":            {CsumStart: 34, CsumOffset: 16, GSO: hal.GSOTCP4, GSOSize: 100},
	} {
		m.NeedsCsum = true
		fs[0].Meta = m
		if err := Complete(fs); !errors.Is(err, ErrMeta) || fs[0].Meta != m || !bytes.Equal(join(fs), make([]byte, 300)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fs[0].Meta = hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 164}
	if err := Complete(fs); err != nil {
		t.Errorf("at the end of the first frame: %v", err)
	}
}

// FuzzComplete compares with the slow sum, and with a Cutter that does the same.
func FuzzComplete(f *testing.F) {
	f.Add([]byte("a packet of no protocol at all"), uint16(14), uint16(6), []byte{3})
	f.Add(bytes.Repeat([]byte{9}, 400), uint16(34), uint16(16), []byte{3, 20, 1})
	f.Fuzz(func(t *testing.T, b []byte, start, offset uint16, cuts []byte) {
		m := hal.Meta{NeedsCsum: true, CsumStart: start, CsumOffset: offset}
		fs := chain(b, cuts)
		fs[0].Meta = m
		at := int(start) + int(offset)
		err := Complete(fs)
		if (err == nil) != (at+2 <= len(fs[0].Data)) {
			t.Fatalf("checksum at %d of %d: %v", at, len(fs[0].Data), err)
		}
		if err != nil {
			return
		}
		want := append([]byte{}, b...)
		v := ^refSum(b[start:])
		if offset == 6 && v == 0 {
			v = 0xffff
		}
		binary.BigEndian.PutUint16(want[at:], v)
		if !bytes.Equal(join(fs), want) {
			t.Fatalf("%x, want %x", join(fs), want)
		}
		var c Cutter
		if err := c.Reset(pieces(b, 0, cuts), m, 0); err != nil {
			if at+2 <= hal.Contiguous {
				t.Fatalf("the Cutter refuses: %v", err)
			}
			return
		}
		if out := drain(t, &c, cuts); !bytes.Equal(join(out[0]), want) {
			t.Fatalf("the Cutter makes %x, want %x", join(out[0]), want)
		}
	})
}
