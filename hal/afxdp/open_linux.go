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
	name   string
	index  int
	mtu    int // longest IP packet
	queues int // receive queues that it has
	mac    hal.MAC
	driver string // of the kernel: "veth", "ixgbe"
}

func open(c Config) (hal.Device, error) {
	var dev hal.Device
	err := netif.InNetNS(c.NetNS, func() (err error) {
		dev, err = openHere(c)
		return err
	})
	return dev, err
}

// openHere opens a device in the namespace of the calling thread.
func openHere(c Config) (hal.Device, error) {
	i, err := find(c.Name)
	if err != nil {
		return nil, err
	}
	p, err := attach(i, c, true)
	if err != nil {
		i.nl.Close()
		return nil, err
	}
	dev, err := newDevice(c, i, p)
	if err != nil {
		i.nl.Close()
		return nil, errors.Join(err, p.close())
	}
	return dev, nil
}

// find looks for an interface.
func find(name string) (*iface, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	link, err := nl.LinkByName(name)
	if err != nil {
		nl.Close()
		return nil, fmt.Errorf("looking for interface %s: %w", name, err)
	}
	a := link.Attrs()
	i := &iface{nl: nl, name: name, index: a.Index, mtu: a.MTU, queues: max(a.NumRxQueues, 1), driver: link.Type()}
	copy(i.mac[:], a.HardwareAddr)
	return i, nil
}

func probe() error { return nil }
