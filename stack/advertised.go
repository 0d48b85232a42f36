package stack

import (
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// An autoAddr is an address that gVisor has made, with the length of its prefix.
type autoAddr struct {
	netip.Prefix
	usable bool // it is known to be ours alone
}

// advertised is what routers say on an interface.
type advertised struct {
	onLink  []netip.Prefix
	routes  []advertisedRoute
	dns     []lasting[netip.Addr]
	domains []lasting[string]
	timer   *timer // the next of the two above is too old
	taken   map[netip.Prefix]int
}

// An advertisedRoute is one over a router. Default routes have an empty prefix.
type advertisedRoute struct {
	to         netip.Prefix
	via        netip.Addr
	preference header.NDPRoutePreference
}

// rank orders preferences, the best first.
func (r advertisedRoute) rank() int {
	switch r.preference {
	case header.HighRoutePreference:
		return 0
	case header.LowRoutePreference:
		return 2
	}
	return 1
}

// exhausted counts the addresses of a prefix that were somebody else's, and
// reports whether no more will be made.
func (r *advertised) exhausted(a netip.Addr) bool {
	if r.taken == nil {
		r.taken = map[netip.Prefix]int{}
	}
	p := netip.PrefixFrom(a, 64).Masked()
	r.taken[p]++
	return r.taken[p] > idRetries
}

// lasting is something that is true for some time.
type lasting[T comparable] struct {
	value T
	until time.Time // zero: for ever
}

// mostAdvertised is how many values of a kind routers can make a host remember.
const mostAdvertised = 16

// renew notes that a value is true for another lifetime, or, if that is zero, no
// longer.
func renew[T comparable](list []lasting[T], value T, now time.Time, lifetime time.Duration) []lasting[T] {
	l := lasting[T]{value: value}
	if lifetime < header.NDPInfiniteLifetime {
		l.until = now.Add(lifetime)
	}
	for k := range list {
		if list[k].value == value {
			list[k] = l
			return list
		}
	}
	if lifetime == 0 || len(list) >= mostAdvertised {
		return list
	}
	return append(list, l)
}

// prune returns what is still true, and when that changes next.
func prune[T comparable](list []lasting[T], now, next time.Time) ([]lasting[T], time.Time) {
	list = slices.DeleteFunc(list, func(l lasting[T]) bool { return !l.until.IsZero() && !l.until.After(now) })
	for _, l := range list {
		if !l.until.IsZero() && (next.IsZero() || l.until.Before(next)) {
			next = l.until
		}
	}
	return list, next
}

// expireAdvertised forgets the names and servers whose time is over, now and
// whenever the next is.
func (h *Host) expireAdvertised(i *iface) {
	now, next := h.Now(), time.Time{}
	i.ra.dns, next = prune(i.ra.dns, now, next)
	i.ra.domains, next = prune(i.ra.domains, now, next)
	if i.ra.timer != nil {
		i.ra.timer.Stop()
	}
	if !next.IsZero() {
		i.ra.timer = h.clock.afterFunc(next.Sub(now), func() { h.expireAdvertised(i) })
	}
	h.changed.Store(true)
}
