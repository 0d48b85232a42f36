package stack

import (
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// address translates an address for gVisor; the invalid one becomes the empty
// one, which is its wildcard.
func address(a netip.Addr) tcpip.Address {
	switch a = a.Unmap(); {
	case a.Is4():
		return tcpip.AddrFrom4(a.As4())
	case a.Is6():
		return tcpip.AddrFrom16(a.As16())
	}
	return tcpip.Address{}
}

func addr(a tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return ip.Unmap()
}

func addrPort(a tcpip.FullAddress) netip.AddrPort { return netip.AddrPortFrom(addr(a.Addr), a.Port) }

// fullAddress translates an address to bind to or to send to. The IPv4 wildcard
// on a socket of both families must be told from the wildcard of both, which
// gVisor does by the mapped form.
func (h *Host) fullAddress(n api.Network, ap netip.AddrPort) tcpip.FullAddress {
	to := tcpip.FullAddress{Port: ap.Port(), Addr: address(ap.Addr())}
	switch ip := ap.Addr(); {
	case ip.Is4() && ip.IsUnspecified() && (n == api.TCP || n == api.UDP):
		to.Addr = header.IPv4MappedIPv6Subnet.ID()
	case ip.IsUnspecified():
		to.Addr = tcpip.Address{}
	case ip.Zone() != "":
		to.NIC = h.interfaceByName(ip.Zone())
	case ip.Is6() && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()) && len(h.interfaces) == 1:
		to.NIC = h.interfaces[0].id
	}
	return to
}

// remote returns where an op that has an address goes. The wildcard is the host
// itself, as on Linux: the address that the socket is bound to, or loopback's.
func (s *socket) remote(op *api.Op) netip.AddrPort {
	ip, port := op.Addr.Addr().Unmap(), op.Addr.Port()
	if !ip.IsUnspecified() {
		return op.Addr
	}
	if a, err := s.ep.GetLocalAddress(); err == nil {
		if own := addr(a.Addr); own.IsValid() && !own.IsUnspecified() && own.Is4() == ip.Is4() {
			return netip.AddrPortFrom(own, port)
		}
	}
	if ip.Is4() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), port)
}

// isBroadcast reports whether an address is that of all stations of a link.
func (h *Host) isBroadcast(to tcpip.FullAddress) bool {
	if to.Addr.Len() != header.IPv4AddressSize {
		return false
	}
	r, err := h.st.FindRoute(to.NIC, tcpip.Address{}, to.Addr, ipv4.ProtocolNumber, false)
	if err != nil {
		return false // whoever goes there will be told
	}
	defer r.Release()
	return r.IsOutboundBroadcast()
}

// isNowhere reports whether an address is one of a link that is none of the host's.
func (h *Host) isNowhere(ip netip.Addr) bool {
	return ip.Zone() != "" && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()) && h.zone(ip.Zone()) == nil
}

// takes reports whether a socket of n can be bound to a, or send to it.
func takes(n api.Network, a netip.Addr) bool {
	switch n {
	case api.TCP4, api.UDP4, api.ICMP4:
		return a.Unmap().Is4()
	case api.TCP6, api.UDP6, api.ICMP6:
		return !a.Unmap().Is4()
	}
	return true
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Unmap().Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func protocolAddress(p netip.Prefix) tcpip.ProtocolAddress {
	return tcpip.ProtocolAddress{
		Protocol:          protocolOf(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()},
	}
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: address(p.Masked().Addr()), PrefixLen: p.Bits()}.Subnet()
}

// prefix and prefixOf translate from gVisor, without taking an IPv6 address for
// the IPv4 address that it may contain.
func prefix(p tcpip.AddressWithPrefix) netip.Prefix {
	a, _ := netip.AddrFromSlice(p.Address.AsSlice())
	return netip.PrefixFrom(a, p.PrefixLen)
}

func prefixOf(s tcpip.Subnet) netip.Prefix {
	id := s.ID()
	a, _ := netip.AddrFromSlice(id.AsSlice())
	return netip.PrefixFrom(a, s.Prefix())
}
