package netif

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultRoute tells of a default route, of any table, over an interface, or over the
// bridge or bond that it is a part of: "via" and its gateway, "yes" without one, or
// "" if there is none.
func DefaultRoute(nl *netlink.Handle, link *netlink.LinkAttrs) (string, error) {
	routes, err := nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return "", fmt.Errorf("routes over interface %s: %w", link.Name, err)
	}
	for _, r := range routes {
		if isDefault(r) && leadsOver(r, link) {
			if r.Gw != nil {
				return "via " + r.Gw.String(), nil
			}
			return "yes", nil
		}
	}
	return "", nil
}

func isDefault(r netlink.Route) bool {
	if r.Type != unix.RTN_UNICAST {
		return false
	}
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0 && r.Dst.IP.IsUnspecified()
}

func leadsOver(r netlink.Route, link *netlink.LinkAttrs) bool {
	hops := []int{r.LinkIndex}
	for _, hop := range r.MultiPath {
		hops = append(hops, hop.LinkIndex)
	}
	return slices.Contains(hops, link.Index) || link.MasterIndex > 0 && slices.Contains(hops, link.MasterIndex)
}
