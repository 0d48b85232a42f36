package tap

import (
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// superLoans is how many buffers for super-frames a half lends: one burst is all
// that anybody holds, and each takes 72 KiB once it is used for the first time.
const superLoans = 64

// maxSuper is the longest super-frame: an IPv4 packet of maximal length.
const maxSuper = hal.EthernetHeaderLen + 65535

// readSize is more than the kernel can give: 64 KiB with an IPv6 header, a tag,
// and a byte by which a packet that was cut shows.
const readSize = maxSuper + 40 + 4 + 1

// A queue is one descriptor.
type queue struct {
	rx rxQueue
	tx txQueue
}

// device is an open TAP.
type device struct {
	format
	mac    hal.MAC
	rx     hal.Offload
	queues []*queue
	index  int // of the interface; 0: not known

	mu     sync.Mutex      // guards what follows
	nl     *netlink.Handle // in the namespace of the interface; nil: not known or closed
	undo   []func()
	closed bool
	base   uint64 // packets the kernel had dropped for want of room before Open
	lost   uint64 // since
}

// newDevice makes a device of an open that has succeeded.
func newDevice(o *opening) *device {
	d := &device{format: o.format, mac: o.MAC, rx: o.rx, nl: o.nl, undo: o.undo}
	if o.link != nil {
		d.index = o.link.Index
		if s := o.link.Statistics; s != nil {
			d.base = s.TxDropped
		}
	}
	rxSize, rxLoans := d.maxPacket()+4+1, smallLoans
	if d.header > 0 {
		d.gsoMax = maxSuper
		rxSize, rxLoans = d.header+readSize, superLoans
	}
	room := d.header + headroom
	for _, fd := range o.fds {
		q := &queue{
			rx: rxQueue{half: half{format: &d.format}, pool: netif.Pool{Size: rxSize, Limit: rxLoans}},
			tx: txQueue{
				half:  half{format: &d.format},
				small: netif.Pool{Size: room + d.maxPacket(), Limit: smallLoans},
				big:   netif.Pool{Size: room + maxSuper, Limit: superLoans},
			},
		}
		q.rx.Open(fd)
		q.tx.Open(fd)
		d.queues = append(d.queues, q)
	}
	return d
}

// Info implements [hal.Device].
func (d *device) Info() hal.Info {
	i := hal.Info{
		Driver: "tap", Name: d.ifname, Mode: "plain", MAC: d.mac, MTU: d.mtu,
		Queues: len(d.queues), Link: d.linkState(),
		Loans: smallLoans, Headroom: headroom, MaxChain: 1,
	}
	if d.header > 0 {
		i.Mode, i.Loans = "vnet", superLoans
		i.GSOMax, i.TxOffloads, i.RxOffloads = d.gsoMax, d.offload, d.rx
	}
	return i
}

func (d *device) linkState() hal.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return hal.LinkDown
	}
	if d.nl == nil {
		return hal.LinkUnknown
	}
	link, err := d.nl.LinkByIndex(d.index)
	if err != nil || link.Attrs().RawFlags&unix.IFF_UP == 0 {
		return hal.LinkDown
	}
	return hal.LinkUp // its carrier is that somebody has it open: us
}

// Stats implements [hal.Counting]. The drop "rx-queue-full" is the kernel's: its
// queue towards us (txqueuelen of ip-link) was full.
func (d *device) Stats() hal.Stats {
	var rx, tx []*counters
	for _, q := range d.queues {
		rx, tx = append(rx, &q.rx.counters), append(tx, &q.tx.counters)
	}
	s := sum(rx, tx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.countLost()
	s.Drops["rx-queue-full"] = d.lost
	return s
}

// countLost asks the kernel what it has dropped. The caller holds d.mu.
func (d *device) countLost() {
	if d.nl == nil {
		return
	}
	if link, err := d.nl.LinkByIndex(d.index); err == nil && link.Attrs().Statistics != nil {
		d.lost = link.Attrs().Statistics.TxDropped - d.base
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
		return nil, nil, fmt.Errorf("tap: interface %s has no queue %d: it has %d", d.ifname, i, len(d.queues))
	}
	return &d.queues[i].rx, &d.queues[i].tx, nil
}

// Close implements [hal.Device].
func (d *device) Close() error {
	if err := d.shut(); err != nil {
		return err
	}
	for _, q := range d.queues {
		q.rx.Tell()
		q.tx.Tell()
	}
	return nil
}

// shut frees everything in the kernel.
func (d *device) shut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.countLost()
	for _, undo := range d.undo {
		undo()
	}
	var err error
	for _, q := range d.queues {
		fd := q.rx.Retire()
		q.tx.Retire()
		if e := unix.Close(fd); e != nil && err == nil {
			err = fmt.Errorf("tap: close interface %s: %w", d.ifname, e)
		}
	}
	if d.nl != nil {
		d.nl.Close()
		d.nl = nil
	}
	return err
}
