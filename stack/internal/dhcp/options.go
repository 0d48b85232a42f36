package dhcp

import (
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// addrOf returns an address of a message, or the zero Addr if there is none.
func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a
}

// stations returns a list of addresses without those that no station can have.
func stations(ips []net.IP) (list []netip.Addr) {
	for _, ip := range ips {
		if a := addrOf(ip); isStation(a) {
			list = append(list, a)
		}
	}
	return list
}

// serverOf returns the address of the server that m comes from, if m says it.
func serverOf(m *dhcpv4.DHCPv4) (netip.Addr, bool) {
	a := addrOf(m.ServerIdentifier())
	return a, isStation(a)
}

// maskOf returns the length of the prefix that the option for the mask says, or,
// without that option, the one of the address's class.
func maskOf(m *dhcpv4.DHCPv4) (length int, ok bool) {
	mask := m.YourIPAddr.DefaultMask()
	if m.Options.Has(dhcpv4.OptionSubnetMask) {
		mask = m.SubnetMask()
	}
	length, _ = mask.Size() // 0 for one with holes
	return length, length > 0
}

// mtuOf returns what the option for it says, or 0.
func mtuOf(m *dhcpv4.DHCPv4) int {
	mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, m.Options)
	if err != nil {
		return 0
	}
	return int(mtu)
}

// domainOf returns the domain name, or nothing if it is not one. It ends up in
// logs and in names that are looked up.
func domainOf(m *dhcpv4.DHCPv4) string {
	name := strings.TrimRight(m.DomainName(), "\x00")
	if name = strings.TrimSuffix(name, "."); !IsHostName(name) {
		return ""
	}
	return name
}

// routesOf returns the classless routes (RFC 3442), and no route if one of them
// cannot be. Without Via the destination is on the link.
func routesOf(m *dhcpv4.DHCPv4) (list []Route) {
	for _, route := range m.ClasslessStaticRoute() {
		length, _ := route.Dest.Mask.Size()
		r := Route{To: netip.PrefixFrom(addrOf(route.Dest.IP), length).Masked()}
		if via := addrOf(route.Router); isStation(via) {
			r.Via = via
		} else if !via.IsUnspecified() {
			return nil
		}
		list = append(list, r)
	}
	return list
}

// isStation reports whether a can be the address of a single station of a
// network.
func isStation(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a.As4()[0] != 0 && a.As4()[0] < 240
}

// IsHostName reports whether name can be the name of a host (RFC 1123, section
// 2.1): labels of letters, digits and hyphens, with dots between.
func IsHostName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
				return false
			}
		}
	}
	return true
}
