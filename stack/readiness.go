package stack

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// readiness is what a host still waits for before its addresses can be used. Its
// lock is a leaf: gVisor tells of addresses under its own.
type readiness struct {
	mu     sync.Mutex
	wanted map[want]bool
	sealed bool // nothing more will be wanted
	err    error
	done   chan struct{} // closed when it is known how it ended
}

// A want is something that an interface has to get.
type want struct {
	nic  tcpip.NICID
	what wanted
	addr netip.Addr // of wantAddress
}

type wanted uint8

const (
	wantAddress    wanted = iota // one that was configured, once it is checked
	wantLinkLocal                // any
	wantAdvertised               // one under a prefix of a router
	wantLease                    // of DHCP
)

func (r *readiness) init() {
	r.wanted = map[want]bool{}
	r.done = make(chan struct{})
}

func (r *readiness) expect(w want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted[w] = true
}

// met notes that something is there. What nobody waits for is no news.
func (r *readiness) met(w want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wanted, w)
	r.check()
}

// missed notes that something will never be there.
func (r *readiness) missed(w want, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted[w] && r.err == nil {
		r.err = err
		r.check()
	}
}

func (r *readiness) seal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealed = true
	r.check()
}

func (r *readiness) check() {
	if r.err == nil && (!r.sealed || len(r.wanted) > 0) {
		return
	}
	select {
	case <-r.done:
	default:
		close(r.done)
	}
}

func (r *readiness) result() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// missing returns what is still wanted, in an order that is always the same.
func (r *readiness) missing() []want {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Keys(r.wanted), func(a, b want) int {
		return cmp.Or(cmp.Compare(a.nic, b.nic), cmp.Compare(a.what, b.what), a.addr.Compare(b.addr))
	})
}

// Ready waits until the host can be used: its addresses are known to be its own
// alone (duplicate address detection, RFC 4862 section 5.4), and the interfaces
// that get theirs from the network, by [Interface].DHCP or [Interface].SLAAC, have
// the first. It fails if an address belongs to somebody else. If ctx ends before,
// the error wraps that of ctx and says what is missing and why.
func (h *Host) Ready(ctx context.Context) error {
	select {
	case <-h.readiness.done: // also if ctx has ended: who only asks gets an answer
		return h.readiness.result()
	default:
	}
	select {
	case <-h.readiness.done:
		return h.readiness.result()
	case <-h.ended:
		return net.ErrClosed
	case <-ctx.Done():
		return h.unready(ctx.Err())
	}
}

// unready says what the host waits for.
func (h *Host) unready(err error) error {
	h.turn.Lock()
	defer h.help()
	defer h.turn.Unlock()
	var missing []string
	for _, w := range h.readiness.missing() {
		if i := h.interfaceOf(w.nic); i != nil {
			missing = append(missing, i.name+": "+i.missing(w))
		}
	}
	if missing == nil {
		return err
	}
	return fmt.Errorf("%s: %w", strings.Join(missing, "; "), err)
}

func (i *iface) missing(w want) string {
	if i.failed != nil {
		return i.failed.Error()
	}
	switch w.what {
	case wantLinkLocal:
		return "the link-local address is being checked for other users"
	case wantAdvertised:
		for _, a := range i.auto {
			if !a.Addr().IsLinkLocalUnicast() {
				return fmt.Sprintf("address %v is being checked for other users", a.Addr())
			}
		}
		return "no router has advertised a prefix"
	case wantLease:
		return i.dhcp.machine.Trouble()
	}
	return fmt.Sprintf("address %v is being checked for other users", w.addr)
}
