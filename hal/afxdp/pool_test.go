package afxdp

import (
	"testing"

	"pgregory.net/rapid"
)

// A chunk is at one place, whatever addresses the kernel makes up.
func TestPoolKnowsItsChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const chunk, first, n = 2048, 5, 8
		p := newPool(make([]byte, 16*chunk), chunk, first, n)
		holders := map[uint64]holder{}
		for i := range uint64(n) {
			holders[first+i] = idle
		}
		count := func(want holder) (k int) {
			for _, at := range holders {
				if at == want {
					k++
				}
			}
			return k
		}
		t.Repeat(map[string]func(*rapid.T){
			"lend": func(t *rapid.T) {
				if len(p.free) > 0 {
					ref := p.get(lent)
					if holders[ref] != idle {
						t.Fatalf("chunk %d is lent and was not idle", ref)
					}
					holders[ref] = lent
				}
			},
			"send": func(t *rapid.T) {
				ref := rapid.Uint64Range(first, first+n-1).Draw(t, "chunk")
				if p.has(ref, lent) {
					p.move(ref, kernel)
					holders[ref] = kernel
				}
			},
			"complete": func(t *rapid.T) {
				addr := rapid.OneOf(rapid.Uint64Range(0, 16*chunk), rapid.Uint64()).Draw(t, "address")
				ref, offset, ok := p.find(addr)
				at, ours := holders[addr/chunk]
				if ok != (ours && at == kernel) {
					t.Fatalf("address %#x: found is %v; it is ours: %v, at %d", addr, ok, ours, at)
				}
				if ok {
					if ref != addr/chunk || offset != int(addr%chunk) {
						t.Fatalf("address %#x is chunk %d, offset %d", addr, ref, offset)
					}
					p.put(ref)
					holders[ref] = idle
				}
			},
			"": func(t *rapid.T) {
				if p.out != count(lent) || len(p.free) != count(idle) {
					t.Fatalf("%d lent and %d idle, want %d and %d", p.out, len(p.free), count(lent), count(idle))
				}
			},
		})
	})
}

func TestLoanOfChunk(t *testing.T) {
	p := newPool(make([]byte, 4*2048), 2048, 1, 2)
	ref := p.get(lent)
	if c := p.chunk(ref); len(c) != 2048 || cap(c) != 2048 || &c[0] != &p.mem[2048] {
		t.Errorf("chunk %d has %d bytes and room for %d", ref, len(c), cap(c))
	}
	p.put(ref)
	for _, bad := range []uint64{ref, 0, 3, 1 << 63} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("chunk %d was given back and is not on loan, and nobody minds", bad)
				}
			}()
			p.mustBeLent(bad)
		}()
	}
}

// The kernel's conditions: chunks of 2 or 4 KiB, rings of a power of two, and no
// more packets than slots where a full ring would mean a lost chunk.
func TestLayout(t *testing.T) {
	power := func(n int) bool { return n > 0 && n&(n-1) == 0 }
	for _, frames := range []int{0, minFrames, 1024, maxFrames} {
		for _, mtu := range []int{68, 1280, 1500, 1774, 1775, 3500, 9000, 65535} {
			for _, meta := range []int{0, metaLength} {
				l := newLayout(frames, mtu, meta)
				if l.chunk != 2048 && l.chunk != 4096 || !power(l.fill) || !power(l.rxRing) || !power(l.txRing) {
					t.Errorf("frames %d, MTU %d: %+v", frames, mtu, l)
				}
				if l.rx > l.fill || l.tx > l.txRing || l.loans+l.rxRing > l.rx {
					t.Errorf("frames %d, MTU %d: rings do not hold what is in them: %+v", frames, mtu, l)
				}
				if l.rxChain*(l.chunk-kernelRoom) < mtu+overhead || l.txChain*l.payload() < mtu+overhead {
					t.Errorf("frames %d, MTU %d: chains are too short: %+v", frames, mtu, l)
				}
				if mtu <= 1500 && l.maxChain() != 1 {
					t.Errorf("MTU %d: Ethernet packets are chains of %d", mtu, l.maxChain())
				}
			}
		}
	}
	if l := newLayout(0, 1500, 0); l.rx-l.rxRing < 4096 {
		t.Errorf("the fill ring has %d frames left when the receive ring is full", l.rx-l.rxRing)
	}
}
