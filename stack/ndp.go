package stack

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/stack/internal/dhcp"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// ndp hears what gVisor's neighbour discovery has to say: how duplicate address
// detection ended, and, of interfaces with SLAAC, what routers advertise.
//
// gVisor calls it within a turn and under locks of its own. So it takes note, and
// what needs a call of gVisor (routes) the turn does later: see reconfigure.
type ndp struct{ h *Host }

var _ ipv6.NDPDispatcher = ndp{}

// iface returns an interface of a host that is not closed. While gVisor's stack
// comes to its end it tells of everything that it forgets, in no turn.
func (n ndp) iface(id tcpip.NICID) *iface {
	if n.h.closed {
		return nil
	}
	return n.h.interfaceOf(id)
}

// idRetries is how many more addresses are made when one is somebody else's (RFC
// 7217, section 7).
const idRetries = 3

// hearRouters enables an interface that is to listen to its routers.
func (h *Host) hearRouters(id tcpip.NICID) error {
	ep, err := h.st.GetNetworkEndpoint(id, ipv6.ProtocolNumber)
	if err != nil {
		return errno(err)
	}
	c := ipv6.DefaultNDPConfigurations()
	c.AutoGenAddressConflictRetries = idRetries
	// Addresses that change hide a host among others; ours are for servers.
	c.AutoGenTempGlobalAddresses = false
	ep.(ipv6.NDPEndpoint).SetNDPConfigurations(c)
	return errno(h.st.EnableNIC(id))
}

// OnDuplicateAddressDetectionResult implements ipv6.NDPDispatcher.
func (n ndp) OnDuplicateAddressDetectionResult(id tcpip.NICID, at tcpip.Address, r stack.DADResult) {
	i, a := n.iface(id), addr(at)
	if i == nil {
		return
	}
	w := want{nic: id, what: wantAddress, addr: a}
	auto := !slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
	switch {
	case auto && a.IsLinkLocalUnicast():
		w = want{nic: id, what: wantLinkLocal}
	case auto:
		w = want{nic: id, what: wantAdvertised}
	}
	switch r := r.(type) {
	case *stack.DADDupAddrDetected:
		if auto && !i.ra.exhausted(a) {
			return // the next one is on its way
		}
		n.h.readiness.missed(w, fmt.Errorf("address %v is in use by %v already; choose another: %w", a, r.HolderLinkAddress, syscall.EADDRINUSE))
	case *stack.DADAborted: // it was removed, and with it the question
	default:
		if !auto {
			n.h.readiness.met(w)
		}
		for k := range i.auto {
			if i.auto[k].Addr() == a {
				i.auto[k].usable = true
				n.h.changed.Store(true)
			}
		}
	}
}

// OnAutoGenAddress implements ipv6.NDPDispatcher. The address is not used before
// it has been checked.
func (n ndp) OnAutoGenAddress(id tcpip.NICID, a tcpip.AddressWithPrefix) stack.AddressDispatcher {
	if i := n.iface(id); i != nil {
		i.auto = append(i.auto, autoAddr{Prefix: prefix(a)})
		n.h.resteer(i)
	}
	return nil
}

// OnAutoGenAddressInvalidated implements ipv6.NDPDispatcher.
func (n ndp) OnAutoGenAddressInvalidated(id tcpip.NICID, a tcpip.AddressWithPrefix) {
	if i := n.iface(id); i != nil {
		i.auto = slices.DeleteFunc(i.auto, func(o autoAddr) bool { return o.Prefix == prefix(a) })
		n.h.resteer(i)
		n.h.changed.Store(true)
	}
}

// OnAutoGenAddressDeprecated implements ipv6.NDPDispatcher. gVisor prefers others
// from now on by itself.
func (ndp) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnOffLinkRouteUpdated implements ipv6.NDPDispatcher.
func (n ndp) OnOffLinkRouteUpdated(id tcpip.NICID, to tcpip.Subnet, via tcpip.Address, p header.NDPRoutePreference) {
	i := n.iface(id)
	if i == nil || prefixOf(to).Addr().Is4In6() {
		return
	}
	r := advertisedRoute{prefixOf(to), addr(via), p}
	k := slices.IndexFunc(i.ra.routes, func(o advertisedRoute) bool { return o.to == r.to && o.via == r.via })
	if k < 0 {
		i.ra.routes = append(i.ra.routes, r)
	} else {
		i.ra.routes[k] = r
	}
	slices.SortStableFunc(i.ra.routes, func(a, b advertisedRoute) int { return a.rank() - b.rank() })
	n.h.changed.Store(true)
}

// OnOffLinkRouteInvalidated implements ipv6.NDPDispatcher.
func (n ndp) OnOffLinkRouteInvalidated(id tcpip.NICID, to tcpip.Subnet, via tcpip.Address) {
	if i := n.iface(id); i != nil {
		i.ra.routes = slices.DeleteFunc(i.ra.routes, func(r advertisedRoute) bool { return r.to == prefixOf(to) && r.via == addr(via) })
		n.h.changed.Store(true)
	}
}

// OnOnLinkPrefixDiscovered implements ipv6.NDPDispatcher.
func (n ndp) OnOnLinkPrefixDiscovered(id tcpip.NICID, p tcpip.Subnet) {
	if i := n.iface(id); i != nil && !prefixOf(p).Addr().Is4In6() {
		i.ra.onLink = append(i.ra.onLink, prefixOf(p))
		n.h.changed.Store(true)
	}
}

// OnOnLinkPrefixInvalidated implements ipv6.NDPDispatcher.
func (n ndp) OnOnLinkPrefixInvalidated(id tcpip.NICID, p tcpip.Subnet) {
	if i := n.iface(id); i != nil {
		i.ra.onLink = slices.DeleteFunc(i.ra.onLink, func(o netip.Prefix) bool { return o == prefixOf(p) })
		n.h.changed.Store(true)
	}
}

// OnRecursiveDNSServerOption implements ipv6.NDPDispatcher (RFC 8106).
func (n ndp) OnRecursiveDNSServerOption(id tcpip.NICID, servers []tcpip.Address, lifetime time.Duration) {
	if i := n.iface(id); i != nil {
		for _, s := range servers {
			i.ra.dns = renew(i.ra.dns, i.zoned(addr(s)), n.h.Now(), lifetime)
		}
		n.h.expireAdvertised(i)
	}
}

// OnDNSSearchListOption implements ipv6.NDPDispatcher.
func (n ndp) OnDNSSearchListOption(id tcpip.NICID, names []string, lifetime time.Duration) {
	if i := n.iface(id); i != nil {
		for _, name := range names {
			if dhcp.IsHostName(name) {
				i.ra.domains = renew(i.ra.domains, name, n.h.Now(), lifetime)
			}
		}
		n.h.expireAdvertised(i)
	}
}

// OnDHCPv6Configuration implements ipv6.NDPDispatcher. There is no client for it.
func (ndp) OnDHCPv6Configuration(tcpip.NICID, ipv6.DHCPv6ConfigurationFromNDPRA) {}
