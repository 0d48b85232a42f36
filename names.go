package ringtail

import (
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// followNames gives the net face the name servers and search domains that the
// network tells of, where the configuration has none, until the host is closed.
func (h *Host) followNames(configured api.Names) {
	defer close(h.followed)
	for {
		leases, changed := h.stack.Leases()
		h.Net().SetNames(withLeases(configured, leases))
		select {
		case <-changed:
		case <-h.stack.Done():
			return
		}
	}
}

// withLeases completes names by what leases say.
func withLeases(names api.Names, leases []stack.Lease) api.Names {
	servers, search := len(names.Servers) == 0, len(names.Search) == 0
	for _, l := range leases {
		if servers {
			for _, a := range l.DNS {
				names.Servers = append(names.Servers, netip.AddrPortFrom(a, 0))
			}
		}
		if search {
			names.Search = append(names.Search, l.Domains...)
		}
	}
	return names
}
