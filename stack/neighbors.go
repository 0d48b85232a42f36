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
	unresolved map[neighbor]bool // their link address is being asked for
	resolved   map[neighbor]bool // packets can go there at once
	links      []link
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
func (n *neighbors) OnNeighborAdded(id tcpip.NICID, e stack.NeighborEntry) { n.note(id, e) }

// OnNeighborChanged implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborChanged(id tcpip.NICID, e stack.NeighborEntry) { n.note(id, e) }

// OnNeighborRemoved implements stack.NUDDispatcher.
func (n *neighbors) OnNeighborRemoved(id tcpip.NICID, e stack.NeighborEntry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.unresolved, neighbor{id, e.Addr})
	delete(n.resolved, neighbor{id, e.Addr})
}

// note follows the state of an entry. One that is unreachable is asked for again
// with the next packet.
func (n *neighbors) note(id tcpip.NICID, e stack.NeighborEntry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.resolved == nil {
		n.resolved, n.unresolved = map[neighbor]bool{}, map[neighbor]bool{}
	}
	key := neighbor{id, e.Addr}
	delete(n.promised, addr(e.Addr))
	delete(n.unresolved, key)
	delete(n.resolved, key)
	switch e.State {
	case stack.Incomplete:
		n.unresolved[key] = true
	case stack.Unknown, stack.Unreachable:
	default:
		n.resolved[key] = true
	}
}

// A link is what is on the link of an interface.
type link struct {
	nic      tcpip.NICID
	prefixes []netip.Prefix
}

// setPrefixes notes which prefixes are on the link of an interface now.
func (n *neighbors) setPrefixes(id tcpip.NICID, prefixes []netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.links {
		if n.links[k].nic == id {
			n.links[k].prefixes = prefixes
			return
		}
	}
	n.links = append(n.links, link{id, prefixes})
}

// mayResolve reports whether a packet to a may be sent, as far as next hops go:
// a is behind a router, is known already, or there is room for one more.
func (n *neighbors) mayResolve(a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	a = a.Unmap()
	if n.isResolved(a) || n.promised[a] || !n.onLink(a) {
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

func (n *neighbors) isResolved(a netip.Addr) bool {
	for _, l := range n.links {
		if n.resolved[neighbor{l.nic, address(a)}] {
			return true
		}
	}
	return false
}

func (n *neighbors) onLink(a netip.Addr) bool {
	if a.IsMulticast() {
		return false
	}
	for _, l := range n.links {
		for _, p := range l.prefixes {
			if p.Contains(a) {
				return true
			}
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

// admit is the question that the bridge asks for every packet: whether the host's
// limits let it in. What it refuses is dropped and counted under the returned
// reason.
func (h *Host) admit(p *offload.Headers) (drop string) {
	if p.Version == 0 {
		return "" // ARP: it resolves, it needs no next hop
	}
	isSYN := p.Proto == uint8(header.TCPProtocolNumber) && p.TCPFlags&(flagSYN|flagACK) == flagSYN
	if isSYN && !p.Fragment && !h.mayOpen(p.Src) {
		return dropConnections
	}
	// The answer would need a next hop. Neighbour discovery must not be
	// refused: it is how next hops get resolved.
	if !isDiscovery(p) && !h.neighbors.mayResolve(p.Src) {
		return dropUnresolved
	}
	return ""
}

// The reasons of admit.
const (
	dropConnections = "connection-limit"
	dropUnresolved  = "unresolved-next-hops"
)

// isDiscovery reports whether p is a message of RFC 4861.
func isDiscovery(p *offload.Headers) bool {
	return p.Version == 6 && p.Proto == uint8(header.ICMPv6ProtocolNumber) && !p.Fragment &&
		p.ICMPType >= uint8(header.ICMPv6RouterSolicit) && p.ICMPType <= uint8(header.ICMPv6RedirectMsg)
}

const (
	flagSYN = uint8(header.TCPFlagSyn)
	flagACK = uint8(header.TCPFlagAck)
)
