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
	mac, err := o.see()
	if err != nil {
		return nil, err
	}
	o.fds = c.FDs
	return newDevice(o, mac), nil
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

// see finds the interface, if it is in our namespace, and the address of our end.
func (o *opening) see() (hal.MAC, error) {
	kernel, err := hardwareAddr(o.FDs[0])
	if err != nil {
		return hal.MAC{}, fmt.Errorf("fd=%d, interface %s: %w", o.FDs[0], o.Name, err)
	}
	if o.format.mtu = o.MTU; o.MTU == 0 {
		o.format.mtu = defaultMTU
	}
	if nl, err := netlink.NewHandle(unix.NETLINK_ROUTE); err == nil {
		o.nl = nl
		if o.look() == nil && string(o.link.HardwareAddr) == string(kernel[:]) {
			if err := o.fits(); err != nil {
				nl.Close()
				return hal.MAC{}, err
			}
			o.format.mtu = o.link.MTU
		} else { // another one of that name, in our namespace
			nl.Close()
			o.nl, o.link = nil, nil
		}
	}
	mac := o.MAC
	if mac == (hal.MAC{}) {
		mac = stableMAC(o.Name)
	}
	if mac == kernel {
		if o.nl != nil {
			o.nl.Close()
		}
		return hal.MAC{}, fmt.Errorf("%w: mac %v is that of the kernel's end of %s: the two ends need different ones", hal.ErrSpec, mac, o.Name)
	}
	return mac, nil
}
