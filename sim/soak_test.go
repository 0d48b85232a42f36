package sim

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/internal/testenv"
)

// The sweep that the claim of determinism rests on: hours, not for every day.
//
//	go test ./sim -run TestSoak -sim.soak -timeout 24h -v
//
// It goes on where it was stopped: what is done is in the file that it names.
var soak = flag.Bool("sim.soak", false, "run the whole sweep of identities")

// A cell of the sweep is so many runs of a scenario in one way.
type cell struct {
	scenario scenario
	way      string
	runs     int
	run      func(t *testing.T, s scenario) string
}

// sweep is all of them: 1,000 runs in one process with 1, 2 and 4 processors, 50
// processes, and 50 runs under the race detector. The long form of the everyday
// tests has a twentieth of that.
func sweep(part int) (cells []cell) {
	for _, s := range scenarios {
		for _, procs := range []int{1, 2, 4} {
			cells = append(cells, cell{s, fmt.Sprintf("with %d processors", procs), 1000 / part, func(t *testing.T, s scenario) string {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				return run(t, 7, s.run).identity()
			}})
		}
		cells = append(cells,
			cell{s, "in processes", 50 / part, identityOf},
			cell{s, "under the race detector", 50 / part, func(t *testing.T, s scenario) string { return identityIn(t, s, detector(t)) }})
	}
	return cells
}

// withDetector is this test with the race detector, once it is built.
var withDetector string

// detector builds it.
func detector(t *testing.T) string {
	if withDetector == "" {
		withDetector = filepath.Join(t.TempDir(), "sim.test")
		if out, err := exec.CommandContext(t.Context(), "go", "test", "-race", "-c", "-o", withDetector, ".").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return withDetector
}

func TestSoak(t *testing.T) {
	part := 1
	switch {
	case *soak:
	case testenv.Long():
		part = 20
	default:
		t.Skip("TestIdentity is the short form of this: -sim.soak runs all, -ringtail.long a twentieth")
	}
	burn(t)
	done := resume(t)
	for i, c := range sweep(part) {
		name := c.scenario.name + ", " + c.way
		begin := time.Now()
		for done.Runs[name] < c.runs {
			got := c.run(t, c.scenario)
			if want := done.Identities[c.scenario.name]; want == "" {
				done.Identities[c.scenario.name] = got
			} else if got != want {
				t.Fatalf("%s, run %d: %s, want %s", name, done.Runs[name], got, want)
			}
			done.Runs[name]++
			done.save(t)
		}
		t.Logf("%d of %d: %s: %d runs of one identity, %v", i+1, 5*len(scenarios), name, c.runs, time.Since(begin).Round(time.Second))
	}
}

// progress is what has been done of the sweep by programs of these versions.
type progress struct {
	Versions   string
	Identities map[string]string
	Runs       map[string]int

	file  string
	saved time.Time
}

// resume reads the progress of before, if there is one of this program.
func resume(t *testing.T) *progress {
	p := &progress{file: filepath.Join(os.TempDir(), "ringtail-sim-soak.json")}
	if *soak {
		data, err := os.ReadFile(p.file)
		if err == nil {
			err = json.Unmarshal(data, p)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		t.Logf("progress is in %s; remove it to begin anew", p.file)
	}
	if p.Versions != versions() {
		p.Versions, p.Identities, p.Runs = versions(), map[string]string{}, map[string]int{}
	}
	return p
}

// save writes the progress, now and then.
func (p *progress) save(t *testing.T) {
	if !*soak || time.Since(p.saved) < time.Second {
		return
	}
	p.saved = time.Now()
	data, err := json.MarshalIndent(p, "", "\t")
	if err == nil {
		err = os.WriteFile(p.file, data, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}
