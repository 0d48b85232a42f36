package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// binary is the command under test, built by TestMain.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8") // they wait more than they work
	dir, err := os.MkdirTemp("", "ringtail-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "ringtail")
	code := 1
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/ringtail-net/ringtail/cmd/ringtail").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// needs skips the test where there is no lab, or no program of a client.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	err := netlab.Available()
	for _, p := range append(programs, "curl") {
		if _, missing := exec.LookPath(p); missing != nil {
			err = errors.Join(err, missing)
		}
	}
	testenv.Need(t, "tap", err)
}

// patience is how long a test waits before it gives up: a guard, not a measure.
const patience = 30 * time.Second

// A server is a `ringtail serve` on a TAP, whose other end is the kernel's, in
// a namespace of its own.
type server struct {
	t   *testing.T
	ns  *netlab.Namespace
	tap string
	cmd *exec.Cmd
	log lines
}

// servers tells the namespaces of this process apart.
var servers atomic.Int64

// serve starts a server at 10.77.0.2 and fd77::2 and waits until it is ready.
// The test's end stops it as a user would, and checks that it leaves nothing.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	return start(t, "serve", args...)
}

// start is serve for any command that runs a host until it is interrupted.
func start(t *testing.T, command string, args ...string) *server {
	t.Helper()
	return startTo(t, nil, command, args...)
}

// startTo is start with the standard output in a file.
func startTo(t *testing.T, out *os.File, command string, args ...string) *server {
	t.Helper()
	s := lab(t)
	s.run(out, command, append([]string{"--addr", "10.77.0.2/24", "--addr", "fd77::2/64"}, args...)...)
	return s
}

// lab makes a namespace for a server that does not run yet.
func lab(t *testing.T) *server {
	t.Helper()
	return &server{t: t, ns: netlab.New(t).Namespace(fmt.Sprint(servers.Add(1))), tap: fmt.Sprintf("rt%d", os.Getpid())}
}

// run runs a command on a TAP whose kernel's end is 10.77.0.1 and fd77::1, and
// waits until it is ready.
func (s *server) run(out *os.File, command string, args ...string) {
	s.t.Helper()
	// Not by ns.Command, which kills when the test ends: this one is to end well.
	s.cmd = exec.Command("ip", append([]string{"netns", "exec", s.ns.Name(), binary, command,
		"--hal", "tap:" + s.tap + "?host=10.77.0.1/24&host=fd77::1/64"}, args...)...)
	if out != nil {
		s.cmd.Stdout = out
	}
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.stop)
	s.log.read(pipe)
	if !s.log.wait("ready") {
		s.t.Fatalf("the server did not become ready:\n%s", s.log.String())
	}
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGINT)
	s.log.closed.Wait()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("after SIGINT the server ended with %v\n%s", err, s.log.String())
	}
	if out, err := s.ns.Command("ip", "link", "show", "dev", s.tap).CombinedOutput(); err == nil {
		s.t.Errorf("the server left its device behind: %s", out)
	}
}

// sh runs a shell script in the server's namespace and returns its output.
func (s *server) sh(script string) string {
	s.t.Helper()
	cmd := s.ns.Command("bash", "-c", script)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s\n%v\n%s%s\nserver:\n%s", script, err, out, stderr.String(), s.log.String())
	}
	return string(out)
}

// lines collects what a program writes.
type lines struct {
	mu     sync.Mutex
	text   strings.Builder
	closed sync.WaitGroup
}

func (l *lines) read(r io.Reader) {
	l.closed.Go(func() {
		for sc := bufio.NewScanner(r); sc.Scan(); {
			l.mu.Lock()
			fmt.Fprintln(&l.text, sc.Text())
			l.mu.Unlock()
		}
	})
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until the text contains a word.
func (l *lines) wait(word string) bool {
	for guard := time.Now().Add(patience); time.Now().Before(guard); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(l.String(), word) {
			return true
		}
	}
	return false
}
