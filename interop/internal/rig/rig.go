// Package rig gives a test two ends that can reach each other, and runs it on
// every pair of ends that there is: on package net of the kernel, on two hosts of
// Ringtail, and on one of each.
//
//	func TestGreeting(t *testing.T) {
//		rig.Each(t, func(r *rig.Rig) {
//			ln := r.Listen()                  // at the server's end
//			go http.Serve(ln, handler)
//			… r.Client.Dial(ctx, "tcp", ln.Addr().String())
//		})
//	}
//
// A body that passes on the kernel and fails on a host has found a fault of the
// host; one that fails on both has one of its own. When it ends the rig looks
// whether the program has closed all its sockets, and whether a goroutine is left.
//
// The trap: the rig is closed with the subtest. What the body starts it stops,
// or registers with Cleanup, after it has asked the rig for what it stops.
package rig

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail"
)

// An End is package net, as one end of a rig has it. On a host of Ringtail the
// three functions are methods of Host.Net().
type End struct {
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	Listen       func(network, address string) (net.Listener, error)
	ListenPacket func(network, address string) (net.PacketConn, error)

	IP   string         // by which the other end reaches it
	Host *ringtail.Host // nil: the kernel
}

// A Rig is the two ends of a subtest.
type Rig struct {
	*testing.T
	Server, Client End

	// Lossy says that packets are lost on the way: transfers should be small.
	Lossy bool
}

// Patience is how long a test waits before it gives up: a guard, not a measure.
const Patience = 60 * time.Second

// Each runs a test on every kind of rig that this machine can build.
func Each(t *testing.T, test func(r *Rig)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { k.run(t, test) })
	}
}

// Wire runs a test on two hosts of Ringtail, with the faults that a text in the
// form of wrap.ParseFaults names.
func Wire(t *testing.T, faults string, test func(r *Rig)) {
	kind{lossy: faults != "", open: func(t *testing.T) (server, client End) {
		return wire(t, faults, "10.0.0.1/24", "10.0.0.2/24")
	}}.run(t, test)
}

func (k kind) run(t *testing.T, test func(r *Rig)) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { noGoroutines(t, before) })
	r := &Rig{T: t, Lossy: k.lossy}
	r.Server, r.Client = k.open(t)
	test(r)
}

// noGoroutines waits until no goroutine is left that was not there before. Some
// of net/http's linger for half a second.
func noGoroutines(t *testing.T, before goleak.Option) {
	for guard := time.Now().Add(Patience); ; {
		err := goleak.Find(before)
		if err == nil {
			return
		}
		if time.Now().After(guard) {
			t.Errorf("left behind: %v", err)
			return
		}
	}
}

// A kind is a way to build a rig.
type kind struct {
	name  string
	lossy bool
	open  func(t *testing.T) (server, client End)
}

// kinds are the rows of the table in the README.
var kinds = []kind{
	{"kernel", false, func(t *testing.T) (server, client End) { return kernel(), kernel() }},
	{"loopback", false, func(t *testing.T) (server, client End) {
		return wire(t, "", "10.0.0.1/24", "10.0.0.2/24")
	}},
	{"loss", true, func(t *testing.T) (server, client End) {
		return wire(t, "drop=1%,delay=1ms,reorder=1%,dup=1%", "10.0.0.1/24", "10.0.0.2/24")
	}},
	{"ipv6", false, func(t *testing.T) (server, client End) {
		return wire(t, "", "fd00::1/64", "fd00::2/64")
	}},
	{"tap server", false, func(t *testing.T) (server, client End) {
		host, kernel := Tap(t)
		return host, kernel.End
	}},
	{"tap client", false, func(t *testing.T) (server, client End) {
		host, kernel := Tap(t)
		return kernel.End, host
	}},
}

// Listen listens at the server's end, on any port, until the test ends.
func (r *Rig) Listen() net.Listener {
	r.Helper()
	ln, err := r.Server.Listen("tcp", net.JoinHostPort(r.Server.IP, "0"))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { ln.Close() })
	return ln
}

// Size returns how many bytes a large transfer should have: n, or less if they
// would take long.
func (r *Rig) Size(n int) int {
	if r.Lossy {
		return n / 16
	}
	return n
}
