//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// Sizes that nobody needs to choose.
const (
	descriptors = 512 // of a ring of the port
	rxLoans     = 256
	txLoans     = 512
	leastRoom   = 2048
	headroom    = 128 // RTE_PKTMBUF_HEADROOM
	slack       = 8   // of a packet beyond the MTU: two tags (802.1Q)
	maxSuper    = hal.EthernetHeaderLen + 65535
)

// opening is a device on its way.
type opening struct {
	plan
	device *device
	facts  C.struct_rt_facts
	undo   []func() // what was done so far, to be undone from the end
}

func open(p plan) (hal.Device, error) {
	eal.Lock()
	defer eal.Unlock()
	if err := startEAL(p); err != nil {
		return nil, err
	}
	sweep()
	o := &opening{plan: p, device: &device{plan: p}}
	o.device.loans.Store(1)
	o.undo = append(o.undo, eal.log.tell(p.Log))
	eal.log.forget()
	for _, step := range []func() error{o.probe, o.decide, o.start, o.dress, o.halves} {
		if err := o.in(step); err != nil {
			o.device.undo(o.undo)
			return nil, err
		}
	}
	o.device.undos = o.undo
	if o.dials() {
		o.device.redialer = newRedialer(o.device)
	}
	return o.device, nil
}

// in runs f in the network namespace of the kernel's interface.
func (p plan) in(f func() error) error { return netif.InNetNS(p.NetNS, f) }

// probe makes the port.
func (o *opening) probe() error {
	d := o.device
	port, err := o.plugIn()
	if err != nil {
		return o.refused(err, eal.log.said())
	}
	d.port = C.uint16_t(port)
	o.undo = append(o.undo, func() {
		if err := failure(C.rt_port_close(d.port)); err != nil && d.closeErr == nil {
			d.closeErr = fmt.Errorf("dpdk: close %s: %w", d.Name, err)
		}
	})
	if err := failure(C.rt_port_facts(d.port, &o.facts)); err != nil {
		return fmt.Errorf("device %s: %w", o.Name, err)
	}
	return nil
}

// plugIn gives the device to DPDK, and returns the number of its port.
func (o *opening) plugIn() (port C.int, err error) {
	if o.Pair != "" {
		port, unplug, err := plug(o.plan)
		if err == nil {
			o.undo = append(o.undo, unplug)
		}
		return port, err
	}
	if err := errors.Join(o.reach(), clearSocket(o.kind.serves(o.Args))); err != nil {
		return 0, err
	}
	cString(o.devargs(o.kind), func(line *C.char) { err = failure(C.rt_port_probe(line)) })
	if err != nil {
		return 0, err
	}
	cString(o.Name, func(name *C.char) { port = C.rt_port_find(name) })
	return port, failure(port)
}

// decide makes a format of what was asked for and what the port can do.
func (o *opening) decide() error {
	d, f := o.device, &o.facts
	d.queueCount = max(o.Queues, 1)
	if most := int(min(f.max_rxq, f.max_txq)); d.queueCount > most {
		return fmt.Errorf("device %s has %d queues at most (queues=%d): %w", o.Name, most, d.queueCount, unix.EINVAL)
	}
	d.mtu = o.MTU
	if d.mtu == 0 {
		d.mtu = int(f.mtu)
		if f.max_mtu > 0 {
			d.mtu = min(d.mtu, int(f.max_mtu))
		}
	}
	if d.mtu < int(f.min_mtu) || f.max_mtu > 0 && d.mtu > int(f.max_mtu) {
		return fmt.Errorf("device %s: mtu %d: must be from %d to %d: %w", o.Name, d.mtu, f.min_mtu, f.max_mtu, unix.EINVAL)
	}
	d.room = o.Room
	if d.room == 0 {
		d.room = max(leastRoom, d.maxPacket()+slack)
	}
	if least := max(leastRoom, d.maxPacket()+slack); o.kind.blind && d.room < least {
		return fmt.Errorf("device %s needs buffers that hold whole packets: room=%d must be %d or more: %w", o.Name, d.room, least, unix.EINVAL)
	}
	f.tx &^= C.uint(o.lacks())
	if d.room < d.maxPacket() && f.tx&C.RT_CHAINS == 0 {
		return fmt.Errorf("device %s cannot send a packet of several buffers: room=%d must hold one of %d bytes: %w", o.Name, d.room, d.maxPacket(), unix.EINVAL)
	}
	d.offloads(f)
	return nil
}

// lacks are abilities that a port claims, and that do not work.
func (o *opening) lacks() (bits uint32) {
	if o.kind.lone {
		bits |= C.RT_CHAINS | C.RT_SUPER
	}
	return bits
}

// offloads decides what of the port's abilities is used.
func (d *device) offloads(f *C.struct_rt_facts) {
	if f.rx&C.RT_CSUM != 0 {
		d.rxOffloads = hal.Csum
	}
	if f.rx&C.RT_SUPER != 0 || d.kind.merged {
		d.rxOffloads |= hal.Csum | hal.TSO4 | hal.TSO6
	}
	if f.tx&C.RT_CSUM != 0 {
		d.txOffloads = hal.Csum
	}
	d.chain = (d.maxPacket() + slack + d.room - 1) / d.room
	if f.tx&(C.RT_SUPER|C.RT_CSUM|C.RT_CHAINS) == C.RT_SUPER|C.RT_CSUM|C.RT_CHAINS {
		d.txOffloads |= hal.TSO4 | hal.TSO6
		d.gsoMax = maxSuper
	} else {
		f.tx &^= C.RT_SUPER
	}
	if d.gsoMax > 0 || d.rxOffloads&hal.TSO4 != 0 {
		d.chain = maxSuper/d.room + 2
	}
	d.portChain = int(f.max_chain)
}

