package packet

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// A receiver is a receiving half of either kind.
type receiver interface {
	hal.RxQueue
	count() *counters
	look() bool
	Tell()
	retire() (fd int, err error)
}

// A queue is two sockets, one for each direction.
type queue struct {
	rx   receiver
	tx   *txQueue
	rxFD int
}

// device is open packet sockets on an interface.
type device struct {
	*wire
	index  int // of the interface
	mac    hal.MAC
	kernel hal.MAC // that of the interface
	ring   bool
	queues []queue
	watch  *watch
	told   bool // of watch's goroutine: it has said that the interface is gone

	mu      sync.Mutex      // guards what follows, and keeps the sockets open
	nl      *netlink.Handle // in the namespace of the interface
	closed  bool
	members map[hal.MAC]bool // addresses that the interface receives for us
	full    uint64           // packets that the kernel has dropped for want of room
}

// Info implements [hal.Device].
func (d *device) Info() hal.Info {
	i := hal.Info{
		Driver: "packet", Name: d.ifname, Mode: "vnet", MAC: d.mac, MTU: d.mtu,
		GSOMax: maxSuper, Queues: len(d.queues), Link: d.linkState(),
		TxOffloads: d.offload, RxOffloads: d.offload,
		Loans: superLoans, Headroom: headroom, MaxChain: 1,
		SharedMAC: d.mac == d.kernel,
	}
	if d.ring {
		i.Mode = "vnet, ring"
	}
	return i
}

func (d *device) linkState() hal.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return hal.LinkDown
	}
	link, err := d.nl.LinkByIndex(d.index)
	if err != nil {
		return hal.LinkDown
	}
	return stateOf(link.Attrs())
}

// stateOf tells the state of an interface: up, and with a carrier.
func stateOf(a *netlink.LinkAttrs) hal.Link {
	if a.RawFlags&unix.IFF_UP == 0 || a.RawFlags&unix.IFF_RUNNING == 0 {
		return hal.LinkDown
	}
	return hal.LinkUp
}

// Stats implements [hal.Counting]. The drop "rx-queue-full" is the kernel's count:
// of packets for which the socket, or the ring, had no room; the ring counts
// there what would be "rx-bad-header" otherwise.
func (d *device) Stats() hal.Stats {
	var rx, tx []*counters
	for _, q := range d.queues {
		rx, tx = append(rx, q.rx.count()), append(tx, &q.tx.counters)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.countFull()
	return sum(rx, tx, d.full)
}

// countFull asks the kernel what it has dropped since the last time. The caller
// holds d.mu.
func (d *device) countFull() {
	if d.closed {
		return
	}
	for _, q := range d.queues {
		// The statistics of a ring are longer, and begin alike.
		if s, err := unix.GetsockoptTpacketStats(q.rxFD, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			d.full += uint64(s.Drops)
		}
	}
}

// Queue implements [hal.Device].
func (d *device) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, nil, hal.ErrClosed
	}
	if i < 0 || i >= len(d.queues) {
		return nil, nil, fmt.Errorf("packet: interface %s was opened with %d queues: there is no queue %d", d.ifname, len(d.queues), i)
	}
	return d.queues[i].rx, d.queues[i].tx, nil
}

// tell wakes whoever sleeps on the device.
func (d *device) tell() {
	for _, q := range d.queues {
		q.rx.Tell()
		q.tx.Tell()
	}
}

// linkChanged is called when something has happened to an interface: to ours,
// perhaps. If that is gone all must know, also if one half has found it out by
// itself.
func (d *device) linkChanged() {
	if d.queues[0].rx.look() && !d.told {
		d.told = true
		d.tell()
	}
}

// Close implements [hal.Device].
func (d *device) Close() error {
	err, first := d.shut()
	if first {
		d.tell()
	}
	d.watch.close() // by everybody: when Close returns, nothing of the device runs
	return err
}

// shut frees everything in the kernel, the first time.
func (d *device) shut() (err error, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, false
	}
	d.countFull()
	d.closed = true
	d.nl.Close()
	for _, q := range d.queues {
		rx, e := q.rx.retire()
		err = errors.Join(err, e, unix.Close(rx), unix.Close(q.tx.Retire()))
	}
	if err != nil {
		err = fmt.Errorf("packet: close interface %s: %w", d.ifname, err)
	}
	return err, true
}
