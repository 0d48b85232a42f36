package pcapng_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
)

var at = time.Unix(1_700_000_000, 123_456_789)

// sample is a capture of two interfaces, and what is in it.
func sample(t testing.TB) ([]byte, []pcapng.Packet) {
	t.Helper()
	var buf bytes.Buffer
	w := pcapng.NewWriter(&buf, "sample")
	w.AddInterface(pcapng.Interface{Name: "one", Description: "the first", SnapLen: 262144})
	w.AddInterface(pcapng.Interface{Name: "three"})
	packets := []pcapng.Packet{
		{Time: at, Data: []byte("0123456789abcd-"), Dir: pcapng.Out},
		{Interface: 1, Time: at.Add(1), Data: []byte("0123456789abcd"), Len: 2000, Dir: pcapng.In, Comments: []string{"truncated", "dröpped"}},
		{Interface: 1, Time: at.Add(time.Hour), Data: []byte("x")},
		{Time: at.Add(time.Hour), Data: []byte{}, Comments: []string{strings.Repeat("long", 20000)}},
	}
	for _, p := range packets {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		packets[i].Len = max(packets[i].Len, len(packets[i].Data))
	}
	packets[3].Comments[0] = packets[3].Comments[0][:0xffff]
	return buf.Bytes(), packets
}

func readAll(r *pcapng.Reader) (ps []pcapng.Packet, err error) {
	for {
		p, err := r.Next()
		if err != nil {
			return ps, err
		}
		p.Data = bytes.Clone(p.Data)
		ps = append(ps, p)
	}
}

func TestRoundTrip(t *testing.T) {
	data, want := sample(t)
	r := pcapng.NewReader(bytes.NewReader(data))
	got, err := readAll(r)
	if err != io.EOF {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range want {
		if !got[i].Time.Equal(want[i].Time) {
			t.Errorf("packet %d: time %v, want %v", i, got[i].Time, want[i].Time)
		}
		got[i].Time, want[i].Time = time.Time{}, time.Time{}
		if got[i].Data == nil {
			got[i].Data = []byte{}
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("packet %d:\n got %.200v\nwant %.200v", i, got[i], want[i])
		}
	}
	want2 := []pcapng.Interface{{Name: "one", Description: "the first", SnapLen: 262144}, {Name: "three"}}
	if is := r.Interfaces(); !reflect.DeepEqual(is, want2) {
		t.Errorf("interfaces %+v", is)
	}
}

// A capture by a big-endian machine in microseconds since 1970 plus an offset,
// with a block of an unknown type and a second section.
func TestReadForeign(t *testing.T) {
	be := binary.BigEndian
	block := func(typ uint32, body ...byte) []byte {
		b := be.AppendUint32(nil, typ)
		b = be.AppendUint32(b, uint32(12+len(body)))
		return be.AppendUint32(append(b, body...), uint32(12+len(body)))
	}
	section := block(0x0a0d0d0a, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255)
	unknown := block(0xbad, 1, 2, 3, 4)
	micros := block(1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 100)
	binaryTime := block(1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0x81, 0, 0, 0) // halves of a second
	packet := block(6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0xee, 0, 0, 0)
	data := bytes.Join([][]byte{section, unknown, micros, packet, section, binaryTime, packet}, nil)
	ps, err := readAll(pcapng.NewReader(bytes.NewReader(data)))
	if err != io.EOF || len(ps) != 2 {
		t.Fatalf("%d packets, %v", len(ps), err)
	}
	for i, want := range []time.Time{time.Unix(100, 3000), time.Unix(1, 500_000_000)} {
		if !ps[i].Time.Equal(want) || !bytes.Equal(ps[i].Data, []byte{0xee}) {
			t.Errorf("packet %d: %+v, want time %v", i, ps[i], want)
		}
	}
}

func TestReadDamaged(t *testing.T) {
	data, _ := sample(t)
	edit := func(at int, b byte) []byte {
		d := bytes.Clone(data)
		d[at] = b
		return d
	}
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"empty", nil, io.EOF},
		{"text", []byte("this is no capture, is it?"), pcapng.ErrFormat},
		{"no byte order", edit(8, 0), pcapng.ErrFormat},
		{"cut off", data[:len(data)-3], io.ErrUnexpectedEOF},
		{"cut off in the first block", data[:10], io.ErrUnexpectedEOF},
		{"odd length", edit(4, 29), pcapng.ErrFormat},
		{"short length", edit(4, 8), pcapng.ErrFormat},
		{"lengths differ", edit(4, data[4]+4), pcapng.ErrFormat},
	} {
		if _, err := readAll(pcapng.NewReader(bytes.NewReader(c.data))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// broken takes the first n writes.
type broken struct{ n, writes int }

var errBroken = errors.New("broken")

func (b *broken) Write(p []byte) (int, error) {
	if b.writes++; b.writes > b.n {
		return 0, errBroken
	}
	return len(p), nil
}

func TestWriterStopsAtTheFirstError(t *testing.T) {
	b := &broken{n: 1}
	w := pcapng.NewWriter(b, "")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	w.AddInterface(pcapng.Interface{})
	if err := w.Flush(); !errors.Is(err, errBroken) {
		t.Errorf("Flush: %v", err)
	}
	if err := w.Write(pcapng.Packet{}); !errors.Is(err, errBroken) || !errors.Is(w.Err(), errBroken) {
		t.Errorf("Write: %v", err)
	}
	w.Flush()
	if b.writes != 2 {
		t.Errorf("%d writes, want none after the first error", b.writes)
	}
}

func FuzzReader(f *testing.F) {
	data, _ := sample(f)
	f.Add(data[:400])
	f.Add(data[:60])
	f.Fuzz(func(t *testing.T, data []byte) {
		r := pcapng.NewReader(bytes.NewReader(data))
		ps, err := readAll(r)
		if err == nil {
			t.Fatal("it never ends")
		}
		// What was read can be written, and reads the same.
		var buf bytes.Buffer
		w := pcapng.NewWriter(&buf, "")
		w.AddInterface(pcapng.Interface{})
		for i := range ps {
			ps[i].Interface = 0
			if err := w.Write(ps[i]); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		again, err := readAll(pcapng.NewReader(&buf))
		if err != io.EOF || len(again) != len(ps) {
			t.Fatalf("%d packets, read again %d: %v", len(ps), len(again), err)
		}
		for i := range ps {
			if !bytes.Equal(ps[i].Data, again[i].Data) || len(ps[i].Comments) != len(again[i].Comments) {
				t.Fatalf("packet %d changed", i)
			}
		}
	})
}
