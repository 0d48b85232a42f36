// Package exampletest runs the examples inside of tests: on a wire in memory,
// where they find the test's own host at the other end.
//
//	wire := exampletest.NewWire(t)
//	wire.Start("10.0.0.1/24", run, "--listen", ":7") // returns when it listens
//	client := wire.Host("10.0.0.2/24")
//	conn, err := client.Net().Dial("tcp", "10.0.0.1:7")
//
// The trap: Start waits for the line of output that begins with "ready".
package exampletest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail"
)

// Run is what an example does between its start and the end of the context: its
// arguments are those of the command line.
type Run func(ctx context.Context, args []string, out io.Writer) error

// A Wire joins the hosts of one test.
type Wire struct {
	t    testing.TB
	name string
}

var wires atomic.Int64

// NewWire returns a wire that nobody else is on.
func NewWire(t testing.TB) *Wire {
	return &Wire{t, fmt.Sprintf("loopback:example-%d-%d", os.Getpid(), wires.Add(1))}
}

// Flags are the flags of an example for a host on the wire.
func (w *Wire) Flags(addr string) []string { return []string{"--hal", w.name, "--addr", addr} }

// Host opens a host on the wire, until the test ends.
func (w *Wire) Host(addr string) *ringtail.Host {
	w.t.Helper()
	h, err := ringtail.Open(ringtail.Config{HAL: w.name, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	if err := h.Ready(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return h
}

// Start runs an example and returns when it is ready. At the end of the test it
// is interrupted, and has to end without an error.
func (w *Wire) Start(addr string, run Run, args ...string) {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append(w.Flags(addr), args...), in)
		in.CloseWithError(io.EOF)
		done <- err
	}()
	w.t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("the example ended with: %v", err)
			}
		case <-time.After(patience):
			w.t.Error("the example does not end")
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "ready") {
			go io.Copy(io.Discard, out)
			return
		}
	}
	w.t.Fatalf("the example ended before it was ready: %v", lines.Err())
}

// patience is how long a test waits before it gives up: a guard, not a measure.
const patience = 20 * time.Second
