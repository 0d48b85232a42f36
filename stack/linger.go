package stack

import (
	"time"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A close that waits: api.Linger above zero. The close is complete when the peer
// has acknowledged all that was sent, the end of the stream included, when the
// connection has failed, or when the time is over. In the last case the connection
// goes on in the background, as that of a close without a wait: so does Linux.
//
// gVisor leaves the waiting to its embedder. It tells of a connection's end, but
// not of the acknowledgement that comes before it, from a peer that goes on sending
// or reading. A writer is told, though, when half of the send buffer has become
// free. So the buffer of a closed socket gets the size 0, of which half is free
// when less than nothing is in it: when the end of the stream, which takes up
// no room, has been acknowledged.

// lingering is a socket whose close waits.
type lingering struct {
	op    *api.Op // in Host.lingers; nil: none waits
	timer *timer
}

// executeClose executes api.KindClose.
func (s *socket) executeClose(op *api.Op) {
	limit := time.Duration(0)
	if l := s.ep.SocketOptions().GetLinger(); s.network.Stream() && l.Enabled {
		limit = l.Timeout
	}
	s.close()
	if limit <= 0 || !s.sending() {
		finish(op, nil)
		return
	}
	s.wq.EventRegister(&s.entry)
	s.ep.SocketOptions().SetSendBufferSize(0, true)
	s.h.lingers.Push(op)
	s.linger = lingering{op, s.h.clock.afterFunc(limit, func() { s.endLinger(nil) })}
	s.lingered() // with Config.Foreign it may have happened meanwhile
}

// sending reports whether a closed stream has sent something, if only its end,
// that is not acknowledged.
func (s *socket) sending() bool {
	switch tcp.EndpointState(s.ep.State()) {
	case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
		return true
	}
	return false
}

// lingered ends the wait of a close if there is nothing more to wait for.
func (s *socket) lingered() {
	if s.linger.op != nil && !s.sending() {
		s.endLinger(nil)
	}
}

// endLinger completes the close that waits.
func (s *socket) endLinger(err error) {
	l := s.linger
	s.linger = lingering{}
	l.timer.Stop()
	s.wq.EventUnregister(&s.entry)
	s.h.lingers.Remove(l.op)
	finish(l.op, err)
}

// endLingers completes all closes that wait.
func (h *Host) endLingers(err error) {
	for op := range h.lingers.All() {
		op.Sock.(*socket).endLinger(err)
	}
}
