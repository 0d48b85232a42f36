package stack

import (
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// connect executes api.KindConnect.
func (s *socket) connect(op *api.Op) {
	switch {
	case s.linked:
		finish(op, syscall.EISCONN) // gVisor would say so from the second time on
	case s.listening():
		finish(op, syscall.EOPNOTSUPP)
	case s.connects.head != nil:
		finish(op, syscall.EALREADY)
	default:
		s.dialed = false
		s.start(&s.connects, op, s.connected)
	}
}

// connected starts a connection, and then says how it went.
func (s *socket) connected(op *api.Op) bool {
	if !s.dialed {
		return s.dial(op)
	}
	switch tcp.EndpointState(s.ep.State()) {
	case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
		return false
	}
	if err := s.ep.LastError(); err != nil {
		op.Err = errno(err)
		return true
	}
	if tcp.EndpointState(s.ep.State()) == tcp.StateError {
		op.Err = syscall.ECONNABORTED
		return true
	}
	s.linked = true
	if s.ledger != nil {
		s.follow()
	}
	s.names(op)
	return true
}

// dial starts a connection. It reports whether that was all.
func (s *socket) dial(op *api.Op) bool {
	if s.network.Stream() && s.stall() {
		return false
	}
	if s.network.Stream() && !s.h.neighbors.mayResolve(op.Addr.Addr()) {
		op.Err = syscall.EHOSTUNREACH
		return true
	}
	err := s.ep.Connect(s.h.fullAddress(s.network, op.Addr))
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		s.dialed = true
		s.h.ready.add(s) // a connection to ourselves may be there already
		return false
	}
	op.Err = errno(err)
	if err == nil {
		s.names(op)
		s.peer = op.Peer.Addr()
	}
	return true
}
