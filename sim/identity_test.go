package sim

import (
	"os"
	"regexp"
	"runtime"
	"testing"
)

// The same seed gives the same bytes, whatever the number of processors, in every
// process, and while others burn every core. The long form is TestSoak.
func TestIdentity(t *testing.T) {
	runs := 6
	if raceEnabled { // it is looked for races, at a twentieth of the speed
		runs = 1
	} else {
		burn(t)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			want := identityOf(t, s)
			for _, procs := range []int{1, 2, 4} {
				was := runtime.GOMAXPROCS(procs)
				for i := range runs {
					if got := run(t, 7, s.run).identity(); got != want {
						t.Errorf("run %d with %d processors: %s, want %s as in another process", i, procs, got, want)
					}
				}
				runtime.GOMAXPROCS(was)
			}
		})
	}
}

// Another seed gives other bytes: chance is not left out.
func TestSeeds(t *testing.T) {
	for _, s := range scenarios {
		if a, b := run(t, 7, s.run).identity(), run(t, 8, s.run).identity(); a == b {
			t.Errorf("%s: two seeds have one identity", s.name)
		}
	}
}

var identityLine = regexp.MustCompile(`identity=([0-9a-f]{64})`)

// identityOf runs a scenario in a process of its own.
func identityOf(t *testing.T, s scenario) string {
	t.Helper()
	return identityIn(t, s, must1(os.Executable()))
}

func identityIn(t *testing.T, s scenario, binary string) string {
	t.Helper()
	out, err := childOf(t, binary, "identity of "+s.name)
	m := identityLine.FindStringSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("the other process: %v\n%s", err, out)
	}
	return m[1]
}
