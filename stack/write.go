package stack

import (
	"io"
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
	for first := true; first && !stream || rest.left > 0; first = false {
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
			return false
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

// source feeds gVisor the bytes of a write.
type source struct {
	bufs [][]byte
	off  int // in bufs[0]
	left int
}

func newSource(bufs [][]byte) source {
	r := source{bufs: bufs}
	for _, b := range bufs {
		r.left += len(b)
	}
	return r
}

func (r *source) Len() int { return r.left }

func (r *source) Read(p []byte) (n int, err error) {
	for n < len(p) && r.left > 0 {
		k := copy(p[n:], r.bufs[0][r.off:])
		n += k
		r.pass(k)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// pass passes over n bytes, and over the buffers that are used up.
func (r *source) pass(n int) {
	r.left -= n
	r.off += n
	for len(r.bufs) > 0 && r.off >= len(r.bufs[0]) {
		r.off -= len(r.bufs[0])
		r.bufs = r.bufs[1:]
	}
}
