package loopback

import (
	"fmt"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// BenchmarkBurst sends and receives bursts of 60-byte packets; ns/op is per packet.
func BenchmarkBurst(b *testing.B) {
	for _, size := range []int{1, 32} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tx, rx := pair(b, Config{})
			out, in := make([]hal.Frame, size), make([]hal.Frame, size)
			b.ReportAllocs()
			for i := 0; i < b.N; i += size {
				burst(b, tx, rx, out, in)
			}
		})
	}
}

// burst sends as many packets as out has room for, and receives them.
func burst(t testing.TB, tx, rx *station, out, in []hal.Frame) {
	for i := range out {
		if n, err := tx.tx.Alloc(out[i:], 60); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if n, err := tx.tx.Tx(out); n != len(out) || err != nil {
		t.Fatal(n, err)
	}
	if n, err := rx.rx.Rx(in); n != len(in) || err != nil {
		t.Fatal(n, err)
	}
	rx.rx.Release(in)
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	tx, rx := pair(t, Config{})
	out, in := make([]hal.Frame, 32), make([]hal.Frame, 32)
	burst(t, tx, rx, out, in)
	// A garbage collection may empty the pool of buffers, which the average
	// over so many runs does not show.
	if n := testing.AllocsPerRun(1000, func() { burst(t, tx, rx, out, in) }); n > 0 {
		t.Errorf("%v allocations for a burst of 32 packets", n)
	}
}
