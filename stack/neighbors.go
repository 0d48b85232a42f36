package stack

import (
	"net/netip"
	"sync"

	"github.com/ringtail-net/ringtail/hal/offload"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// neighbors follows gVisor's neighbour tables, to keep one bound that gVisor
// does not: the 65th next hop that is being resolved at the same time makes it
// start a goroutine (stack/pending_packets.go), and a host has none. From
// maxUnresolved on, nothing begins that needs a new one.
//
// Its lock is a leaf; gVisor calls the methods of stack.NUDDispatcher under its own.
type neighbors struct {
	mu         sync.Mutex
	unresolved map[neighbor]bool
	known      map[netip.Addr]int // on how many interfaces
	prefixes   []netip.Prefix     // on-link
	// promised are next hops that were let in and that the stack may not have
	// begun to resolve: the answers to a burst are written when TCP settles.
	promised map[netip.Addr]bool
}

type neighbor struct {
	nic  tcpip.NICID
	addr tcpip.Address
}

const maxUnresolved = 60

var _ stack.NUDDispatcher = (*neighbors)(nil)

// OnNeighborAdded implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborAdded(id tcpip.NICID, e stack.NeighborEntry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.promised, addr(e.Addr))
	if n.known == nil {
		n.known, n.unresolved = map[netip.Addr]int{}, map[neighbor]bool{}
	}
	n.known[addr(e.Addr)]++
	n.note(id, e)
}

// OnNeighborChanged implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborChanged(id tcpip.NICID, e stack.NeighborEntry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(id, e)
}

// OnNeighborRemoved implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborRemoved(id tcpip.NICID, e stack.NeighborEntry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.unresolved, neighbor{id, e.Addr})
	a := addr(e.Addr)
	if n.known[a]--; n.known[a] <= 0 {
		delete(n.known, a)
	}
}

func (n *neighbors) note(id tcpip.NICID, e stack.NeighborEntry) {
	if e.State == stack.Incomplete {
		n.unresolved[neighbor{id, e.Addr}] = true
	} else {
		delete(n.unresolved, neighbor{id, e.Addr})
	}
}

func (n *neighbors) addPrefix(p netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.prefixes = append(n.prefixes, p.Masked())
}

// mayResolve reports whether a packet to a may be sent, as far as next hops go:
// a is behind a router, is known already, or there is room for one more.
func (n *neighbors) mayResolve(a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	a = a.Unmap()
	if n.known[a] > 0 || n.promised[a] || !n.onLink(a) {
		return true
	}
	if len(n.unresolved)+len(n.promised) >= maxUnresolved {
		return false
	}
	if n.promised == nil {
		n.promised = map[netip.Addr]bool{}
	}
	n.promised[a] = true
	return true
}

func (n *neighbors) onLink(a netip.Addr) bool {
	if a.IsMulticast() {
		return false
	}
	for _, p := range n.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return a.IsLinkLocalUnicast()
}

// settled forgets what was promised: what the stack wanted to resolve it has
// begun to.
func (n *neighbors) settled() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.promised)
}

// admit makes the question that the bridge asks for every packet: whether the
// host's limits let it in. What it refuses is dropped and counted under the
// returned reason.
func (h *Host) admit(tcpip.NICID) func(*offload.Headers) string {
	return func(p *offload.Headers) string {
		if p.Version == 0 {
			return "" // ARP: it resolves, it needs no next hop
		}
		isSYN := p.Proto == uint8(header.TCPProtocolNumber) && p.TCPFlags&(flagSYN|flagACK) == flagSYN
		if isSYN && !p.Fragment && !h.peers.mayOpen(p.Src, h.limits) {
			return "connection-limit"
		}
		// The answer would need a next hop. Neighbour discovery must not be
		// refused: it is how next hops get resolved.
		if !h.neighbors.mayResolve(p.Src) && p.Proto != uint8(header.ICMPv6ProtocolNumber) {
			return "unresolved-next-hops"
		}
		return ""
	}
}

const (
	flagSYN = uint8(header.TCPFlagSyn)
	flagACK = uint8(header.TCPFlagAck)
)

// peers counts the connections that peers opened, by peer.
type peers struct {
	mu    sync.Mutex
	conns map[netip.Addr]int
	total int
}

func (p *peers) add(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		p.conns = map[netip.Addr]int{}
	}
	p.conns[a]++
	p.total++
}

func (p *peers) remove(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.conns[a]--; p.conns[a] <= 0 {
		delete(p.conns, a)
	}
}

// mayOpen reports whether a may open one more connection.
func (p *peers) mayOpen(a netip.Addr, l Limits) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total < l.Conns && p.conns[a.Unmap()] < l.ConnsPerPeer
}
