package stack

import (
	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Closes that wait: api.Linger above zero. gVisor leaves the waiting to its
// user, and says nothing when a connection that was closed has got everything
// across. So each turn looks, which with Config.Foreign may be one too late.

// A lingering close waits until the peer has acknowledged all that was written,
// and the end of it, or until its time is over. The connection goes on by itself
// in either case.
type lingering struct {
	s     *socket
	op    *api.Op
	timer *timer
	over  bool
}

// linger executes api.KindClose of a socket that was just closed.
func (s *socket) linger(op *api.Op) {
	d := s.ep.SocketOptions().GetLinger()
	if !s.network.Stream() || !d.Enabled || d.Timeout <= 0 || !s.unacknowledged() {
		finish(op, nil)
		return
	}
	l := &lingering{s: s, op: op}
	l.timer = s.h.clock.afterFunc(d.Timeout, func() { l.over = true })
	s.h.lingering = append(s.h.lingering, l)
}

// unacknowledged reports whether a closed socket is still sending.
func (s *socket) unacknowledged() bool {
	switch tcp.EndpointState(s.ep.State()) {
	case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
		return true
	}
	return false
}

// endLingering completes the closes that have waited enough, or all.
func (h *Host) endLingering(all bool) {
	rest := h.lingering[:0]
	for _, l := range h.lingering {
		if !all && !l.over && l.s.unacknowledged() {
			rest = append(rest, l)
			continue
		}
		l.timer.Stop()
		finish(l.op, nil)
	}
	clear(h.lingering[len(rest):])
	h.lingering = rest
}

// cancelLingering ends a close that waits, and reports whether op is one.
func (h *Host) cancelLingering(op *api.Op, cause error) bool {
	for i, l := range h.lingering {
		if l.op == op {
			l.timer.Stop()
			h.lingering = append(h.lingering[:i], h.lingering[i+1:]...)
			finish(op, cause)
			return true
		}
	}
	return false
}
