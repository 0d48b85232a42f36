package stack

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// drain is what a host knows of its callers of Drain. It is touched within turns
// only.
type drain struct {
	begun   bool            // nobody listens any more
	waiting []chan struct{} // one of each caller, closed when nothing is left
	witness *socket         // the last one that was seen to be busy
}

// lookAgain is how often a host with Config.Foreign looks whether it is drained:
// there connections end on goroutines of gVisor, which tell nobody.
const lookAgain = 20 * time.Millisecond

// Drain closes all listeners, for good, and then waits until no TCP connection is
// left: its owner has closed it, and the peer has acknowledged all that was
// written and the end behind it (or has reset the connection). Connections that
// wait to be accepted are reset; open ones go on as before, and may be dialed.
//
// If ctx ends first, Drain fails with its error, and says how many connections
// were left. They go on: it is Close that resets them. It fails with
// [net.ErrClosed] if the host is closed meanwhile. Several callers may wait at
// once.
func (h *Host) Drain(ctx context.Context) error {
	done := make(chan struct{})
	h.turn.Lock()
	if h.closed {
		h.turn.Unlock()
		return nil
	}
	h.drain.begin(h, done)
	h.settle.Settle()
	h.flush()
	h.checkDrain()
	h.turn.Unlock()
	h.help()
	select {
	case <-done:
		return nil
	case <-h.ended:
	case <-ctx.Done():
	}
	return h.undrained(ctx, done)
}

func (d *drain) begin(h *Host, done chan struct{}) {
	d.begun = true
	for _, n := range slices.Sorted(maps.Keys(h.sockets)) {
		if s := h.sockets[n]; s.listening() {
			s.close()
		}
	}
	d.waiting = append(d.waiting, done)
	if _, foreign := h.settle.(unsettled); foreign && len(d.waiting) == 1 {
		h.clock.afterFunc(lookAgain, h.lookAgain)
	}
}

func (h *Host) lookAgain() {
	if h.checkDrain(); len(h.drain.waiting) > 0 {
		h.clock.afterFunc(lookAgain, h.lookAgain)
	}
}

// undrained ends a wait that was not to the end.
func (h *Host) undrained(ctx context.Context, done chan struct{}) error {
	h.turn.Lock()
	defer h.help()
	defer h.turn.Unlock()
	select {
	case <-done:
		return nil
	default:
	}
	h.drain.waiting = slices.DeleteFunc(h.drain.waiting, func(c chan struct{}) bool { return c == done })
	if h.closed {
		return fmt.Errorf("the host was closed before its connections: %w", net.ErrClosed)
	}
	switch n := h.countBusy(); n {
	case 0:
		return fmt.Errorf("the device did not take the last packets: %w", ctx.Err())
	case 1:
		return fmt.Errorf("1 connection was left: %w", ctx.Err())
	default:
		return fmt.Errorf("%d connections were left: %w", n, ctx.Err())
	}
}

// checkDrain lets the callers of Drain go if nothing is left. It comes at the end
// of a turn, and so after all that may have ended a connection.
func (h *Host) checkDrain() {
	d := &h.drain
	if len(d.waiting) == 0 || h.waiting.Load() || h.isBusy() {
		return
	}
	for _, done := range d.waiting {
		close(done)
	}
	d.waiting = nil
}

// isBusy reports whether a connection is left. Mostly one look says so, at the one
// that was busy the last time.
func (h *Host) isBusy() bool {
	d := &h.drain
	if d.witness != nil && d.witness.busy() {
		return true
	}
	d.witness = nil
	for s := range h.streams() {
		if s.busy() {
			d.witness = s
			return true
		}
	}
	return false
}

func (h *Host) countBusy() (n int) {
	for s := range h.streams() {
		if s.busy() {
			n++
		}
	}
	return n
}

// streams returns all TCP sockets, also those that are closed and still at work.
func (h *Host) streams() iter.Seq[*socket] {
	return func(yield func(*socket) bool) {
		for _, s := range h.sockets {
			if s.network.Stream() && !yield(s) {
				return
			}
		}
		h.peers.sweep()
		for _, s := range h.peers.closing {
			if !yield(s) {
				return
			}
		}
	}
}

// busy reports whether a TCP socket is a connection that is not over: its owner
// has not closed it, or the peer has not acknowledged all of it. What was reset is
// over once its owner has read what had arrived before.
func (s *socket) busy() bool {
	switch state := tcp.EndpointState(s.ep.State()); {
	case state == tcp.StateInitial || state == tcp.StateBound || state == tcp.StateListen:
		return s.connects.Front() != nil
	case state == tcp.StateError:
		unread, err := s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
		return !s.closed && err == nil && unread > 0
	case isOver(state):
		return !s.closed
	}
	return true
}

// isOver reports whether the peer has acknowledged all of a connection in that
// state, its end included, or will never.
func isOver(state tcp.EndpointState) bool {
	switch state {
	case tcp.StateFinWait2, tcp.StateTimeWait, tcp.StateClose, tcp.StateError:
		return true
	}
	return false
}
