package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// configure gives the kernel's end its addresses and brings it up. In an
// interface that existed before, everything it changes is taken back later.
func (o *opening) configure() error {
	o.format.mtu = o.link.MTU
	for _, p := range o.Hosts {
		if err := o.addHost(p); err != nil {
			return err
		}
	}
	if o.created || len(o.Hosts) > 0 {
		return o.bringUp()
	}
	return nil
}

func (o *opening) addHost(p netip.Prefix) error {
	addr := &netlink.Addr{IPNet: &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if has, err := o.hasHost(addr); has || err != nil {
		return err // to ask for what is there already takes no right
	}
	if p.Addr().Is6() {
		// The only other station on this wire is us: nobody to ask whether
		// the address is taken, so that it answers at once.
		addr.Flags = unix.IFA_F_NODAD
	}
	err := o.nl.AddrAdd(o.link, addr)
	switch {
	case err == nil:
		if !o.created {
			nl, link := o.nl, o.link
			o.undo = append(o.undo, func() { _ = nl.AddrDel(link, addr) })
		}
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("address %v for interface %s needs the capability CAP_NET_ADMIN, or let root do: ip address add %v dev %s: %w", p, o.Name, p, o.Name, err)
	case p.Addr().Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP)):
		return fmt.Errorf("address %v for interface %s: IPv6 is off (sysctl net.ipv6.conf.default.disable_ipv6=0): %w", p, o.Name, err)
	}
	return fmt.Errorf("address %v for interface %s: %w", p, o.Name, err)
}

func (o *opening) hasHost(addr *netlink.Addr) (bool, error) {
	list, err := o.nl.AddrList(o.link, netlink.FAMILY_ALL)
	if err != nil {
		return false, fmt.Errorf("addresses of interface %s: %w", o.Name, err)
	}
	return slices.ContainsFunc(list, func(a netlink.Addr) bool { return a.Equal(*addr) }), nil
}

func (o *opening) bringUp() error {
	if o.link.RawFlags&unix.IFF_UP != 0 {
		return nil
	}
	if err := o.nl.LinkSetUp(o.link); err != nil {
		return fmt.Errorf("bringing up interface %s (ip link set %s up): %w", o.Name, o.Name, err)
	}
	if !o.created {
		nl, link := o.nl, o.link
		o.undo = append(o.undo, func() { _ = nl.LinkSetDown(link) })
	}
	return nil
}
