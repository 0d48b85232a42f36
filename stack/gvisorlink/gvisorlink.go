// Package gvisorlink is for programs that use gVisor's netstack themselves. It
// shows gVisor's types, follows their changes, and promises no more than gVisor
// does; everything else of Ringtail hides them.
//
// [New] runs a stack of your own on any device of package hal:
//
//	dev, err := hal.Open("tap:rt0?host=10.77.0.1/24")
//	…
//	link, err := gvisorlink.New(dev, gvisorlink.Options{CloseDevice: true})
//	…
//	st := stack.New(stack.Options{ … arp.NewProtocol among the protocols … })
//	st.CreateNIC(1, link) // starts to receive
//	…                     // addresses, routes, sockets: as with any link
//	st.Close()
//	st.Wait()             // ends the link, and with it the device
//
// Such a stack is gVisor's alone: it keeps its processor goroutines, and there
// are no turns. The link adds one goroutine, which receives. Packets are sent on
// the goroutine that writes them, in super-frames where the device takes them,
// and wait in a backlog while the device is full.
//
// Nobody tells a device that is shared with the kernel (packet:, afxdp:) which
// addresses such a stack has: call [hal.SetLocal] with them, and with their
// multicast groups, whenever they change. AF_XDP gives nothing before that. Where
// Info.SharedMAC is set, an address that gVisor derives from the MAC address
// (AutoGenLinkLocal without OpaqueIIDOpts) is the kernel's own.
//
// [Do] is the other way round: it reaches into the stack of a Ringtail host, for
// what Ringtail has no words for, such as packet filters.
//
//	err := gvisorlink.Do(host, func(st *stack.Stack) { st.IPTables()… })
//
// The trap: a Ringtail host has no goroutines that process TCP. What blocks
// (package gonet), or calls the stack from goroutines of its own (forwarders),
// needs a host that was made with Config.Foreign, which brings them back.
package gvisorlink

import (
	"log/slog"

	"github.com/ringtail-net/ringtail/hal"
	ringtail "github.com/ringtail-net/ringtail/stack"
	"github.com/ringtail-net/ringtail/stack/internal/bridge"
	"github.com/ringtail-net/ringtail/stack/internal/door"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Options of a link. The zero value works.
type Options struct {
	// MTU lowers the device's, in bytes of an IP packet. Zero: the device's.
	MTU int

	// Backlog is the most bytes that wait while the device is full; what is
	// beyond is dropped. Zero: 8 MiB.
	Backlog int

	// Logger gets what an operator may want to know. Nil: silence.
	Logger *slog.Logger

	// OnError, if set, is called once if the device fails, with the device's
	// error: hal.ErrClosed if it was closed before the link. The link is dead
	// then; to remove it from its stack in OnError is fine.
	OnError func(error)

	// CloseDevice closes the device with the link. Otherwise it stays the
	// caller's, who closes it after the link.
	CloseDevice bool
}

// New makes a link endpoint of a device, for the CreateNIC of one stack. It
// takes Ethernet frames: the stack needs arp.NewProtocol for IPv4. All of its
// methods are safe for concurrent use. It is a [Dropper] too.
//
// It receives from Attach, which CreateNIC calls, until RemoveNIC or the stack's
// Wait. Those close it as well. A link that never gets into a stack is closed
// with Close. After that it stays closed.
func New(dev hal.Device, opt Options) (stack.LinkEndpoint, error) {
	link, err := bridge.New(dev, bridge.Options{MTU: opt.MTU, Backlog: opt.Backlog})
	if err != nil {
		return nil, err
	}
	sleeper, err := hal.NewSleeper(dev)
	if err != nil {
		return nil, err
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &endpoint{
		Link: link, opt: opt, sleeper: sleeper,
		detached: make(chan struct{}), ended: make(chan struct{}),
	}, nil
}

// A Dropper counts the packets that it has lost itself, by reason. Those that
// the device lost are in hal.StatsOf.
type Dropper interface {
	Drops() map[string]uint64
}

// Do calls f with the stack of h. It is done within a turn of h, as everything
// on a host is: when Do returns, what f caused has been processed and sent. It
// fails with net.ErrClosed, without calling f, if h is closed.
//
// f must not block, and must not call methods of h or Do. The stack may be used
// after f has returned only if h was made with Config.Foreign.
func Do(h *ringtail.Host, f func(*stack.Stack)) error { return door.Enter(h, f) }
