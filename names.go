package ringtail

import (
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// leasedNames keeps the names of a net face in step with the leases of its host.
type leasedNames struct {
	mu         sync.Mutex
	configured api.Names
	stored     api.Names     // last: if the face has others, they are the user's
	done       chan struct{} // closed when follow has ended
}

// follow gives the net face the name servers and search domains that the network
// tells of, where the configuration has none, until the host is closed.
func (l *leasedNames) follow(h *Host) {
	defer close(l.done)
	for {
		_, changed := h.stack.Leases()
		l.apply(h)
		select {
		case <-changed:
		case <-h.stack.Done():
			return
		}
	}
}

// apply gives the net face the names as they are now. Names that the user has set
// meanwhile stay. A renewal, which changes nothing, stores nothing.
func (l *leasedNames) apply(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	leases, _ := h.stack.Leases()
	if isSame(h.Net().Names(), l.stored) {
		h.Net().SetNames(withLeases(l.configured, leases))
		l.stored = h.Net().Names()
	}
}

// isSame reports whether a and b are the same names. Functions cannot be compared, so
// they do not count.
func isSame(a, b api.Names) bool {
	a.Known, b.Known = nil, nil
	return reflect.DeepEqual(a, b)
}

// mostServers is how many name servers are taken from the network: each that is
// silent costs a dial by name its time. It is what resolv.conf(5) takes.
const mostServers = 3

// withLeases completes names by what leases say.
func withLeases(names api.Names, leases []stack.Lease) api.Names {
	servers, search := len(names.Servers) == 0, len(names.Search) == 0
	names.Servers, names.Search = slices.Clip(names.Servers), slices.Clip(names.Search)
	for _, l := range leases {
		for _, a := range l.DNS {
			if servers && len(names.Servers) < mostServers {
				names.Servers = append(names.Servers, netip.AddrPortFrom(a, 0))
			}
		}
		if search {
			names.Search = append(names.Search, l.Domains...)
		}
	}
	return names
}
