package stack

import (
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// connect executes api.KindConnect. A connect that is cancelled leaves its
// handshake under way. Who asks again is told EALREADY while that lasts, and then
// once how it went, as by Linux.
func (s *socket) connect(op *api.Op) {
	switch {
	case s.linked && !s.dialed:
		finish(op, syscall.EISCONN) // gVisor would say so from the second time on
	case s.listening():
		finish(op, syscall.EOPNOTSUPP)
	case s.connects.Len() > 0, s.dialed && s.connecting():
		finish(op, syscall.EALREADY)
	default:
		s.start(&s.connects, op, s.connected)
	}
}

// connected starts a connection, and then says how it went.
func (s *socket) connected(op *api.Op) bool {
	if !s.dialed {
		return s.dial(op)
	}
	if s.connecting() {
		return false
	}
	s.dialed = false
	if err := s.ep.LastError(); err != nil {
		op.Err = errno(err)
		return true
	}
	if tcp.EndpointState(s.ep.State()) == tcp.StateError {
		op.Err = syscall.ECONNABORTED
		return true
	}
	s.linked = true
	s.names(op)
	return true
}

// connecting reports whether a handshake is under way.
func (s *socket) connecting() bool {
	switch tcp.EndpointState(s.ep.State()) {
	case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
		return true
	}
	return false
}

// established notes that a handshake has ended well: nobody may be waiting for
// it, as the connect was cancelled, and the stream is connected all the same.
func (s *socket) established() {
	if !s.dialed || s.linked || s.connecting() {
		return
	}
	switch tcp.EndpointState(s.ep.State()) {
	case tcp.StateError, tcp.StateClose:
	default:
		s.linked = true
	}
}

// dial starts a connection. It reports whether that was all.
func (s *socket) dial(op *api.Op) bool {
	stream, remote := s.network.Stream(), s.remote(op)
	if stream && s.stall() {
		return false
	}
	to := s.h.fullAddress(s.network, remote)
	switch broadcast := s.h.isBroadcast(to); {
	case s.h.isNowhere(remote.Addr()), stream && (broadcast || remote.Addr().Unmap().IsMulticast()):
		op.Err = syscall.ENETUNREACH // gVisor would ask all, and wait
		return true
	case broadcast && !s.ep.SocketOptions().GetBroadcast():
		op.Err = syscall.EACCES // as a write would say
		return true
	case stream && !s.h.neighbors.mayResolve(remote.Addr()):
		op.Err = syscall.EHOSTUNREACH
		return true
	}
	err := s.ep.Connect(to)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		s.dialed = true
		if s.ledger != nil {
			s.follow()
		}
		s.h.ready.add(s) // a connection to ourselves may be there already
		return false
	}
	if stream {
		op.Err = noPort(err, syscall.EADDRNOTAVAIL)
		return true
	}
	op.Err = errno(err)
	if err == nil {
		s.names(op)
		s.peer = op.Peer.Addr()
	}
	return true
}
