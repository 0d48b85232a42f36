package api

import (
	"context"
	"net"
	"net/netip"
)

// netAddr gives an address the type that package net has for it.
func netAddr(n Network, ap netip.AddrPort) net.Addr {
	switch {
	case !ap.IsValid():
		return nil
	case n.Stream():
		return net.TCPAddrFromAddrPort(ap)
	}
	return net.UDPAddrFromAddrPort(ap)
}

// addrPort is the way back. It takes any address of package net, of a resolved
// form.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort()), a.AddrPort().IsValid()
	case *net.IPAddr:
		if a == nil {
			break
		}
		ip, ok := netip.AddrFromSlice(a.IP)
		return netip.AddrPortFrom(ip.Unmap().WithZone(a.Zone), 0), ok
	case interface{ AddrPort() netip.AddrPort }:
		return unmap(a.AddrPort()), a.AddrPort().IsValid()
	}
	return netip.AddrPort{}, false
}

// What an address is for decides what an empty host means.
type purpose bool

const (
	listening purpose = false
	dialing   purpose = true
)

// resolve turns the text of a network and an address into at least one address.
func (n *Net) resolve(ctx context.Context, network, address string, why purpose) (Network, []netip.AddrPort, error) {
	nw, ok := ParseNetwork(network)
	if !ok {
		return 0, nil, net.UnknownNetworkError(network)
	}
	host, port, err := splitAddress(ctx, nw, address)
	if err != nil {
		return 0, nil, err
	}
	ips, err := n.lookup(ctx, host)
	if err != nil {
		return 0, nil, err
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		if ip.IsUnspecified() || !ip.IsValid() {
			addrs = append(addrs, unspecified(nw, port, why)...)
		} else if nw.fits(ip) {
			addrs = append(addrs, netip.AddrPortFrom(ip, port))
		}
	}
	if len(addrs) == 0 {
		return 0, nil, &net.AddrError{Err: "no suitable address found", Addr: host}
	}
	return nw, addrs, nil
}

// splitAddress takes an address apart. Those of ICMP may lack the port.
func splitAddress(ctx context.Context, nw Network, address string) (host string, port uint16, err error) {
	if nw.icmp() {
		if _, err := netip.ParseAddr(address); err == nil || address == "" {
			return address, 0, nil
		}
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		if nw.icmp() {
			return address, 0, nil
		}
		return "", 0, err
	}
	family := "udp"
	if nw.Stream() {
		family = "tcp"
	}
	p, err := net.DefaultResolver.LookupPort(ctx, family, service)
	return host, uint16(p), err
}

// lookup finds the addresses of a host: the invalid one for no host.
func (n *Net) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	switch host {
	case "":
		return []netip.Addr{{}}, nil
	case "localhost":
		return loopbacks, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, &net.DNSError{Err: "no such host: this host has no resolver, use a literal address", Name: host, IsNotFound: true}
	}
	return []netip.Addr{ip.Unmap()}, nil
}

var loopbacks = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// unspecified is what an empty host stands for.
func unspecified(nw Network, port uint16, why purpose) []netip.AddrPort {
	if why == dialing {
		var addrs []netip.AddrPort
		for _, ip := range loopbacks {
			if nw.fits(ip) {
				addrs = append(addrs, netip.AddrPortFrom(ip, port))
			}
		}
		return addrs
	}
	if nw.fits(netip.IPv6Unspecified()) { // for both families, if nw is
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
	}
	return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
}

// fits reports whether sockets of n can have ip as their address.
func (n Network) fits(ip netip.Addr) bool {
	switch n {
	case TCP4, UDP4, ICMP4:
		return ip.Is4()
	case TCP6, UDP6, ICMP6:
		return ip.Is6()
	}
	return true
}

func (n Network) icmp() bool { return n == ICMP4 || n == ICMP6 }
