package stack

import (
	"math"
	"net"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
)

func finish(op *api.Op, err error) {
	op.Err = err
	op.Complete()
}

// execute runs a task within the turn.
func (h *Host) execute(t *task) {
	switch {
	case t.op == nil:
		h.cancel(t.cancel, t.cause)
	case h.closed:
		finish(t.op, net.ErrClosed)
	case t.op.Kind == api.KindSocket:
		h.open(t.op)
	default:
		s, ok := t.op.Sock.(*socket)
		if !ok || s.h != h || s.closed {
			finish(t.op, net.ErrClosed)
			return
		}
		s.execute(t.op)
	}
}

// cancel ends an op that is parked. A ticket that is not void names an op that
// is not complete; as ops are completed in turns only, that stays so meanwhile.
func (h *Host) cancel(t api.Ticket, cause error) {
	op := t.Op()
	if op == nil {
		return
	}
	s, ok := op.Sock.(*socket)
	if !ok {
		return
	}
	if s.linger.op == op {
		s.endLinger(cause)
		return
	}
	if s.ledger.remove(op) {
		finish(op, cause)
		return
	}
	for _, l := range s.lists() {
		if l.Remove(op) {
			if s.writing.op == op {
				s.writing = writing{}
			}
			finish(op, cause)
			return
		}
	}
}

func (s *socket) execute(op *api.Op) {
	if s.failure != nil && op.Kind != api.KindClose {
		finish(op, s.failure)
		return
	}
	if op.Addr.IsValid() && !takes(s.network, op.Addr.Addr()) {
		finish(op, syscall.EAFNOSUPPORT) // gVisor has several numbers for it, or none
		return
	}
	s.established() // it may be, and the socket not served yet
	switch op.Kind {
	case api.KindRead:
		s.start(&s.reads, op, s.read)
	case api.KindWrite:
		s.start(&s.writes, op, s.write)
	case api.KindAccept:
		s.start(&s.accepts, op, s.accept)
	case api.KindConnect:
		s.connect(op)
	case api.KindBind:
		if s.linked {
			finish(op, syscall.EISCONN)
			return
		}
		if s.h.isNowhere(op.Addr.Addr()) {
			finish(op, syscall.ENODEV)
			return
		}
		err := s.ep.Bind(s.h.fullAddress(s.network, op.Addr))
		s.names(op)
		finish(op, noPort(err, syscall.EADDRINUSE))
	case api.KindListen:
		if s.h.drain.begun {
			finish(op, net.ErrClosed)
			return
		}
		// As on Linux, one more may wait than the backlog says, and so one at
		// least.
		err := s.ep.Listen(min(max(op.Backlog, 0), math.MaxInt32-1) + 1)
		finish(op, noPort(err, syscall.EADDRINUSE))
	case api.KindShutdown:
		finish(op, errno(s.shutdown(op.How)))
	case api.KindOption:
		finish(op, s.setOption(op.Opt))
	case api.KindQuery:
		var err error
		op.Opt, err = s.option(op.Opt)
		finish(op, err)
	case api.KindName:
		s.names(op)
		finish(op, nil)
	case api.KindJoin, api.KindLeave:
		finish(op, s.membership(op))
	case api.KindClose:
		s.executeClose(op)
	default:
		finish(op, syscall.EINVAL)
	}
}

func (s *socket) shutdown(how api.Shut) tcpip.Error {
	var f tcpip.ShutdownFlags
	if how&api.ShutRead != 0 && !s.linked {
		f |= tcpip.ShutdownRead
	}
	if how&api.ShutWrite != 0 {
		f |= tcpip.ShutdownWrite
	}
	defer s.h.ready.add(s) // a parked read may have come to its end
	err := s.ep.Shutdown(f)
	if err == nil {
		s.shut |= how
		s.shutBoth()
	}
	return err
}

// shutBoth tells gVisor that a stream which sends no more receives no more
// either: that data resets it. It is told when nothing is left to be read. Told
// earlier it would reset the connection for that, which only a close should do.
func (s *socket) shutBoth() {
	if !s.linked || s.shut != api.ShutRead|api.ShutWrite {
		return
	}
	if n, err := s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil && n == 0 {
		s.ep.Shutdown(tcpip.ShutdownRead)
	}
}
