//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// A queue is one of the port.
type queue struct {
	rx rxQueue
	tx txQueue
}

// device is an open port.
type device struct {
	plan
	port       C.uint16_t
	queueCount int
	mtu, room  int
	gsoMax     int
	chain      int // most frames of a packet
	portChain  int // that the port can send; 0: any number
	mac        hal.MAC
	shared     bool // the address is the kernel's too
	rxOffloads hal.Offload
	txOffloads hal.Offload
	queues     []*queue
	stopped    bool // when it was opened: its server was not there
	pool       *pool
	redialer   *redialer // nil: the port waits for the other side, or has none

	// loans are the frames on loan when the port was closed, and one more until
	// that is done: who gives back the last frees the memory.
	loans atomic.Int64

	mu       sync.Mutex // guards what follows
	closed   bool
	undos    []func()
	closeErr error
	last     hal.Stats // of a closed port
}

// maxPacket is the longest packet that is not a super-frame.
func (d *device) maxPacket() int { return d.mtu + hal.EthernetHeaderLen }

// Info implements [hal.Device].
func (d *device) Info() hal.Info {
	return hal.Info{
		Driver: "dpdk", Name: d.Name, Mode: d.driver, MAC: d.mac, MTU: d.mtu, GSOMax: d.gsoMax,
		Queues: d.queueCount, Link: d.link(), TxOffloads: d.txOffloads, RxOffloads: d.rxOffloads,
		Loans: d.rxLoans(), Headroom: headroom, MaxChain: d.chain, SharedMAC: d.shared,
	}
}

// rxLoans is how many frames a receive half lends.
func (d *device) rxLoans() int { return max(rxLoans, 4*d.chain) }

func (d *device) link() (l hal.Link) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l = hal.LinkDown
	if d.closed {
		return l
	}
	err := d.in(func() error {
		if C.rt_port_up(d.port) == 1 {
			l = hal.LinkUp
		}
		return nil
	})
	if err != nil {
		return hal.LinkUnknown
	}
	return l
}

// Stats implements [hal.Counting]. What the port says it has lost is added to what
// the halves have.
func (d *device) Stats() hal.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := hal.Stats{Drops: make(map[string]uint64, reasons)}
	for _, q := range d.queues {
		s.RxPackets += q.rx.packets.Load()
		s.RxBytes += q.rx.bytes.Load()
		s.TxPackets += q.tx.packets.Load()
		s.TxBytes += q.tx.bytes.Load()
		q.rx.addDrops(s.Drops)
		q.tx.addDrops(s.Drops)
	}
	if d.closed {
		for name, n := range d.last.Drops {
			s.Drops[name] += n
		}
		return s
	}
	for name, n := range d.portDrops() {
		s.Drops[name] += n
	}
	return s
}

// portDrops asks the port what it has lost. The caller holds d.mu.
func (d *device) portDrops() map[string]uint64 {
	var c C.struct_rt_counters
	_ = d.in(func() error { return failure(C.rt_port_counters(d.port, &c)) })
	return map[string]uint64{
		reasonNames[rxMissed]:   uint64(c.missed),
		reasonNames[rxErrors]:   uint64(c.rx_errors),
		reasonNames[rxNoBuffer]: uint64(c.no_mbuf),
		reasonNames[txErrors]:   uint64(c.tx_errors),
	}
}

// counters is what [Counters] looks for.
func (d *device) counters() (m map[string]uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		m = map[string]uint64{}
	} else {
		_ = d.in(func() error { m = xstats(d.port); return nil })
	}
	for _, q := range d.queues {
		m["tx-full"] += q.tx.full.Load()
	}
	return m
}

// Queue implements [hal.Device].
func (d *device) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, nil, hal.ErrClosed
	}
	if i < 0 || i >= len(d.queues) {
		return nil, nil, fmt.Errorf("dpdk: device %s has no queue %d: it has %d", d.Name, i, len(d.queues))
	}
	return &d.queues[i].rx, &d.queues[i].tx, nil
}

// Close implements [hal.Device].
func (d *device) Close() error {
	if d.redialer != nil {
		d.redialer.end()
	}
	return d.shut()
}

func (d *device) shut() error {
	eal.Lock()
	defer eal.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.last = hal.Stats{Drops: d.portDrops()}
	d.closed = true
	if err := d.in(func() error { d.undo(d.undos); return nil }); err != nil {
		return err // the namespace is gone
	}
	sweep()
	return d.closeErr
}

// undo undoes the steps of an opening, the last one first. The caller holds eal's
// lock.
func (d *device) undo(steps []func()) {
	for _, f := range slices.Backward(steps) {
		f()
	}
}

// retire ends the halves: nobody uses them, or will. The port still runs.
func (d *device) retire() {
	for _, q := range d.queues {
		d.loans.Add(int64(q.rx.retire() + q.tx.retire()))
	}
}

// outlive frees the memory, or leaves that to the last loan. The port is closed, and
// the caller holds eal's lock.
func (d *device) outlive() {
	d.returned(1, true)
}

// returned counts loans that came back after Close.
func (d *device) returned(n int, locked bool) {
	if n == 0 || d.loans.Add(-int64(n)) != 0 {
		return
	}
	if !locked {
		eal.Lock()
		defer eal.Unlock()
	}
	for _, q := range d.queues {
		q.rx.free()
		q.tx.free()
	}
	d.pool.retire()
}
