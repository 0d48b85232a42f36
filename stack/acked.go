package stack

import (
	"sync"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Writes that are complete when the peer has acknowledged them: api.Acked.
//
// gVisor has no call that tells what of a send buffer is acknowledged, but its
// probe does: after every segment that an endpoint has processed it shows the
// endpoint's state, with the bytes that are still in the send buffer. Bytes leave
// that when they are acknowledged. Segments are processed when the host settles,
// never within a write; so what was written since is added to the last number.

// acks are the sockets of a host that wait for acknowledgements.
type acks struct {
	on    bool
	ready *readyList

	mu    sync.Mutex // a leaf: the probe is called under an endpoint's lock
	flows map[tcp.TCPEndpointID]*socket
}

// protocol returns the TCP of the host.
func (a *acks) protocol() stack.TransportProtocolFactory {
	if !a.on {
		return tcp.NewProtocol
	}
	a.flows = map[tcp.TCPEndpointID]*socket{}
	return tcp.NewProtocolProbe(a.probe)
}

func (a *acks) probe(state *tcp.TCPEndpointState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.flows[state.ID]
	if !ok {
		return
	}
	left := max(state.SndBufState.SndBufUsed, 0) // -1 once a FIN is acknowledged
	if left != s.ledger.left {
		s.ledger.left = left
		a.ready.add(s)
	}
}

// A ledger says what of a stream was accepted and what acknowledged.
type ledger struct {
	id    tcp.TCPEndpointID
	taken int64 // bytes that the endpoint has accepted
	left  int   // of those, not acknowledged; guarded by acks.mu
	// waits are the writes that are over but for the acknowledgement of all
	// up to their Mark.
	waits api.OpList
}

// setCompletion executes the option api.PushCompletion.
func (s *socket) setCompletion(o api.PushCompletion) error {
	switch {
	case !s.h.acks.on:
		return syscall.ENOPROTOOPT
	case o > api.Acked:
		return syscall.EINVAL
	case tcp.EndpointState(s.ep.State()) != tcp.StateInitial && tcp.EndpointState(s.ep.State()) != tcp.StateBound:
		return syscall.EISCONN
	case o == api.Accepted:
		s.ledger = nil
	default:
		s.ledger = new(ledger)
	}
	return nil
}

func (s *socket) completion() api.PushCompletion {
	if s.ledger != nil {
		return api.Acked
	}
	return api.Accepted
}

// follow begins a connection's ledger.
func (s *socket) follow() {
	if s.ledger == nil {
		s.ledger = new(ledger)
	}
	id := s.ep.Info().(*stack.TransportEndpointInfo).ID
	s.ledger.id = tcp.TCPEndpointID(id)
	a := &s.h.acks
	a.mu.Lock()
	a.flows[s.ledger.id] = s
	a.mu.Unlock()
}

// unfollow ends it.
func (s *socket) unfollow() {
	a := &s.h.acks
	a.mu.Lock()
	if a.flows[s.ledger.id] == s {
		delete(a.flows, s.ledger.id)
	}
	a.mu.Unlock()
}

// took notes that the endpoint has accepted n bytes.
func (s *socket) took(n int) {
	s.h.acks.mu.Lock()
	s.ledger.left += n
	s.h.acks.mu.Unlock()
	s.ledger.taken += int64(n)
}

// written completes a write, or leaves it to wait for its acknowledgement. A
// failure waits as well if others wait before it: pushes complete in order.
func (s *socket) written(op *api.Op) {
	if s.ledger == nil {
		op.Complete()
		return
	}
	op.Mark = s.ledger.taken
	s.ledger.waits.Push(op)
	s.acknowledge()
}

// acknowledge completes the writes that have been acknowledged, and all if the
// connection has failed.
func (s *socket) acknowledge() {
	l := s.ledger
	if l == nil || l.waits.Len() == 0 {
		return
	}
	s.h.acks.mu.Lock()
	acked := l.taken - int64(l.left)
	s.h.acks.mu.Unlock()
	for op := l.waits.Front(); op != nil && op.Mark <= acked; op = l.waits.Front() {
		l.waits.Pop()
		op.Complete()
	}
	if l.waits.Len() > 0 && tcp.EndpointState(s.ep.State()) == tcp.StateError {
		l.fail(s.fate())
	}
}

// fate returns why the connection has failed: what a write of nothing says.
func (s *socket) fate() error {
	_, err := s.ep.Write(&source{}, tcpip.WriteOptions{})
	switch err.(type) {
	case nil, *tcpip.ErrClosedForSend:
		return syscall.ECONNRESET
	}
	return errno(err)
}

// fail ends the writes that wait. Those that have failed already keep their
// reason.
func (l *ledger) fail(err error) {
	if l == nil {
		return
	}
	for op := l.waits.Pop(); op != nil; op = l.waits.Pop() {
		if op.Err == nil {
			op.Err = err
		}
		op.Complete()
	}
}

// remove takes out a write that is cancelled.
func (l *ledger) remove(op *api.Op) bool { return l != nil && l.waits.Remove(op) }