// start makes the memory and starts the port.
func (o *opening) start() error {
	d := o.device
	mbufs := o.Mbufs
	if mbufs == 0 {
		mbufs = 4096*d.queueCount + 4095
	}
	p, err := newPool(o.plan, mbufs, d.room)
	if err != nil {
		return err
	}
	d.pool = p
	closePort := o.undo[len(o.undo)-1]
	o.undo[len(o.undo)-1] = func() {
		closePort()
		d.outlive()
	}
	s := C.struct_rt_setup{
		queues: C.uint16_t(d.queueCount), mtu: C.uint16_t(d.mtu), rxd: descriptors, txd: descriptors,
		rx: o.facts.rx, tx: o.facts.tx, max_super: maxSuper, pool: p.c,
	}
	err = failure(C.rt_port_start(d.port, &s))
	if d.stopped = err != nil; d.stopped && !o.dials() {
		return fmt.Errorf("device %s did not start with queues=%d and mtu=%d%s: %w", o.Name, d.queueCount, d.mtu, eal.log.said(), err)
	}
	return nil
}

// dials says whether the port has to connect to a server that may come later.
func (p plan) dials() bool { return p.driver == "net_memif" && p.kind.serves(p.Args) == "" }

// dress sets addresses and modes of the port. Some are those of an interface of the
// kernel, so they are set back by Close.
func (o *opening) dress() error {
	d, f := o.device, &o.facts
	was := f.mac
	for i := range d.mac {
		d.mac[i] = byte(f.mac[i])
	}
	d.shared = o.kind.kernel
	switch {
	case o.MAC != (hal.MAC{}) && !o.kind.cable:
		mac := cMAC(o.MAC)
		if err := failure(C.rt_port_set_mac(d.port, &mac[0])); err == nil {
			o.undo = append(o.undo, func() { C.rt_port_set_mac(d.port, &was[0]) })
		} else if !errors.Is(err, unix.ENOTSUP) || o.card {
			return fmt.Errorf("device %s: its address cannot be changed to %v: %w", o.Name, o.MAC, err)
		}
		d.mac, d.shared = o.MAC, false
	case o.MAC != (hal.MAC{}):
		d.mac = o.MAC
	case d.mac == (hal.MAC{}) || o.kind.cable || o.kind.random:
		d.mac = stableMAC(strings.Join(append([]string{o.Name, o.Pair}, o.Args...), " "))
	}
	if o.MTU != 0 && o.MTU != int(f.mtu) {
		// Those who cannot set it have nothing to set.
		if err := failure(C.rt_port_set_mtu(d.port, C.uint16_t(o.MTU))); err == nil {
			o.undo = append(o.undo, func() { C.rt_port_set_mtu(d.port, f.mtu) })
		} else if !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("device %s: its MTU cannot be changed to %d: %w", o.Name, o.MTU, err)
		}
	}
	if o.Promiscuous && f.promiscuous == 0 {
		if err := failure(C.rt_port_set_promiscuous(d.port, 1)); err != nil {
			return fmt.Errorf("device %s: promiscuous: %w", o.Name, err)
		}
		o.undo = append(o.undo, func() { C.rt_port_set_promiscuous(d.port, 0) })
	}
	// IPv6 needs groups. A port that cannot choose gives all of them anyway.
	if C.rt_port_set_allmulticast(d.port, 1) == 0 {
		o.undo = append(o.undo, func() { C.rt_port_set_allmulticast(d.port, 0) })
	}
	return nil
}

func cMAC(m hal.MAC) (c [6]C.uint8_t) {
	for i, b := range m {
		c[i] = C.uint8_t(b)
	}
	return c
}

// halves makes the queues.
func (o *opening) halves() error {
	d := o.device
	o.undo = append(o.undo, d.retire)
	for i := range d.queueCount {
		q := new(queue)
		d.queues = append(d.queues, q)
		q.rx.stopped, q.tx.stopped = d.stopped, d.stopped
		if err := errors.Join(q.rx.open(d, i), q.tx.open(d, i, o.facts.tx&C.RT_IP_CSUM != 0)); err != nil {
			return fmt.Errorf("device %s: %w", o.Name, err)
		}
	}
	return nil
}

// clearSocket removes the file of a socket whose server is dead: it would keep the
// next one from starting. One that lives is left alone.
func clearSocket(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil // there is none, or DPDK will complain
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return nil // a server of memif may have several cables
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	return os.Remove(path)
}

// reach looks whether the server's socket of a virtio_user port is there; DPDK's
// error does not say.
func (o *opening) reach() error {
	if o.driver != "net_virtio_user" {
		return nil
	}
	path := valueOf(o.Args, o.kind.socket)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("nobody listens on %s (start the process with net_vhost first): %w", path, err)
	}
	return nil
}
