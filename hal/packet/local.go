package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/ringtail-net/ringtail/hal"
)

// allNodes is the group of all IPv6 stations (RFC 4291, section 2.7.1).
var allNodes = netip.MustParseAddr("ff02::1")

// want translates what is ours into what a socket shall receive, for a station
// with the address mac.
func want(mac hal.MAC, l hal.Local) wanted {
	w := wanted{macs: append([]hal.MAC{mac}, l.MACs...), steer: true, dhcp: l.DHCP, any4: l.DHCP}
	for _, a := range l.Addrs {
		a = a.Unmap().WithZone("")
		w.addrs = append(w.addrs, a)
		if a.Is4() {
			w.any4 = true
		} else {
			w.addrs = append(w.addrs, allNodes, solicited(a)) // its neighbour discovery
		}
	}
	for _, a := range l.Groups {
		w.addrs = append(w.addrs, a.Unmap().WithZone(""))
	}
	slices.SortFunc(w.addrs, netip.Addr.Compare)
	w.addrs = slices.Compact(w.addrs)
	return w
}

// solicited returns the group in which an IPv6 address is looked for (RFC 4291,
// section 2.7.1).
func solicited(a netip.Addr) netip.Addr {
	b := a.As16()
	copy(b[:], "\xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff")
	return netip.AddrFrom16(b)
}

// groups returns the MAC addresses that the interface must receive for what is
// wanted: those of multicast groups (RFC 1112, section 6.4; RFC 2464, section 7).
func (w wanted) groups() []hal.MAC {
	var list []hal.MAC
	for _, a := range w.addrs {
		switch {
		case !a.IsMulticast():
		case a.Is4():
			b := a.As4()
			list = append(list, hal.MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]})
		default:
			b := a.As16()
			m := hal.MAC{0x33, 0x33}
			binary.BigEndian.PutUint32(m[2:], binary.BigEndian.Uint32(b[12:]))
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b hal.MAC) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(list)
}
