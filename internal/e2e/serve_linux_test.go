package e2e

import (
	"bufio"
	"bytes"
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
)

// binary is the command under test, built by TestMain with these tags.
var (
	binary string
	tags   string
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8") // they wait more than they work
	dir, err := os.MkdirTemp("", "ringtail-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "ringtail")
	code := 1
	if out, err := exec.Command("go", "build", "-tags", tags, "-o", binary, "github.com/ringtail-net/ringtail/cmd/ringtail").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// A server is a `ringtail serve` on a device whose other end is the kernel's.
type server struct {
	t     *testing.T
	wire  wire
	own   *netlab.Namespace // where the server runs
	ns    *netlab.Namespace // where its clients run
	iface string            // the kernel's name of the device, in own
	cmd   *exec.Cmd
	log   lines
}

// servers tells the namespaces of this process apart.
var servers atomic.Int64

// start starts a command that runs a host until it is interrupted, on a TAP, at
// 10.77.0.2 and fd77::2, and waits until it is ready. The test's end stops it as a
// user would, and checks that it leaves nothing.
func start(t *testing.T, command string, args ...string) *server {
	t.Helper()
	return startTo(t, nil, command, args...)
}

// startTo is start with the standard output in a file.
func startTo(t *testing.T, out *os.File, command string, args ...string) *server {
	t.Helper()
	s := tapWire.lab(t)
	s.run(out, command, append(ours, args...)...)
	return s
}

// ours are the addresses of a server.
var ours = []string{"--addr", "10.77.0.2/24", "--addr", "fd77::2/64"}

// run runs a command on the device, and waits until it is ready.
func (s *server) run(out *os.File, command string, args ...string) {
	s.t.Helper()
	// Not by own.Command, which kills when the test ends: this one is to end well.
	s.cmd = exec.Command("ip", append([]string{"netns", "exec", s.own.Name(), binary, command, "--hal", s.wire.spec(s.iface)}, args...)...)
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
	if s.wire.isTap() && s.wire != tapWire { // it has no key for the addresses of the kernel's end
		s.ns.Run("ip", "address", "add", "10.77.0.1/24", "dev", s.iface)
		s.ns.Run("ip", "address", "add", "fd77::1/64", "dev", s.iface, "nodad")
		s.ns.Run("ip", "link", "set", s.iface, "up")
	}
}

func (s *server) stop() {
	if s.cmd.ProcessState == nil { // or the test has ended it
		s.cmd.Process.Signal(syscall.SIGINT)
		s.log.closed.Wait()
		if err := s.cmd.Wait(); err != nil {
			s.t.Errorf("after SIGINT the server ended with %v\n%s", err, s.log.String())
		}
	}
	s.clean()
}

// clean checks that the server has left nothing in the kernel.
func (s *server) clean() {
	s.t.Helper()
	out, err := exec.Command("ip", "-n", s.own.Name(), "link", "show", "dev", s.iface).CombinedOutput()
	switch {
	case s.wire.isTap() && err == nil:
		s.t.Errorf("the server left its device behind: %s", out)
	case !s.wire.isTap() && (err != nil || bytes.Contains(out, []byte("xdp"))):
		s.t.Errorf("the server left a trace in its interface: %v: %s", err, out)
	}
}

// sh runs a shell script in the clients' namespace and returns its output.
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
	ended  bool
	closed sync.WaitGroup
}

func (l *lines) read(r io.Reader) {
	l.closed.Go(func() {
		for sc := bufio.NewScanner(r); sc.Scan(); {
			l.mu.Lock()
			fmt.Fprintln(&l.text, sc.Text())
			l.mu.Unlock()
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
	})
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until the text contains a word, in vain if the program ends.
func (l *lines) wait(word string) bool {
	for guard := time.Now().Add(patience); time.Now().Before(guard); time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		found, ended := strings.Contains(l.text.String(), word), l.ended
		l.mu.Unlock()
		if found || ended {
			return found
		}
	}
	return false
}
