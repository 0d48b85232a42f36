package dhcp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// A Lease is an address on loan, and what a host needs to know to use it.
type Lease struct {
	Addr    netip.Prefix // the address, with the length of its link's prefix
	Server  netip.Addr
	Routers []netip.Addr // default routers, the preferred one first
	Routes  []Route      // all routes beside the link's own, those over Routers too
	DNS     []netip.Addr
	Domain  string
	MTU     int // 0: the server does not say

	// Obtained is when it was asked for, from which the other times count. A
	// lease for ever has no other times.
	Obtained, Renew, Rebind, Expires time.Time
}

// A Route of a lease. Without Via the destination is on the link.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// read makes a lease of an offer or an ACK to a request sent at time from. It
// fails if the client cannot do with what it says.
func (l *Lease) read(m *dhcpv4.DHCPv4, from time.Time) error {
	server, ok := serverOf(m)
	if !ok {
		return fmt.Errorf("no server identifier")
	}
	yours := addrOf(m.YourIPAddr)
	length, ok := maskOf(m)
	switch {
	case !isStation(yours):
		return fmt.Errorf("%v is not an address of a host", yours)
	case !ok:
		return fmt.Errorf("the network mask is % x", m.GetOneOption(dhcpv4.OptionSubnetMask))
	}
	*l = Lease{
		Addr: netip.PrefixFrom(yours, length), Server: server,
		Routers: stations(m.Router()), DNS: stations(m.DNS()),
		Domain: domainOf(m), MTU: mtuOf(m), Obtained: from,
	}
	if isEdge(l.Addr) {
		return fmt.Errorf("%v is the address of the network or of all its hosts", l.Addr)
	}
	l.readRoutes(m)
	return l.readTimes(m)
}

// isEdge reports whether p's address is the first or the last of its prefix,
// where these have a meaning of their own.
func isEdge(p netip.Prefix) bool {
	a := p.Addr().Next()
	return p.Bits() < 31 && (p.Masked().Addr() == p.Addr() || !p.Contains(a))
}

// readRoutes takes the classless routes if there are any, and only else the
// routers (RFC 3442).
func (l *Lease) readRoutes(m *dhcpv4.DHCPv4) {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if l.Routes = routesOf(m); l.Routes == nil {
		for _, via := range l.Routers {
			l.Routes = append(l.Routes, Route{all, via})
		}
		return
	}
	l.Routers = nil
	for _, r := range l.Routes {
		if r.To == all && r.Via.IsValid() {
			l.Routers = append(l.Routers, r.Via)
		}
	}
}

// readTimes takes the server's times for renewal if they are in order, and else
// those of RFC 2131, section 4.4.5.
func (l *Lease) readTimes(m *dhcpv4.DHCPv4) error {
	d, t1, t2 := m.IPAddressLeaseTime(0), m.IPAddressRenewalTime(0), m.IPAddressRebindingTime(0)
	switch d {
	case 0:
		return fmt.Errorf("no lease time")
	case dhcpv4.MaxLeaseTime:
		return nil // for ever
	}
	if t2 == 0 || t2 >= d {
		t2 = d / 8 * 7
	}
	if t1 == 0 || t1 >= t2 {
		t1 = min(d/2, t2)
	}
	l.Renew, l.Rebind, l.Expires = l.Obtained.Add(t1), l.Obtained.Add(t2), l.Obtained.Add(d)
	return nil
}

// Equal reports whether a host would do the same with both leases, whatever
// their times.
func (l *Lease) Equal(o *Lease) bool {
	return l.Addr == o.Addr && l.Server == o.Server && slices.Equal(l.Routes, o.Routes) &&
		slices.Equal(l.DNS, o.DNS) && l.Domain == o.Domain && l.MTU == o.MTU
}
