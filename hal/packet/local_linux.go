package packet

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// SetLocal implements [hal.Steerer]: it replaces the filter of every socket, one
// after the other, and has the interface receive for our groups. An address of
// the kernel's is refused, and so are ports, by which the kernel and we would share one: the kernel sees all
// packets that we see, and would reset the connections that it does not know.
func (d *device) SetLocal(l hal.Local) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return hal.ErrClosed
	case len(l.Ports) > 0:
		return fmt.Errorf("packet: interface %s: sharing an address with the kernel by ports, which would reset our connections (use another address, or the driver afxdp): %w", d.ifname, hal.ErrNotSupported)
	case len(l.MACs) >= mostMACs:
		return fmt.Errorf("packet: interface %s: %d MAC addresses: at most %d: %w", d.ifname, len(l.MACs), mostMACs-1, hal.ErrNotSupported)
	}
	if err := d.checkAddrs(l.Addrs); err != nil {
		return err
	}
	return d.receiveFor(want(d.mac, l))
}

// checkAddrs refuses addresses of the kernel's. That it cannot be asked is no
// reason to refuse one.
func (d *device) checkAddrs(addrs []netip.Addr) error {
	has, err := netif.Addresses(d.nl, d.index)
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if at, taken := has[a]; taken {
			return fmt.Errorf("packet: %v is the kernel's own address, on %s: both would answer, and the kernel would reset our connections: take another address of that network: %w", a, netif.NameOf(d.nl, at), unix.EADDRINUSE)
		}
	}
	return nil
}

// receiveFor has the interface and the sockets receive what is wanted. What is new
// comes before what is over, so that nothing is missed in between. The caller
// holds d.mu, or is the only one who knows d.
func (d *device) receiveFor(w wanted) error {
	members := map[hal.MAC]bool{}
	var added []hal.MAC
	fail := func(what string, err error) error {
		for _, m := range added {
			_ = d.member(unix.PACKET_DROP_MEMBERSHIP, m)
		}
		return fmt.Errorf("packet: interface %s: %s: %w", d.ifname, what, err)
	}
	for _, m := range slices.Concat(w.macs, w.groups()) {
		if m == d.kernel || members[m] {
			continue
		}
		members[m] = true
		if d.members[m] {
			continue
		}
		if err := d.member(unix.PACKET_ADD_MEMBERSHIP, m); err != nil {
			return fail(fmt.Sprintf("receiving for %v", m), err)
		}
		added = append(added, m)
	}
	if err := d.filter(w); err != nil {
		return fail("filter", err)
	}
	for m := range d.members {
		if !members[m] {
			_ = d.member(unix.PACKET_DROP_MEMBERSHIP, m) // or it is received for nothing
		}
	}
	d.members = members
	return nil
}

// filter replaces the filters of all queues. Where the kernel has no room for one
// that looks at our addresses (net.core.optmem_max was 20 KiB once), a short one that
// looks only at our MAC address will do.
func (d *device) filter(w wanted) error {
	program := w.compile()
	for _, q := range d.queues {
		err := attachFilter(q.rxFD, program)
		if err == unix.ENOMEM && w.steer {
			w.steer = false
			return d.filter(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *device) member(option int, m hal.MAC) error {
	kind := uint16(unix.PACKET_MR_UNICAST)
	if m.IsMulticast() {
		kind = unix.PACKET_MR_MULTICAST
	}
	return membership(d.queues[0].rxFD, d.index, option, kind, m)
}
