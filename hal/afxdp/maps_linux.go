package afxdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Sizes of the kernel's tables.
const (
	maxHosts = 4096
	maxPorts = 1024
)

// newMaps makes the tables for an interface with so many queues, all empty.
func newMaps(queues int) (m maps, err error) {
	make := func(name string, t ebpf.MapType, key, value, n int) *ebpf.Map {
		if err != nil {
			return nil
		}
		var em *ebpf.Map
		em, err = ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: t, KeySize: uint32(key), ValueSize: uint32(value), MaxEntries: uint32(n)})
		return em
	}
	m.hosts = make("ringtail_hosts", ebpf.Hash, len(key16{}), 4, maxHosts)
	m.ports = make("ringtail_ports", ebpf.Hash, len(portKey{}), 4, maxPorts)
	m.sockets = make("ringtail_queues", ebpf.XSKMap, 4, 4, queues)
	if err != nil {
		err = errors.Join(err, m.close())
	}
	return m, err
}

// fill changes what the kernel's tables say from was to is. Every entry changes at
// once, and what is added is there before anything is removed: between the two
// there is too much, and never too little.
func (m maps) fill(was, is *tables) error {
	for p := range is.ports {
		if !was.ports[p] {
			if err := m.ports.Put(p, uint32(1)); err != nil {
				return full("ports", len(is.ports), maxPorts, err)
			}
		}
	}
	for h, v := range is.hosts {
		if was.hosts[h] != v {
			if err := m.hosts.Put(h, uint32(v)); err != nil {
				return full("addresses and groups", len(is.hosts), maxHosts, err)
			}
		}
	}
	for h := range was.hosts {
		if _, stays := is.hosts[h]; !stays {
			if err := m.hosts.Delete(h); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("the filter's table of addresses: %w", err)
			}
		}
	}
	for p := range was.ports {
		if !is.ports[p] {
			if err := m.ports.Delete(p); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("the filter's table of ports: %w", err)
			}
		}
	}
	return nil
}

// full explains why something could not be added to a table.
func full(what string, n, most int, err error) error {
	if n > most {
		return fmt.Errorf("%d %s are more than the filter has room for, %d (filter=all or filter=mac: has no such limit): %w", n, what, most, err)
	}
	return fmt.Errorf("the filter's table of %s: %w", what, err)
}

func (m maps) close() error {
	var errs error
	for _, em := range []*ebpf.Map{m.hosts, m.ports, m.sockets} {
		if em != nil {
			errs = errors.Join(errs, em.Close())
		}
	}
	return errs
}
