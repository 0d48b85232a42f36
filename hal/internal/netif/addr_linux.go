package netif

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Addresses returns the addresses for which the kernel answers on an interface, and the
// number of the interface that has each of them: those of the whole namespace, but
// for link-local ones of other links. They are without zone, and IPv4 ones as such.
func Addresses(nl *netlink.Handle, index int) (map[netip.Addr]int, error) {
	list, err := nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("the kernel's addresses: %w", err)
	}
	has := map[netip.Addr]int{}
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		addr = addr.Unmap()
		if !ok || addr.Is6() && addr.IsLinkLocalUnicast() && a.LinkIndex != index {
			continue
		}
		if has[addr] != index { // the same one may be on several
			has[addr] = a.LinkIndex
		}
	}
	return has, nil
}

// NameOf returns the name of an interface, or what it can be told by without one.
func NameOf(nl *netlink.Handle, index int) string {
	if link, err := nl.LinkByIndex(index); err == nil {
		return link.Attrs().Name
	}
	return fmt.Sprintf("interface %d", index)
}
