package api

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
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

// resolve turns the text of a network and an address into at least one address,
// in the order in which to try them.
func (n *Net) resolve(ctx context.Context, until time.Time, network, address string, why purpose) (Network, []netip.AddrPort, error) {
	nw, ok := ParseNetwork(network)
	if !ok {
		return 0, nil, net.UnknownNetworkError(network)
	}
	host, port, err := splitAddress(nw, address)
	if err != nil {
		return 0, nil, err
	}
	ips, err := n.lookup(ctx, until, nw, host, why)
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
func splitAddress(nw Network, address string) (host string, port uint16, err error) {
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
	port, err = parsePort(nw, service)
	return host, port, err
}

// services are ports that have a name (IANA's registry of service names), for
// TCP and UDP alike. A longer list is in /etc/services, which is the machine's.
var services = map[string]uint16{
	"domain": 53, "ftp": 21, "http": 80, "https": 443, "imap": 143, "imaps": 993, "ntp": 123, "pop3": 110, "pop3s": 995,
	"smtp": 25, "ssh": 22, "submission": 587, "submissions": 465, "telnet": 23,
}

// parsePort reads a number or the name of a service. The empty one is 0.
func parsePort(nw Network, service string) (uint16, error) {
	port, err := strconv.Atoi(service)
	switch known, ok := services[strings.ToLower(service)]; {
	case ok:
		return known, nil
	case service == "":
		return 0, nil
	case err != nil && !errors.Is(err, strconv.ErrRange):
		family := "udp"
		if nw.Stream() {
			family = "tcp"
		}
		return 0, &net.DNSError{Err: "unknown port", Name: family + "/" + service, IsNotFound: true}
	case port < 0 || port > math.MaxUint16:
		return 0, &net.AddrError{Err: "invalid port", Addr: service}
	}
	return uint16(port), nil
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
