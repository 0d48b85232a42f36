package netlab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netns"
)

// A Namespace is one host of a lab.
type Namespace struct {
	t    testing.TB
	name string
}

// Name returns the name as ip-netns(8) knows it.
func (n *Namespace) Name() string { return n.name }

// Path returns the file that stands for the namespace.
func (n *Namespace) Path() string { return filepath.Join(dir, n.name) }

// Do runs f inside the namespace, on a thread that is there meanwhile, and
// returns its error. What f opens stays in the namespace; goroutines that f
// starts do not run there. f must not call t.Fatal.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		h, err := netns.GetFromPath(n.Path())
		if err != nil {
			return err
		}
		defer h.Close()
		if err := netns.Set(h); err != nil {
			return fmt.Errorf("entering namespace %s: %w", n.name, err)
		}
		return f()
	})
}

// Command returns a command that will run inside the namespace. It is killed
// when the test ends.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	// nsenter becomes the command: no process stands between.
	return exec.CommandContext(n.t.Context(), "nsenter", append([]string{"--net=" + n.Path(), "--", name}, args...)...)
}

// Run runs a command inside the namespace, returns what it wrote to its
// standard output, and fails the test if the command fails.
func (n *Namespace) Run(name string, args ...string) string {
	n.t.Helper()
	cmd := n.Command(name, args...)
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = exit.Stderr
		}
		n.t.Fatalf("netlab: in %s: %s %q: %v\n%s%s", n.name, name, args, err, out, stderr)
	}
	return string(out)
}
