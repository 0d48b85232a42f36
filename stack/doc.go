// Package stack is a host: gVisor's netstack with addresses, routes and devices
// of package hal, run in turns. It is for programs that put a host together
// themselves; most use package ringtail, which does it from one configuration.
//
//	dev, err := hal.Open("tap:rt0?host=10.77.0.1/24")
//	…
//	h, err := stack.New(stack.Config{Interfaces: []stack.Interface{{
//		Device: dev, // the host's from here on
//		Addrs:  []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24")},
//	}}})
//	…
//	defer h.Close()
//	lib := api.New(h, api.Config{}) // both faces
//
// # The turn
//
// All work of a host is done in turns: receive a burst, feed gVisor, bring TCP
// to rest, run due timers and posted ops, serve the sockets that became ready,
// send, ring the doorbells. A turn is bounded and never blocks. One goroutine at
// a time is in it; whoever comes meanwhile posts its op and goes away, and the
// holder looks at what was posted again after it has let go.
//
// Waiting is another role than the turn: one goroutine at a time sleeps for the
// devices, without holding the turn. That is a caller who waits for a completion
// (so that a packet is processed by the goroutine that wants it) or else the
// host's one background goroutine.
//
// # Back-pressure
//
// A packet that the device has no room for waits in the transmit backlog. While
// more than one super-packet waits there no new write starts: it stays pending
// until the device goes on. Receiving, acknowledgements and timers go on
// meanwhile. Nothing is dropped for a full device below Limits.Backlog.
//
// # Addresses from the network
//
// An interface can ask for its address (Interface.DHCP) and listen to its routers
// (Interface.SLAAC). Both are done within turns and on the host's clock: in a
// simulation a lease of a day is renewed in no time. What the network says is to be
// had from [Host.Leases], and [Host.Ready] waits for the first:
//
//	if err := h.Ready(ctx); err != nil {
//		return err // "eth0: no DHCP server has answered (3 requests): …"
//	}
//	leases, changed := h.Leases()
//
// # Traps
//
// Op.Done runs within the turn: it may take note and wake, and must not call the
// host. A host never logs to a global logger: pass one in Config. gVisor
// itself has a global one, for the whole process, which the first host turns away
// from standard error to the Logger of the latest host. A host that is
// not closed keeps one goroutine and its devices. An address that came from the
// network can go again: sockets bound to it then reach nobody.
//
// What the host does not do yet: merge received segments (GRO), DHCPv6, forward
// packets between its interfaces.
package stack
