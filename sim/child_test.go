package sim

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Some things a test can only look at from outside: what another process makes of
// the same seed, how a test fails, how a process ends. Such a child is this test
// binary, with a variable that says what it is for.
const childVariable = "RINGTAIL_SIM_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "burn" {
		burnUntilEnd()
	}
	goleak.VerifyTestMain(m)
}

// child runs this binary with the test Child.
func child(t *testing.T, what string, args ...string) (output string, err error) {
	t.Helper()
	return childOf(t, must1(os.Executable()), what, args...)
}

func childOf(t *testing.T, binary, what string, args ...string) (output string, err error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), binary, append([]string{"-test.run=^TestChild$", "-test.v"}, args...)...)
	c.Env = append(os.Environ(), childVariable+"="+what)
	out, err := c.CombinedOutput()
	return string(out), err
}

// burn keeps all cores busy with other processes until the test ends.
func burn(t *testing.T) {
	for range runtime.NumCPU() {
		c := exec.Command(must1(os.Executable()))
		c.Env = append(os.Environ(), childVariable+"=burn")
		in := must1(c.StdinPipe())
		must(c.Start())
		t.Cleanup(func() { in.Close(); c.Wait() })
	}
}

// burnUntilEnd burns until the parent lets go, also by its death.
func burnUntilEnd() {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for n := 0; ; n++ {
	}
}

// TestChild is what children run. In a process of its own right it has nothing to do.
func TestChild(t *testing.T) {
	what := os.Getenv(childVariable)
	for _, s := range scenarios {
		if what == "identity of "+s.name {
			t.Logf("identity=%s", run(t, 7, s.run).identity())
		}
	}
	if f := misuse[what]; f != nil {
		f(t)
	}
}

// misuse is what the simulation has to answer with words.
var misuse = map[string]func(*testing.T){
	"fails": func(t *testing.T) {
		Test(t, func(w *World) {
			w.Host("a")
			if w.Seed() == 4 {
				w.T.Error("so it is")
			}
		})
	},
	"panics": func(t *testing.T) {
		Test(t, func(w *World) { panic("oh") })
	},
	"waits for a peer": func(t *testing.T) {
		Test(t, func(w *World) {
			w.Limit(time.Hour)
			a, b := w.Host("a"), w.Host("b")
			ln := must1(b.Net().Listen("tcp", ":80"))
			go func() {
				c := must1(ln.Accept())
				c.Read(make([]byte, 1))
			}()
			c := must1(a.Net().Dial("tcp", "b:80"))
			c.Read(make([]byte, 1))
		})
	},
	"waits for nobody": func(t *testing.T) {
		Test(t, func(w *World) {
			ln := must1(w.Host("a").Net().Listen("tcp", ":80"))
			ln.Accept()
		})
	},
	"waits for itself": func(t *testing.T) {
		Test(t, func(w *World) {
			w.Host("a")
			<-make(chan int)
		})
	},
	"leaves a goroutine": func(t *testing.T) {
		Test(t, func(w *World) {
			go func() { <-make(chan int) }()
		})
	},
	"never ends": func(t *testing.T) {
		Test(t, func(w *World) {
			h := w.Host("a")
			go func() {
				for {
					h.Net().Dial("tcp", "10.0.0.9:1")
					time.Sleep(time.Second)
				}
			}()
		})
	},
	"never ends, stuck": func(t *testing.T) {
		Test(t, func(w *World) {
			w.Limit(time.Hour)
			h := w.Host("a")
			for {
				h.Net().Dial("tcp", "10.0.0.9:1")
				time.Sleep(time.Second)
			}
		})
	},
	"waits outside": func(t *testing.T) {
		patience = 200 * time.Millisecond
		ln := must1(net.Listen("tcp", "127.0.0.1:0"))
		Test(t, func(w *World) {
			c := must1(net.Dial("tcp", ln.Addr().String()))
			c.Read(make([]byte, 1))
		})
	},
}

func TestMisuse(t *testing.T) {
	dir := t.TempDir()
	for what, want := range map[string][]string{
		"fails":  {"so it is", "seed 4", "go test -run '^TestChild$' -sim.seed=4", "capture: " + dir, "identity: ", "gVisor v"},
		"panics": {"panic: oh", "-sim.seed=3"},
		"waits for a peer": {"1h0m0s have passed (see World.Limit), and the program still waits",
			"host a: read on tcp socket 1, since", "host b: read on tcp socket 2, since"},
		"waits for nobody":   {"nothing can happen on the network any more", "host a: accept on tcp socket 1, since 0s"},
		"waits for itself":   {"nothing can happen on the network any more", "no call on a host is pending", "deadlock"},
		"leaves a goroutine": {"the test is over, and goroutines of it go on", "child_test.go"},
		"never ends":         {"the test is over, and goroutines of it go on", "child_test.go"},
		"never ends, stuck":  {"1h0m0s have passed (see World.Limit)", "the program goes on though it was stuck"},
		"waits outside":      {"virtual time stands still", "Dial and listen by World.Host", "child_test.go"},
	} {
		t.Run(what, func(t *testing.T) {
			out, err := child(t, what, "-sim.dir="+dir, "-sim.seed=3", "-sim.runs=2")
			if err == nil {
				t.Error("it passes")
			}
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("it lacks %q:\n%s", w, out)
				}
			}
		})
	}
	capture, err := os.ReadFile(dir + "/TestChild-seed-4.pcapng")
	if err != nil || !bytes.Contains(capture, []byte("ringtail sim")) {
		t.Errorf("the capture of the run that failed: %d bytes, %v", len(capture), err)
	}
}
