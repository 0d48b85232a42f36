package sim

import (
	"runtime"
	"testing"
)

// The same seed gives the same bytes, whatever the number of processors.
func TestIdentity(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			want := ""
			for _, procs := range []int{1, 2, 4} {
				was := runtime.GOMAXPROCS(procs)
				for i := range 8 {
					tr := run(t, 7, s.run)
					if want == "" {
						want = tr.identity()
					}
					if got := tr.identity(); got != want {
						t.Errorf("run %d with %d processors: %s, want %s", i, procs, got, want)
					}
				}
				runtime.GOMAXPROCS(was)
			}
			t.Logf("%.16s", want)
		})
	}
}
