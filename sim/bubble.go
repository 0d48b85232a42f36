package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

// The flags exist in test binaries only.
var flags struct {
	seed uint64
	runs int
	dir  string
}

func init() {
	flags.seed, flags.runs, flags.dir = 1, 1, os.TempDir()
	if testing.Testing() {
		flag.Uint64Var(&flags.seed, "sim.seed", 1, "the seed of simulated worlds")
		flag.IntVar(&flags.runs, "sim.runs", 1, "how many worlds each simulation makes, with seeds from -sim.seed on")
		flag.StringVar(&flags.dir, "sim.dir", os.TempDir(), "where captures of failed simulations go")
	}
}

// Test runs f in a world of its own, whose time, randomness and network are
// simulated: once, with the seed of the flag -sim.seed, or, with -sim.runs, with
// several seeds. If f fails, the test says the seed and the command that repeats it,
// and leaves a capture of the whole network.
//
// f runs in a bubble of [testing/synctest], whose time goes on when all of its
// goroutines wait for each other, for the network or for a time. The rules of that
// package hold: f uses World.T and not the t outside, has no subtests, and does not
// wait for anything outside, such as a real socket. The goroutines of f end before
// Test does; calls on hosts fail with net.ErrClosed when f has returned. Only the
// world calls synctest.Wait.
//
// crypto/rand comes from the seed, too; therefore t must not be parallel. What has no
// seed are the global functions of math/rand, and the order of maps and selects.
func Test(t *testing.T, f func(w *World)) {
	t.Helper()
	for i := range flags.runs {
		run(t, flags.seed+uint64(i), f)
		if t.Failed() {
			return
		}
	}
}

// Run is Test in one world of a given seed: for one that has found something.
func Run(t *testing.T, seed uint64, f func(w *World)) {
	t.Helper()
	run(t, seed, f)
}

// run is Run, and returns the capture.
func run(t *testing.T, seed uint64, f func(w *World)) *trace {
	t.Helper()
	w := newWorld(seed)
	cryptotest.SetGlobalRandom(t, seed)
	if failed := t.Failed(); !failed {
		defer func() {
			if t.Failed() {
				t.Log(report(t, seed, &w.trace))
			}
		}()
	}
	defer watch(w)()
	synctest.Test(t, func(t *testing.T) {
		w.T, w.begin, w.kick = t, time.Now(), make(chan struct{}, 1)
		w.limit = int64(oldAge)
		w.clock = func() int64 { return int64(time.Since(w.begin)) }
		end := make(chan struct{})
		go w.drive(end)
		defer close(end)
		defer w.end()
		returned := false
		defer func() {
			if !returned && !t.Failed() && !t.Skipped() { // it panics, and so will the process
				w.do(func() { fmt.Fprintln(os.Stderr, report(t, seed, &w.trace)) })
			}
		}()
		f(w)
		returned = true
	})
	return &w.trace
}

// end ends the world: its capture, its hosts, and what waits for them.
func (w *World) end() {
	w.do(func() { w.trace.finish() })
	var hosts []*Host
	w.do(func() { hosts = w.hosts })
	for _, h := range hosts {
		h.Crash()
	}
	time.Sleep(grace)
	if left := remaining(); left != "" {
		w.T.Errorf("sim: the test is over, and goroutines of it go on; they have to end, at the latest when a call on a host fails with net.ErrClosed:\n\n%s", left)
	}
}

// report says how to repeat a failed run, and leaves its capture.
func report(t *testing.T, seed uint64, tr *trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "sim: this was seed %d; to repeat it, in the directory of the test:\n\tgo test -run '^%s$' -sim.seed=%d\n", seed, strings.ReplaceAll(t.Name(), "/", "$/^"), seed)
	name := filepath.Join(flags.dir, fmt.Sprintf("%s-seed-%d.pcapng", strings.NewReplacer("/", "-", " ", "_").Replace(t.Name()), seed))
	if err := os.WriteFile(name, tr.bytes(), 0o666); err != nil {
		fmt.Fprintf(&b, "its capture could not be written: %v\n", err)
	} else {
		fmt.Fprintf(&b, "its capture: %s\n", name)
	}
	fmt.Fprintf(&b, "its identity: %s (%s)", tr.identity(), versions())
	return b.String()
}
