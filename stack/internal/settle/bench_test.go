package settle

import (
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// BenchmarkSettle compares, in one run, what a Settle costs that finds nothing
// to do (idle), one that enters gVisor's loop and leaves it (pass), and the
// barrier.
func BenchmarkSettle(b *testing.B) {
	settler := func(f form) Settler {
		st := newStack(tcp.NewProtocol, stack.Options{})
		s, err := f.make(st)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close(); st.Destroy() })
		return s
	}
	in, bar := settler(forms[0]).(*inline), settler(forms[1])
	time100 := func(f func()) time.Duration {
		start := time.Now()
		for range 100 {
			f()
		}
		return time.Since(start)
	}
	var idle, pass, barrier time.Duration
	for b.Loop() {
		idle += time100(in.Settle)
		pass += time100(func() { in.newEndpoint.Assert(); in.Settle() })
		barrier += time100(bar.Settle)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(pass)/float64(idle), "pass/idle")
	b.ReportMetric(float64(barrier)/float64(pass), "barrier/pass")
	b.ReportMetric(float64(barrier)/float64(idle), "barrier/idle")
}
