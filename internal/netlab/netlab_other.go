//go:build !linux

package netlab

import (
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

var errLinux = errors.New("network namespaces exist on Linux only")

// Available says whether a lab can be built here; it never can.
func Available() error { return errLinux }

// A Lab is the network of one test.
type Lab struct{}

// New fails the test: ask [Available] first.
func New(t testing.TB) *Lab {
	t.Helper()
	t.Fatal("netlab: ", errLinux)
	return nil
}

// Namespace adds an empty namespace.
func (l *Lab) Namespace(string) *Namespace { return nil }

// Veth joins two ports by a cable.
func (l *Lab) Veth(Port, Port) {}

// A Namespace is one host of a lab.
type Namespace struct{}

// Name returns the name of the namespace.
func (n *Namespace) Name() string { return "" }

// Path returns the file that stands for the namespace.
func (n *Namespace) Path() string { return "" }

// Do runs f inside the namespace.
func (n *Namespace) Do(func() error) error { return errLinux }

// Command returns a command that will run inside the namespace.
func (n *Namespace) Command(string, ...string) *exec.Cmd { return nil }

// Run runs a command inside the namespace.
func (n *Namespace) Run(string, ...string) string { return "" }

// Far opens a packet socket on an interface of the namespace.
func (n *Namespace) Far(testing.TB, string) *Far { return nil }

// Far is a packet socket on an interface.
type Far struct{}

// Send sends a packet.
func (f *Far) Send([]byte) error { return errLinux }

// SendMeta sends a packet that the interface has to finish.
func (f *Far) SendMeta([]byte, hal.Meta) error { return errLinux }

// Recv returns the next packet that the interface has received.
func (f *Far) Recv(time.Duration) ([]byte, error) { return nil, errLinux }

// RecvMeta is Recv with what the kernel knows about the packet.
func (f *Far) RecvMeta(time.Duration) ([]byte, hal.Meta, error) { return nil, hal.Meta{}, errLinux }
