package stack

import (
	"fmt"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// An iface's addresses come from three places: the configuration, DHCP, and the
// prefixes that routers advertise. prefixes returns those that can be used, each
// with the length of its prefix, without the link-local ones of gVisor's making.
func (i *iface) prefixes() []netip.Prefix {
	list := slices.Clone(i.addrs)
	if l := i.lease(); l != nil {
		list = append(list, l.Addr)
	}
	for _, a := range i.auto {
		if a.usable && !a.Addr().IsLinkLocalUnicast() {
			list = append(list, a.Prefix)
		}
	}
	return list
}

// onLink returns the prefixes whose addresses are on the interface's link: no
// router is between. An advertised prefix is so only if the router says it.
func (i *iface) onLink() []netip.Prefix {
	var list []netip.Prefix
	for _, p := range i.addrs {
		list = append(list, p.Masked())
	}
	if l := i.lease(); l != nil {
		list = append(list, l.Addr.Masked())
		for _, r := range l.Routes {
			if !r.Via.IsValid() {
				list = append(list, r.To)
			}
		}
	}
	return append(list, i.ra.onLink...)
}

// has6 reports whether the interface has addresses of IPv6, or will have.
func (i *Interface) has6() bool {
	return i.SLAAC || slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// resolveRoutes translates the configured routes.
func (h *Host) resolveRoutes(routes []Route) error {
	for _, r := range routes {
		i, err := h.routeInterface(r)
		if err != nil {
			return err
		}
		h.routes = append(h.routes, tcpip.Route{Destination: subnet(r.To), Gateway: address(r.Via), NIC: i.id})
	}
	return nil
}

// routeTable is where packets go: gVisor takes the first of the longest prefixes
// that contain the destination. So what is configured comes before what DHCP says,
// and that before what routers say.
func (h *Host) routeTable() []tcpip.Route {
	table := []tcpip.Route{
		{Destination: header.IPv4LoopbackSubnet, NIC: loNIC},
		{Destination: header.IPv6Loopback.WithPrefix().Subnet(), NIC: loNIC},
	}
	for _, i := range h.interfaces {
		for _, p := range i.onLink() {
			table = append(table, tcpip.Route{Destination: subnet(p), NIC: i.id})
		}
		if i.has6 {
			table = append(table, tcpip.Route{Destination: header.IPv6LinkLocalPrefix.Subnet(), NIC: i.id})
		}
	}
	// Groups leave by the first interface unless a route says otherwise.
	if len(h.interfaces) > 0 {
		table = append(table,
			tcpip.Route{Destination: subnet(netip.MustParsePrefix("224.0.0.0/4")), NIC: h.interfaces[0].id},
			tcpip.Route{Destination: subnet(netip.MustParsePrefix("ff00::/8")), NIC: h.interfaces[0].id})
	}
	table = append(table, h.routes...)
	for _, i := range h.interfaces {
		if l := i.lease(); l != nil {
			for _, r := range l.Routes {
				if r.Via.IsValid() {
					table = append(table, tcpip.Route{Destination: subnet(r.To), Gateway: address(r.Via), NIC: i.id})
				}
			}
		}
		for _, r := range i.ra.routes {
			table = append(table, tcpip.Route{Destination: subnet(r.to), Gateway: address(r.via), NIC: i.id})
		}
	}
	return table
}

func (h *Host) routeInterface(r Route) (*iface, error) {
	for _, i := range h.interfaces {
		if r.Interface == i.name {
			return i, nil
		}
		onLink := func(p netip.Prefix) bool { return p.Masked().Contains(r.Via) }
		if r.Interface == "" && (!r.Via.IsValid() || slices.ContainsFunc(i.addrs, onLink)) {
			return i, nil
		}
	}
	if r.Interface != "" {
		return nil, fmt.Errorf("%w: route to %v: there is no interface %q", ErrConfig, r.To, r.Interface)
	}
	if len(h.interfaces) > 0 && r.Via.IsLinkLocalUnicast() {
		return h.interfaces[0], nil
	}
	return nil, fmt.Errorf("%w: route to %v: gateway %v is on no interface's link; give an address with its prefix", ErrConfig, r.To, r.Via)
}

// reconfigure brings gVisor's routes, the bound on next hops, and what the host
// tells of itself in line with what the network has said. Only then an address is
// one that Ready need no longer wait for. It is called within the turn, with no lock
// of gVisor held.
func (h *Host) reconfigure() {
	h.st.SetRouteTable(h.routeTable())
	for _, i := range h.interfaces {
		h.neighbors.setPrefixes(i.id, i.onLink())
	}
	h.publish()
	for _, i := range h.interfaces {
		if i.lease() != nil {
			h.readiness.met(want{nic: i.id, what: wantLease})
		}
		for _, a := range i.auto {
			switch {
			case a.usable && a.Addr().IsLinkLocalUnicast():
				h.readiness.met(want{nic: i.id, what: wantLinkLocal})
			case a.usable:
				h.readiness.met(want{nic: i.id, what: wantAdvertised})
			}
		}
	}
}

func (h *Host) interfaceOf(id tcpip.NICID) *iface {
	for _, i := range h.interfaces {
		if i.id == id {
			return i
		}
	}
	return nil
}

func (h *Host) interfaceByName(name string) tcpip.NICID {
	for _, i := range h.interfaces {
		if i.name == name {
			return i.id
		}
	}
	return 0
}
