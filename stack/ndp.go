package stack

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// dad follows the duplicate address detection of a host's IPv6 addresses. Its
// lock is a leaf; gVisor calls the methods of ipv6.NDPDispatcher under its own.
//
// Router advertisements are not listened to, so most of the other methods of
// that interface are never called with anything to do.
type dad struct {
	mu      sync.Mutex
	pending map[neighbor]bool
	sealed  bool // no more addresses are coming
	err     error
	done    chan struct{} // closed when sealed and nothing is pending
	auto    func(tcpip.NICID, netip.Addr)
}

var _ ipv6.NDPDispatcher = (*dad)(nil)

// init prepares d. auto is called with every link-local address that gVisor makes,
// before it is used.
func (d *dad) init(auto func(tcpip.NICID, netip.Addr)) {
	d.auto = auto
	d.pending = map[neighbor]bool{}
	d.done = make(chan struct{})
}

func (d *dad) expect(id tcpip.NICID, a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending[neighbor{id, address(a)}] = true
}

func (d *dad) seal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sealed = true
	d.check()
}

func (d *dad) check() {
	if d.sealed && len(d.pending) == 0 {
		select {
		case <-d.done:
		default:
			close(d.done)
		}
	}
}

func (d *dad) result() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// OnDuplicateAddressDetectionResult implements ipv6.NDPDispatcher.
func (d *dad) OnDuplicateAddressDetectionResult(id tcpip.NICID, a tcpip.Address, r stack.DADResult) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.pending[neighbor{id, a}] {
		return // a link-local address of the stack's own making, which it replaces
	}
	if dup, ok := r.(*stack.DADDupAddrDetected); ok {
		d.err = fmt.Errorf("address %v is in use by %v already; choose another: %w", addr(a), dup.HolderLinkAddress, syscall.EADDRINUSE)
	}
	delete(d.pending, neighbor{id, a})
	d.check()
}

// OnOffLinkRouteUpdated implements ipv6.NDPDispatcher.
func (*dad) OnOffLinkRouteUpdated(tcpip.NICID, tcpip.Subnet, tcpip.Address, header.NDPRoutePreference) {
}

// OnOffLinkRouteInvalidated implements ipv6.NDPDispatcher.
func (*dad) OnOffLinkRouteInvalidated(tcpip.NICID, tcpip.Subnet, tcpip.Address) {}

// OnOnLinkPrefixDiscovered implements ipv6.NDPDispatcher.
func (*dad) OnOnLinkPrefixDiscovered(tcpip.NICID, tcpip.Subnet) {}

// OnOnLinkPrefixInvalidated implements ipv6.NDPDispatcher.
func (*dad) OnOnLinkPrefixInvalidated(tcpip.NICID, tcpip.Subnet) {}

// OnAutoGenAddress implements ipv6.NDPDispatcher.
func (d *dad) OnAutoGenAddress(id tcpip.NICID, a tcpip.AddressWithPrefix) stack.AddressDispatcher {
	d.auto(id, addr(a.Address))
	return nil
}

// OnAutoGenAddressDeprecated implements ipv6.NDPDispatcher.
func (*dad) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnAutoGenAddressInvalidated implements ipv6.NDPDispatcher.
func (*dad) OnAutoGenAddressInvalidated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnRecursiveDNSServerOption implements ipv6.NDPDispatcher.
func (*dad) OnRecursiveDNSServerOption(tcpip.NICID, []tcpip.Address, time.Duration) {}

// OnDNSSearchListOption implements ipv6.NDPDispatcher.
func (*dad) OnDNSSearchListOption(tcpip.NICID, []string, time.Duration) {}

// OnDHCPv6Configuration implements ipv6.NDPDispatcher.
func (*dad) OnDHCPv6Configuration(tcpip.NICID, ipv6.DHCPv6ConfigurationFromNDPRA) {}
