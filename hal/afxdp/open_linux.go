package afxdp

import (
	"errors"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

func open(c Config) (hal.Device, error) {
	var dev hal.Device
	err := netif.InNetNS(c.NetNS, func() (err error) {
		dev, err = openHere(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return dev, nil
}

// openHere opens a device in the namespace of the calling thread: it finds the
// interface, refuses it where there is a reason, attaches the filter, and then
// opens the queues, to which the filter gives our frames.
func openHere(c Config) (hal.Device, error) {
	i, err := find(c.Name)
	if err != nil {
		return nil, err
	}
	for _, f := range i.findings(c) {
		if f.err != nil {
			i.nl.Close()
			return nil, f.err
		}
	}
	p, err := attach(i, c)
	if err != nil {
		i.nl.Close()
		return nil, err
	}
	dev, err := newDevice(c, i, p)
	if err != nil {
		err = errors.Join(err, p.close())
		i.nl.Close()
		return nil, err
	}
	return dev, nil
}
