package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A result is what became of a command line.
type result struct {
	code     int
	out, err string
}

// runWith runs a command line with standard input and environment.
func runWith(ctx context.Context, input string, env map[string]string, args ...string) result {
	var out, errOut buffer
	code := run(ctx, args, console{
		in: strings.NewReader(input), out: &out, err: &errOut,
		getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	return result{code, out.String(), errOut.String()}
}

// runLine runs a command line given as one text.
func runLine(line string) result {
	return runWith(context.Background(), "", nil, strings.Fields(line)...)
}

// A buffer can be written while somebody looks at it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var wireNumber atomic.Int64

// newWire returns the spec of a wire that nobody has used.
func newWire() string { return fmt.Sprintf("loopback:cli-%d-%d", os.Getpid(), wireNumber.Add(1)) }

// background starts a command line that runs until the test ends, when it must
// exit with 0, and returns once it says ready.
func background(t *testing.T, input io.Reader, args ...string) (out, errOut *buffer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, errOut = &buffer{}, &buffer{}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, args, console{in: input, out: out, err: errOut, getenv: noEnv})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, errOut)
		}
	})
	await(t, "ready", func() bool { return strings.Contains(errOut.String(), "ready") })
	return out, errOut
}

func noEnv(string) (string, bool) { return "", false }

// await waits for something that happens by itself.
func await(t *testing.T, what string, ok func() bool) {
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s never comes", what)
			return
		}
	}
}
