package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// peers counts the connections that peers opened, by peer, from their accept
// until the stack has forgotten them: a socket that is closed with data unsent
// still holds it. It is touched within turns only.
//
// Connections that wait to be accepted are bounded by the listener's backlog, and
// count towards the total alone.
type peers struct {
	conns map[netip.Addr]int
	total int
	// closing holds closed TCP sockets, also those of connections that we opened,
	// whose endpoints may still be at work.
	closing []*socket
	swept   int // how many of them there were after the last sweep
}

func (p *peers) add(a netip.Addr) {
	if p.conns == nil {
		p.conns = map[netip.Addr]int{}
	}
	p.conns[a]++
	p.total++
}

func (p *peers) remove(a netip.Addr) {
	p.total--
	if p.conns[a]--; p.conns[a] <= 0 {
		delete(p.conns, a)
	}
}

// close notes that a socket was closed. Now and then, so that the cost is that
// of one look per socket, it sweeps.
func (p *peers) close(s *socket) {
	p.closing = append(p.closing, s)
	if len(p.closing) > 2*p.swept+64 {
		p.sweep()
	}
}

// sweep forgets the sockets whose endpoints have come to their end. One in
// TIME-WAIT holds no data.
func (p *peers) sweep() {
	rest := p.closing[:0]
	for _, s := range p.closing {
		switch tcp.EndpointState(s.ep.State()) {
		case tcp.StateClose, tcp.StateError, tcp.StateTimeWait:
			if s.passive.IsValid() {
				p.remove(s.passive)
			}
		default:
			rest = append(rest, s)
		}
	}
	clear(p.closing[len(rest):])
	p.closing, p.swept = rest, len(rest)
}

// mayOpen reports whether a peer may open one more connection.
func (h *Host) mayOpen(a netip.Addr) bool {
	p := &h.peers
	fits := func() bool {
		return p.total < h.limits.Conns && p.conns[a.Unmap()] < h.limits.ConnsPerPeer
	}
	if !fits() {
		p.sweep()
	}
	return fits() && h.st.Stats().TCP.CurrentConnected.Value() < uint64(h.limits.Conns)
}
