package afxdp

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// common is what all halves of a device need. It does not change, but for the
// link. Through it whoever has a half keeps the program reachable.
type common struct {
	layout
	name      string
	mtu       int
	mem       *umem
	program   *program
	link      linkState
	wait      waiting
	offload   hal.Offload // what Tx takes
	trusts    bool        // blank checksums are accepted
	busyPolls bool
	zero      bool // the card reads and writes our memory by itself
}

// maxPacket is the length of the longest packet to send.
func (s *common) maxPacket() int { return s.mtu + hal.EthernetHeaderLen }

func (s *common) errGone() error {
	return fmt.Errorf("afxdp: interface %s is gone (deleted, or moved to another namespace): open the device again: %w", s.name, unix.ENODEV)
}

func (s *common) errBroken() error {
	return fmt.Errorf("afxdp: interface %s: the indexes of a ring make no sense: open the device again: %w", s.name, unix.EIO)
}

// forget ends loans after Close. What comes back before free has counted the loans
// is not among them.
func (s *common) forget(p *pool, fs []hal.Frame) {
	for i := range fs {
		if ref := fs[i].Ref(); p.has(ref, lent) {
			p.move(ref, idle)
			if p.counted {
				s.mem.returned()
			}
		}
	}
}

// A queue is one socket.
type queue struct {
	rx   rxQueue
	tx   txQueue
	sock *socket
}

// device is an open interface.
type device struct {
	common
	iface  *iface
	queues []*queue

	mu     sync.Mutex // guards what follows, and the descriptors outside of the halves
	closed bool
	lost   map[string]uint64 // what the kernel has lost, by reason, as last asked for
}

// newDevice opens the memory and the sockets of all queues, and registers them
// with the program, which it owns from then on, as it does i, if it succeeds. It
// has to be called in the namespace of the interface.
func newDevice(c Config, i *iface, p *program) (hal.Device, error) {
	d := &device{iface: i}
	d.name, d.mtu, d.program = i.name, i.mtu, p
	d.wait, _ = parseWait(c.Wait)
	d.busyPolls = d.wait.how == "busy-poll"
	d.trusts = c.TrustChecksum == "on" || c.TrustChecksum != "off" && i.driver == "veth"
	if err := d.link.open(i.index); err != nil {
		return nil, err
	}
	if err := d.open(c, i, p); err != nil {
		d.link.close()
		return nil, errors.Join(err, d.free())
	}
	d.link.follow(d.tell)
	return d, nil
}

// open opens all queues.
func (d *device) open(c Config, i *iface, p *program) error {
	n := c.Queues
	if n == 0 {
		n = i.queues
	}
	for k := range n {
		s, err := newSocket()
		if err != nil {
			return err
		}
		q := &queue{sock: s, rx: rxQueue{joined: -1}}
		d.queues = append(d.queues, q)
		if k == 0 {
			if d.mem, d.layout, err = s.lend(c, i.mtu, n); err != nil {
				return err
			}
		}
		if err := d.start(q, k); err != nil {
			return err
		}
		if err := s.bind(c, i, &d.layout, k, d.queues[0].sock); err != nil {
			return err
		}
		if err := p.register(k, s.fd); err != nil {
			return err
		}
	}
	var err error
	if d.zero, err = zeroCopy(d.queues[0].sock.fd); err != nil {
		return fmt.Errorf("mode of interface %s: %w", d.name, err)
	}
	// Where the kernel copies, it completes checksums as it does for its own
	// packets, in software if need be. What a card does is not known here.
	if d.meta > 0 && !d.zero {
		d.offload = hal.Csum
	}
	return nil
}

// start makes the halves of queue k and gives the kernel its empty chunks.
func (d *device) start(q *queue, k int) error {
	at := uint64(k * (d.layout.rx + d.layout.tx))
	q.rx = rxQueue{common: &d.common, pool: newPool(d.mem.mem, d.chunk, at, d.layout.rx), joined: -1}
	q.tx = txQueue{common: &d.common, pool: newPool(d.mem.mem, d.chunk, at+uint64(d.layout.rx), d.layout.tx)}
	if err := q.sock.prepare(&d.layout, d.wait, &q.rx, &q.tx); err != nil {
		return err
	}
	for len(q.rx.pool.free) > 0 {
		q.rx.refill(q.rx.pool.get(kernel))
	}
	q.rx.fill.publish()
	if k == 0 {
		fd, err := join(q.sock.fd, d.program.side.fd)
		if err != nil {
			return err
		}
		q.rx.side, q.rx.joined = d.program.side, fd
	}
	q.rx.Open(q.sock.fd)
	q.tx.half.Open(q.sock.fd)
	return nil
}

// Info implements [hal.Device].
func (d *device) Info() hal.Info {
	mac, shared := d.program.mac()
	return hal.Info{
		Driver: "afxdp", Name: d.name, Mode: d.mode(), MAC: mac, MTU: d.mtu, Queues: len(d.queues),
		Link: d.linkNow(), TxOffloads: d.offload, Loans: d.loans + maxCopies, Headroom: headroom, MaxChain: d.maxChain(),
		RxOffloads: hal.Csum, // also without trust: the kernel says which copies are blank
		SharedMAC:  shared,
	}
}

// mode says what was obtained.
func (d *device) mode() string {
	how, copying := "generic", "copy"
	if d.program.native() {
		how = "native"
	}
	if d.zero {
		copying = "zero-copy"
	}
	return how + ", " + copying
}

func (d *device) linkNow() hal.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.link.gone.Load() || d.link.down.Load() {
		return hal.LinkDown
	}
	return hal.LinkUp
}

// Stats implements [hal.Counting].
func (d *device) Stats() hal.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.countLost()
	}
	var rx, tx []*counters
	for _, q := range d.queues {
		rx, tx = append(rx, &q.rx.counters), append(tx, &q.tx.counters)
	}
	s := sum(rx, tx)
	for why, n := range d.lost {
		s.Drops[why] += n
	}
	return s
}

// countLost asks the kernel what it has lost. The caller holds d.mu, and the
// sockets are open.
func (d *device) countLost() {
	var lost kernelDrops
	for _, q := range d.queues {
		if k, err := statistics(q.sock.fd); err == nil {
			lost.add(k)
		}
	}
	d.lost = map[string]uint64{}
	lost.into(d.lost)
	d.program.side.drops(d.lost)
}

// Queue implements [hal.Device].
func (d *device) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, nil, hal.ErrClosed
	}
	if i < 0 || i >= len(d.queues) {
		return nil, nil, fmt.Errorf("afxdp: interface %s has no queue %d open: there are %d", d.name, i, len(d.queues))
	}
	return &d.queues[i].rx, &d.queues[i].tx, nil
}

// SetLocal implements [hal.Steerer].
func (d *device) SetLocal(l hal.Local) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return hal.ErrClosed
	}
	return d.program.setLocal(l)
}

// Moderation implements [hal.Moderated].
func (q *rxQueue) Moderation() time.Duration {
	if q.wait.how == "spin" {
		return -1
	}
	return q.wait.delay
}
