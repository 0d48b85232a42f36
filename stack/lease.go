package stack

import (
	"net/netip"
	"reflect"
	"sync"
	"time"
)

// A Lease is what a network has told an interface about itself: by DHCP, or by
// the advertisements of its routers, which are together one Lease. Its slices are
// shared: they are not to be changed.
type Lease struct {
	// Interface is the name of the interface.
	Interface string
	// Server is the DHCP server. Invalid: routers have advertised it.
	Server netip.Addr
	// Addrs are the addresses that are the host's now, each with the prefix
	// length of its link. DHCP gives one.
	Addrs []netip.Prefix
	// Routers are the default routers, the preferred one first. One with a
	// link-local address has the interface as its zone.
	Routers []netip.Addr
	// DNS are the servers that resolve names, the preferred one first.
	DNS []netip.Addr
	// Domains are where names without a dot are looked for, in this order.
	Domains []string
	// MTU is the longest IP packet of the link, in bytes. Zero: not told.
	MTU int

	// Obtained, Renews and Expires are times of a DHCP lease on the host's
	// clock: when it was asked for, when it will be again, and when it is over.
	// The last two are zero if it is for ever. Routers have a lifetime for
	// every single thing they say, so there all three are zero.
	Obtained, Renews, Expires time.Time
}

// leases are those of a host. Others than the turn read them.
type leases struct {
	mu      sync.Mutex
	list    []Lease
	changed chan struct{}
}

// Leases returns what networks have told the host about themselves, in the order
// of its interfaces, and a channel that is closed when that changes. Renewals
// change it: the times are others. It is empty before the first lease (see Ready),
// after Close, and always without [Interface].DHCP and [Interface].SLAAC.
//
//	for {
//		leases, changed := h.Leases()
//		…
//		<-changed
//	}
func (h *Host) Leases() ([]Lease, <-chan struct{}) {
	l := &h.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.list[:len(l.list):len(l.list)], l.changed
}

// set replaces the leases, and tells who waits for that.
func (l *leases) set(list []Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reflect.DeepEqual(l.list, list) {
		return
	}
	l.list = list
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// publish tells what the network has said.
func (h *Host) publish() {
	var list []Lease
	for _, i := range h.interfaces {
		if l := i.lease(); l != nil {
			n := Lease{
				Interface: i.name, Server: l.Server, Addrs: []netip.Prefix{l.Addr}, Routers: l.Routers, DNS: l.DNS, MTU: l.MTU,
				Obtained: l.Obtained, Renews: l.Renew, Expires: l.Expires,
			}
			if l.Domain != "" {
				n.Domains = []string{l.Domain}
			}
			list = append(list, n)
		}
		if l := i.advertisedLease(); len(l.Addrs)+len(l.Routers)+len(l.DNS)+len(l.Domains) > 0 {
			list = append(list, l)
		}
	}
	h.leases.set(list)
}

// advertisedLease puts together what routers say.
func (i *iface) advertisedLease() Lease {
	l := Lease{Interface: i.name}
	for _, a := range i.auto {
		if a.usable && !a.Addr().IsLinkLocalUnicast() {
			l.Addrs = append(l.Addrs, a.Prefix)
		}
	}
	for _, r := range i.ra.routes {
		if r.to.Bits() == 0 {
			l.Routers = append(l.Routers, i.zoned(r.via))
		}
	}
	for _, s := range i.ra.dns {
		l.DNS = append(l.DNS, s.value)
	}
	for _, d := range i.ra.domains {
		l.Domains = append(l.Domains, d.value)
	}
	return l
}

// zoned adds the interface to an address that means nothing without it.
func (i *iface) zoned(a netip.Addr) netip.Addr {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return a.WithZone(i.name)
	}
	return a
}
