package offload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// refSum is RFC 1071 as it is written: add 16-bit words, fold the carries.
func refSum(b []byte) uint16 {
	sum := 0
	for i := range b {
		if i%2 == 0 {
			sum += int(b[i]) << 8
		} else {
			sum += int(b[i])
		}
		for sum > 0xffff {
			sum = sum&0xffff + sum>>16
		}
	}
	return uint16(sum)
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestSumKnown(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want uint16
	}{
		{nil, 0},
		{[]byte{0}, 0},
		{[]byte{1}, 0x0100},
		{[]byte{0, 1}, 1},
		{[]byte{0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}, 0xddf2}, // RFC 1071, section 3
		{bytes.Repeat([]byte{0xff}, 3), 0xff00},
		{make([]byte, 1000), 0},
		{bytes.Repeat([]byte{0xff}, 1<<16), 0xffff}, // every add carries
	} {
		var s Sum
		s.Add(c.in)
		if got := s.Fold(); got != c.want {
			t.Errorf("%d bytes: %#04x, want %#04x", len(c.in), got, c.want)
		}
	}
}

// checkSum adds data in pieces whose lengths come from cuts, by turns with Add
// and AddCopy, and a few fields in between.
func checkSum(t *testing.T, data, cuts []byte) {
	t.Helper()
	var s Sum
	rest, copied := data, []byte(nil)
	for i := 0; len(rest) > 0; i++ {
		n := len(rest)
		if i < len(cuts) {
			n = min(n, int(cuts[i]))
		}
		if i%2 == 0 {
			s.Add(rest[:n])
			copied = append(copied, rest[:n]...)
		} else {
			dst := bytes.Repeat([]byte{0xaa}, n+3)
			s.AddCopy(dst, rest[:n])
			if dst[n] != 0xaa || dst[n+1] != 0xaa || dst[n+2] != 0xaa {
				t.Fatalf("AddCopy of %d bytes wrote behind them", n)
			}
			copied = append(copied, dst[:n]...)
		}
		s.AddUint16(0x1234) // in and out again, at any alignment
		s.AddUint16(^uint16(0x1234))
		rest = rest[n:]
	}
	if !bytes.Equal(copied, data) {
		t.Fatalf("AddCopy changed the bytes")
	}
	// Out again leaves the other zero: both mean the same in a checksum.
	got, want := s.Fold(), refSum(data)
	if got%0xffff != want%0xffff {
		t.Fatalf("%d bytes, cuts %v: %#04x, want %#04x", len(data), cuts, got, want)
	}
	if len(data) > 0 && got == 0 {
		t.Fatalf("a sum of something became the zero of nothing")
	}
}

func TestSumSplits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		checkSum(t, random(r, n), random(r, 1+n/8))
	}
	for range 20 {
		checkSum(t, random(r, r.IntN(70000)), random(r, 300))
	}
	checkSum(t, bytes.Repeat([]byte{0xff}, 5001), []byte{1, 255, 64, 8, 7, 0, 3})
}

func TestSumExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	sizes := []int{copyBlock - 1, copyBlock, copyBlock + 1, 2*copyBlock + 1, 65535}
	for n := range 1000 {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		b := random(r, n)
		var s, c Sum
		s.Add(b)
		c.AddCopy(make([]byte, n), b)
		if want := refSum(b); s.Fold() != want || c.Fold() != want {
			t.Fatalf("%d bytes: Add %#04x, AddCopy %#04x, want %#04x", n, s.Fold(), c.Fold(), want)
		}
	}
}

func TestSumAddUint16(t *testing.T) {
	for _, first := range [][]byte{nil, {7}, {7, 8}, {7, 8, 9}} {
		var s Sum
		s.Add(first)
		s.AddUint16(0xfedc)
		s.Add([]byte{5})
		even := append(append([]byte{}, first...), 5)
		if want := refSum(append(even, make([]byte, len(even)%2)...)); s.Fold() != refSum([]byte{byte(want >> 8), byte(want), 0xfe, 0xdc}) {
			t.Errorf("after %d bytes: %#04x", len(first), s.Fold())
		}
	}
}

// The one case in which a field carries out of 64 bits.
func TestSumAddUint16Carries(t *testing.T) {
	var s Sum
	s.Add(bytes.Repeat([]byte{0xff}, 8))
	s.AddUint16(1)
	if s.Fold() != 1 {
		t.Errorf("%#04x, want 1", s.Fold())
	}
}

func TestSumCopyGoesOnByItself(t *testing.T) {
	var base Sum
	base.Add([]byte{1, 2, 3})
	s := base
	s.Add([]byte{4})
	if base.Fold() != 0x0402 || s.Fold() != 0x0406 {
		t.Errorf("base %#04x, copy %#04x", base.Fold(), s.Fold())
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}, []byte{3, 1})
	f.Add(bytes.Repeat([]byte{0xff}, 200), []byte{1, 64, 65})
	f.Add(make([]byte, 131), []byte{0, 7, 9})
	f.Fuzz(checkSum)
}

var sink uint16

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 64, 1448, 65536} {
		data := random(rand.New(rand.NewPCG(1, 1)), n)
		b.Run(fmt.Sprintf("add/%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				var s Sum
				s.Add(data)
				sink = s.Fold()
			}
		})
		b.Run(fmt.Sprintf("loop/%d", n), func(b *testing.B) { // what Add is for
			b.SetBytes(int64(n))
			for b.Loop() {
				sum := uint32(0)
				for i := 0; i+1 < len(data); i += 2 {
					sum += uint32(data[i])<<8 | uint32(data[i+1])
				}
				sum = sum>>16 + sum&0xffff
				sink = uint16(sum>>16 + sum)
			}
		})
	}
}

func BenchmarkAddCopy(b *testing.B) {
	// 64 MiB of packets: more than the caches hold, as payload on its way is.
	for _, n := range []int{64, 1448, 65536} {
		for _, total := range []int{n, 64 << 20} {
			src, dst := bytes.Repeat([]byte{0x5a}, total), bytes.Repeat([]byte{1}, total) // no page faults later
			run := func(name string, f func(dst, src []byte)) {
				b.Run(fmt.Sprintf("%s/%d/of=%d", name, n, total), func(b *testing.B) {
					b.SetBytes(int64(n))
					b.ReportAllocs()
					for i := 0; b.Loop(); i += n {
						if i+n > total {
							i = 0
						}
						f(dst[i:i+n], src[i:i+n])
					}
				})
			}
			run("fused", func(dst, src []byte) {
				var s Sum
				s.AddCopy(dst, src)
				sink = s.Fold()
			})
			run("twice", func(dst, src []byte) {
				var s Sum
				copy(dst, src)
				s.Add(dst)
				sink = s.Fold()
			})
		}
	}
}
