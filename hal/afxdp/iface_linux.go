package afxdp

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// iface is what was found out about the interface, in its namespace.
type iface struct {
	nl     *netlink.Handle // in the namespace; whoever has the iface closes it
	link   *netlink.LinkAttrs
	name   string
	index  int
	mtu    int // longest IP packet
	queues int // that receive and transmit
	mac    hal.MAC
	driver string // of the kernel: "veth", "ixgbe"
	xdp    xdpFeatures
}

// find looks for an interface in the namespace of the calling thread.
func find(name string) (*iface, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	link, err := nl.LinkByName(name)
	if err != nil {
		nl.Close()
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil, fmt.Errorf("there is no interface %s (ip link lists those of this namespace; netns= names another): %w", name, unix.ENODEV)
		}
		return nil, fmt.Errorf("looking for interface %s: %w", name, err)
	}
	a := link.Attrs()
	i := &iface{nl: nl, link: a, name: name, index: a.Index, mtu: a.MTU, driver: driverOf(link)}
	copy(i.mac[:], a.HardwareAddr)
	i.queues = queuesOf(a)
	i.xdp = featuresOf(a.Index)
	return i, nil
}

// driverOf asks for the name of the kernel's driver.
func driverOf(link netlink.Link) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		if info, err := unix.IoctlGetEthtoolDrvinfo(fd, link.Attrs().Name); err == nil {
			if name := unix.ByteSliceToString(info.Driver[:]); name != "" {
				return name
			}
		}
	}
	return link.Type()
}

// maxPacket is the longest packet, its Ethernet header included.
func (i *iface) maxPacket() int { return hal.EthernetHeaderLen + i.mtu }

// onePiece reports whether every packet fits into one buffer.
func (i *iface) onePiece() bool {
	l := newLayout(0, i.mtu, 0)
	return l.rxChain == 1
}

// gone returns an error if the interface does not exist any more.
func (i *iface) gone() error {
	if _, err := i.nl.LinkByIndex(i.index); errors.As(err, new(netlink.LinkNotFoundError)) {
		return fmt.Errorf("interface %s is gone (deleted, or moved to another namespace): open the device again: %w", i.name, unix.ENODEV)
	}
	return nil
}

// addressesFit refuses addresses for which the filter cannot do what is meant: with
// filter=local both the kernel and we would answer for an address that the kernel has
// too, and it would never get its traffic; by ports, nobody would answer for
// one that it does not have.
func (p *program) addressesFit(l hal.Local) error {
	if p.filter.kind != byAddress || len(l.Addrs) == 0 {
		return nil
	}
	has, err := netif.Addresses(p.iface.nl, p.iface.index)
	if err != nil {
		return err
	}
	_, some := p.filter.portsOf(l)
	for _, a := range l.Addrs {
		a = a.Unmap().WithZone("")
		switch at, taken := has[a]; {
		case taken && !some:
			return fmt.Errorf("address %v is the kernel's, on %s: take another one, or share it by ports, as with filter=tcp/80: %w", a, netif.NameOf(p.iface.nl, at), unix.EADDRINUSE)
		case !taken && some:
			return fmt.Errorf("address %v is not the kernel's, and by ports we share what is (ip address add %v dev %s, or leave out the ports to have it alone): %w", a, a, p.iface.name, unix.EADDRNOTAVAIL)
		}
	}
	return nil
}
