package tap

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// adopt makes a device of inherited descriptors. Their flags are facts; the rest
// of the interface may be in a namespace that we cannot see.
func adopt(c Config) (hal.Device, error) {
	o := &opening{Config: c}
	for i, fd := range c.FDs {
		if err := o.inspect(fd, i == 0); err != nil {
			return nil, err
		}
	}
	if err := o.readFraming(); err != nil {
		return nil, err
	}
	for _, fd := range c.FDs {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("fd=%d: %w", fd, err)
		}
	}
	if err := o.see(); err != nil {
		return nil, err
	}
	o.fds = c.FDs
	return newDevice(o), nil
}

// inspect checks that a descriptor is a TAP, and the same one as the first.
func (o *opening) inspect(fd int, first bool) error {
	name, flags, err := describe(fd)
	switch {
	case err == unix.EBADFD:
		return fmt.Errorf("fd=%d is %s before TUNSETIFF: attach it to an interface first: %w", fd, clone, err)
	case err != nil:
		return fmt.Errorf("fd=%d is not an open TAP descriptor (was it inherited?): %w", fd, err)
	case flags&unix.IFF_TAP == 0:
		return fmt.Errorf("fd=%d, interface %s, is a TUN: it carries IP packets and no Ethernet frames: %w", fd, name, unix.EINVAL)
	case flags&unix.IFF_NO_PI == 0:
		return fmt.Errorf("fd=%d, interface %s, was opened without IFF_NO_PI: %w", fd, name, unix.EINVAL)
	case o.Name != "" && o.Name != name:
		return fmt.Errorf("fd=%d is interface %s, not %s: %w", fd, name, o.Name, unix.EINVAL)
	}
	vnet := flags&unix.IFF_VNET_HDR != 0
	if first {
		o.Name = name
		if o.Plain && vnet {
			return fmt.Errorf("fd=%d, interface %s, was opened with IFF_VNET_HDR: leave out vnet=off: %w", fd, name, unix.EINVAL)
		}
		o.Plain = !vnet
	}
	return nil
}

// readFraming asks for super-frames where they can be had: it takes no right.
func (o *opening) readFraming() (err error) {
	o.format = format{ifname: o.Name}
	if o.Plain {
		return nil
	}
	if o.format.header, err = headerLen(o.FDs[0]); err == nil {
		o.rx, err = setOffloads(o.FDs[0], true)
		o.format.offload = o.rx
	}
	if err != nil {
		return fmt.Errorf("fd=%d, interface %s: offloads: %w", o.FDs[0], o.Name, err)
	}
	return nil
}

// see finds the interface, if it is in our namespace, and chooses the address of
// our end.
func (o *opening) see() error {
	kernel, err := hardwareAddr(o.FDs[0])
	if err != nil {
		return fmt.Errorf("fd=%d, interface %s: %w", o.FDs[0], o.Name, err)
	}
	if o.format.mtu = o.MTU; o.MTU == 0 {
		o.format.mtu = defaultMTU
	}
	if err := o.address(kernel[:]); err != nil {
		return err
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil // then it cannot be seen
	}
	o.nl = nl
	if o.look() != nil || string(o.link.HardwareAddr) != string(kernel[:]) {
		nl.Close() // none, or another one of that name
		o.nl, o.link = nil, nil
		return nil
	}
	if err := o.fits(); err != nil {
		nl.Close()
		return err
	}
	o.format.mtu = o.link.MTU
	return nil
}
