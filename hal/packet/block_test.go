package packet

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/ringtail-net/ringtail/hal/offload"
)

// fillBlock writes packets, with their virtio-net headers, into a block as the kernel
// does.
func fillBlock(b block, packets ...[]byte) {
	clear(b)
	put := func(at, v int) { binary.NativeEndian.PutUint32(b[at:], uint32(v)) }
	put(blockCount, len(packets))
	put(blockFirst, blockHeader)
	at := blockHeader
	for i, p := range packets {
		const start = 96 - 14 + offload.VirtioLen // where Linux puts an Ethernet header
		end := at + start - offload.VirtioLen + copy(b[at+start-offload.VirtioLen:], p)
		put(at+packetStored, max(len(p)-offload.VirtioLen, 0))
		put(at+packetLen, max(len(p)-offload.VirtioLen, 0))
		binary.NativeEndian.PutUint16(b[at+packetStart:], start)
		next := (end + 15) &^ 15
		if i < len(packets)-1 {
			put(at+packetNext, next-at)
		}
		at = next
	}
}

// walk returns all packets of a block, and whether it is sound.
func walk(b block) (packets [][]byte, sound bool) {
	c, ok := b.begin()
	for ok && c.left > 0 {
		var p piece
		if p, ok = b.next(&c, offload.VirtioLen); ok {
			packets = append(packets, b[p.start-offload.VirtioLen:p.end])
		}
	}
	return packets, ok
}

func TestBlock(t *testing.T) {
	b := make(block, 4096)
	want := [][]byte{bytes.Repeat([]byte("a"), 60), bytes.Repeat([]byte("b"), 1514), []byte("0123456789"), []byte("0123456789c"), bytes.Repeat([]byte("d"), 77)}
	fillBlock(b, want...)
	got, sound := walk(b)
	if !sound || len(got) != len(want) {
		t.Fatalf("%d packets, %v, want %d", len(got), sound, len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("packet %d is %q, want %q", i, got[i], want[i])
		}
	}
	if c, ok := b.begin(); !ok || c.left != 5 {
		t.Errorf("%+v, %v", c, ok)
	}
	for name, harm := range map[string]func(){
		"no block":            func() { b = b[:blockHeader-1] },
		"one packet too many": func() { b[blockCount]++ },
		"first in the header": func() { b[blockFirst] = blockHeader - 1 },
		"first outside":       func() { binary.NativeEndian.PutUint32(b[blockFirst:], 4096-packetHeader+1) },
		"first far outside":   func() { binary.NativeEndian.PutUint32(b[blockFirst:], 0xffffffff) },
		"packet too long":     func() { binary.NativeEndian.PutUint32(b[blockHeader+packetStored:], 4096) },
		"packet much longer":  func() { binary.NativeEndian.PutUint32(b[blockHeader+packetStored:], 0xffffffff) },
		"no room for headers": func() { binary.NativeEndian.PutUint16(b[blockHeader+packetStart:], packetHeader+offload.VirtioLen-1) },
		"next outside":        func() { binary.NativeEndian.PutUint32(b[blockHeader+packetNext:], 0xfffffff0) },
	} {
		b = b[:4096]
		fillBlock(b, want...)
		harm()
		if got, sound := walk(b); sound {
			t.Errorf("%s: not noticed: %d packets", name, len(got))
		}
	}
	b = b[:4096]
	fillBlock(b)
	if got, sound := walk(b); !sound || len(got) != 0 {
		t.Errorf("an empty block has %d packets, %v", len(got), sound)
	}
}

// FuzzBlock has the kernel write anything: no packet lies outside of its block, all
// lie behind each other or the walk ends.
func FuzzBlock(f *testing.F) {
	b := make(block, 512)
	fillBlock(b, make([]byte, 60), make([]byte, 61))
	f.Add([]byte(b))
	f.Add([]byte(b[:blockHeader]))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := block(b).begin()
		var last cursor
		for steps := 0; ok && c.left > 0; steps++ {
			if steps > len(b)/packetHeader+2 || steps > 0 && c.at != 0 && c.at < last.at+packetHeader {
				t.Fatalf("step %d goes from %d to %d", steps, last.at, c.at)
			}
			last = c
			var p piece
			if p, ok = block(b).next(&c, offload.VirtioLen); ok {
				_ = b[p.start-offload.VirtioLen : p.end]
			}
		}
		if !ok && c.left > 0 {
			t.Fatalf("%d packets left in a block that contradicts itself", c.left)
		}
	})
}
