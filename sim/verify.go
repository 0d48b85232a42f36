package sim

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/hal/offload"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
)

// Verify runs f n times in worlds of the seed -sim.seed and fails if one run is not
// the same as the first, byte for byte: with the first event that differs, as it was
// in both. It is how to find out that a program has a source of chance that the seed
// does not decide, such as goroutines that dial at the same moment without
// [api.WithLabel].
func Verify(t *testing.T, n int, f func(w *World)) {
	t.Helper()
	first := run(t, flags.seed, f)
	for i := 1; i < n && !t.Failed(); i++ {
		again := run(t, flags.seed, f)
		if first.identity() != again.identity() {
			t.Error(difference(first, again, i+1))
		}
	}
}

// difference says where two runs part.
func difference(a, b *trace, number int) string {
	var s strings.Builder
	fmt.Fprintf(&s, "sim: run %d of seed %d is not the first one again (%s)\n", number, a.w.seed, versions())
	at, one, other := firstDifference(a.bytes(), b.bytes())
	fmt.Fprintf(&s, "event %d was\n\t%s\nand is now\n\t%s", at, one, other)
	if n := max(a.w.stats.Ambiguous, b.w.stats.Ambiguous); n > 0 {
		fmt.Fprintf(&s, "\n%d times several goroutines of a host opened sockets at the same moment: see api.WithLabel", n)
	}
	return s.String()
}

// firstDifference returns the number of the first event in which two captures
// differ, from 1, and that event in both.
func firstDifference(a, b []byte) (at int, one, other string) {
	ra, rb := pcapng.NewReader(bytes.NewReader(a)), pcapng.NewReader(bytes.NewReader(b))
	for at = 1; ; at++ {
		one, moreOne := nextEvent(ra)
		other, moreOther := nextEvent(rb)
		if one != other || !moreOne || !moreOther {
			return at, one, other
		}
	}
}

// nextEvent describes the next event of a capture, in full but for its bytes, of which
// it shows a sum.
func nextEvent(r *pcapng.Reader) (text string, ok bool) {
	p, err := r.Next()
	if err != nil {
		return "the end", false
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%v %s", p.Time.Sub(beginning), r.Interfaces()[p.Interface].Name)
	if p.Dir != pcapng.Unknown {
		fmt.Fprintf(&s, " %v", p.Dir)
	}
	if len(p.Data) > 0 {
		fmt.Fprintf(&s, " %s", describe(p.Data))
	}
	for _, c := range p.Comments {
		fmt.Fprintf(&s, " (%s)", c)
	}
	return s.String(), true
}

// describe says what a frame is.
func describe(data []byte) string {
	sum := uint32(2166136261)
	for _, c := range data {
		sum = (sum ^ uint32(c)) * 16777619
	}
	size := fmt.Sprintf("%d bytes, sum %08x", len(data), sum)
	h, err := offload.Parse(data)
	if err != nil || h.Version == 0 {
		return fmt.Sprintf("type %04x, %s", h.EtherType, size)
	}
	switch h.Proto {
	case 6:
		return fmt.Sprintf("TCP %v:%d > %v:%d flags %02x, %s", h.Src, h.SrcPort, h.Dst, h.DstPort, h.TCPFlags, size)
	case 17:
		return fmt.Sprintf("UDP %v:%d > %v:%d, %s", h.Src, h.SrcPort, h.Dst, h.DstPort, size)
	}
	return fmt.Sprintf("protocol %d %v > %v, %s", h.Proto, h.Src, h.Dst, size)
}
