//go:build dpdk && cgo && linux

package dpdk

import (
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// The cost of a frame through net_null, which makes and drops frames and does nothing
// else: bare is one call of C for a burst of 64, hal is the same by this package.
// Compare them within one run.
func BenchmarkNull(b *testing.B) {
	need(b)
	dev := openSpec(b, "dpdk:net_null%d", number())
	d := dev.(*device)
	rx, tx, err := dev.Queue(0)
	if err != nil {
		b.Fatal(err)
	}
	const burst, size = 64, 60
	fs := make([]hal.Frame, burst)
	for name, f := range map[string]func() int{
		"rx/bare": d.bareRx,
		"tx/bare": func() int { return d.bareTx(size) },
		"rx/hal": func() int {
			n, _ := rx.Rx(fs)
			rx.Release(fs[:n])
			return n
		},
		"tx/hal": func() int {
			n := 0
			for n < burst {
				got, _ := tx.Alloc(fs[n:], size)
				if got == 0 {
					break
				}
				n += got
			}
			sent, _ := tx.Tx(fs[:n])
			tx.Release(fs[sent:n])
			return sent
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for done := 0; done < b.N; {
				n := f()
				if n == 0 {
					b.Fatal("nothing moves")
				}
				done += n
			}
		})
	}
}
