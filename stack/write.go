package stack

import (
	"net/netip"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// writing is how far the first write of a socket has come. However often it has
// to wait for room, each of its buffers is looked at once.
type writing struct {
	op   *api.Op
	rest source
}

// write executes api.KindWrite as far as there is room.
func (s *socket) write(op *api.Op) (done bool) {
	if s.stall() {
		return false
	}
	if s.writing.op != op {
		s.writing = writing{op, newSource(op.Bufs)}
	}
	if done = s.writeOn(op); done {
		s.writing = writing{}
	}
	return done
}

func (s *socket) writeOn(op *api.Op) (done bool) {
	h, stream, opt := s.h, s.network.Stream(), tcpip.WriteOptions{}
	if !stream && !h.neighbors.mayResolve(s.destination(op)) {
		op.Err = syscall.EHOSTUNREACH
		return true
	}
	if op.Addr.IsValid() && !stream {
		if h.isNowhere(op.Addr.Addr()) {
			op.Err = syscall.ENETUNREACH
			return true
		}
		h.to = h.fullAddress(s.network, s.remote(op))
		opt.To = &h.to
	}
	rest := &s.writing.rest
	for first := true; first || rest.left > 0; first = false {
		h.source = *rest // gVisor may take less of it than it reads
		n, err := s.ep.Write(&h.source, opt)
		h.source = source{}
		rest.pass(int(n))
		op.N += int(n)
		if s.ledger != nil {
			s.took(int(n))
		}
		switch err.(type) {
		case nil:
			if n == 0 && rest.left > 0 {
				return false
			}
		case *tcpip.ErrWouldBlock:
			return rest.left == 0 && s.linked // room for nothing there is always
		case *tcpip.ErrClosedForSend:
			op.Err = syscall.EPIPE
			if stream && !s.linked {
				op.Err = syscall.ENOTCONN
			}
			return true
		default:
			op.Err = errno(err)
			return true
		}
	}
	return true
}

// stall reports whether no send may start now, and sees to it that the socket
// is served when one may.
func (s *socket) stall() bool {
	if !s.h.isCongested() {
		return false
	}
	if !s.stalled {
		s.stalled = true
		s.h.stalled = append(s.h.stalled, s)
	}
	return true
}

// destination returns where a datagram goes.
func (s *socket) destination(op *api.Op) netip.Addr {
	if op.Addr.IsValid() {
		return s.remote(op).Addr()
	}
	return s.peer
}
