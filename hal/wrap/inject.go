package wrap

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// InjectOptions say what goes wrong on a device. With the zero value nothing
// does, until a rule is added.
type InjectOptions struct {
	// Faults are the standard faults.
	Faults Faults

	// Seed decides all chances. Every direction of every queue has its own
	// stream of random numbers, so that one's traffic does not change what
	// happens to another's.
	Seed uint64

	// Now is the clock by which packets are held back. Nil: time.Now. Whoever
	// sleeps on the device must use the same one.
	Now func() time.Time

	// Hold is how many bytes each direction of each queue may hold back. Zero:
	// 16 MiB, which is more than 100 ms at 1 Gbit/s.
	Hold int
}

const defaultHold = 16 << 20

// longestSuper is the longest super-frame an Injector takes: what fits into
// the length field of an IPv4 header.
const longestSuper = hal.EthernetHeaderLen + 65535

// injectLoans is how many frames each half can lend, and burst how many frames
// it exchanges with the device at a time.
const (
	injectLoans = 512
	burst       = 64
)

// An Injector is a device with faults: see [Inject].
type Injector struct {
	inner hal.Device
	now   func() time.Time
	opts  InjectOptions
	rules Rules

	mu     sync.Mutex // guards the following
	queues map[int]*injectQueue
	closed atomic.Bool
}

type injectQueue struct {
	rx injectRx
	tx injectTx
}

var (
	_ hal.Device   = (*Injector)(nil)
	_ hal.Counting = (*Injector)(nil)
)

// Inject puts faults on a device. The result owns dev: its Close closes it.
//
// Faults happen to wire frames, as on a real link, one by one. On transmit the
// Injector takes a packet whole, into memory of its own, or not at all; it takes
// super-frames and blank checksums, cuts and completes them before the verdict,
// and gives the device frames without any offload. On receive it copies the
// packet out, and cuts super-frames at their GSO size too. The boundaries that
// the segments had on the wire are gone then; only the last one's length shows.
//
// What is held back is bounded (InjectOptions.Hold). When the hold is full, or
// the device is, Alloc gives nothing and Tx takes fewer packets until there is
// room; a receive half stops to receive. Both halves say when the next packet is
// due ([hal.Pending]), and whoever waits for them must then call Rx and Flush:
// an Injector has no goroutine that could do it.
func Inject(dev hal.Device, o InjectOptions) *Injector {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Hold <= 0 {
		o.Hold = defaultHold
	}
	return &Injector{inner: dev, now: o.Now, opts: o, queues: map[int]*injectQueue{}}
}

// Add adds a rule, asked after those already there and before the standard
// faults. The function it returns takes the rule out again.
func (d *Injector) Add(rule Rule) (remove func()) { return d.rules.Add(rule) }

// Unwrap returns the device without faults.
func (d *Injector) Unwrap() hal.Device { return d.inner }

// Info describes the device as it is through the Injector: it takes every
// offload, gives no super-frames, and every packet is one frame.
func (d *Injector) Info() hal.Info {
	i := d.inner.Info()
	i.TxOffloads = hal.Csum | hal.TSO4 | hal.TSO6 | hal.USO
	i.RxOffloads &= hal.Csum
	i.GSOMax = longestSuper
	i.Loans = injectLoans
	i.MaxChain = 1
	return i
}

// Queue returns the halves of queue i.
func (d *Injector) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.queues[i]; q != nil && !d.closed.Load() {
		return &q.rx, &q.tx, nil
	}
	rx, tx, err := d.inner.Queue(i)
	if err != nil {
		return nil, nil, err
	}
	info := d.inner.Info()
	q := &injectQueue{
		rx: injectRx{lane: d.newLane(Rx, i, math.MaxInt), inner: rx, frames: make([]hal.Frame, burst+info.MaxChain)},
		tx: injectTx{lane: d.newLane(Tx, i, hal.EthernetHeaderLen+info.MTU), inner: tx, headroom: info.Headroom, frames: make([]hal.Frame, burst+info.MaxChain)},
	}
	d.queues[i] = q
	return &q.rx, &q.tx, nil
}

func (d *Injector) newLane(dir Dir, queue, longest int) *lane {
	return &lane{
		max:   longest,
		dev:   d,
		link:  NewLink(d.opts.Faults, &d.rules, dir),
		rnd:   rand.New(rand.NewPCG(d.opts.Seed, uint64(dir)<<32|uint64(queue))),
		hold:  hold{limit: d.opts.Hold},
		loans: newLoans(injectLoans),
	}
}

// Close drops what is held back, counts it, and closes the device.
func (d *Injector) Close() error {
	d.mu.Lock()
	if d.closed.Swap(true) {
		d.mu.Unlock()
		return d.inner.Close()
	}
	queues := slices.Collect(maps.Values(d.queues))
	for _, q := range queues {
		q.rx.shut()
		q.tx.shut()
	}
	d.mu.Unlock()
	err := d.inner.Close()
	for _, q := range queues {
		q.tx.wake()
	}
	return err
}

// Stats counts what passed between the Injector and its user, and what was
// lost: "tx-fault-rule" by a rule, "tx-fault-drop" by chance, "tx-fault-queue"
// in front of a rate, "tx-fault-close" when the device was closed,
// "tx-malformed" because its metadata did not fit it, "tx-too-long" because the
// device does not carry it; and the same, but for the last, with "rx-".
func (d *Injector) Stats() hal.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := hal.Stats{Drops: map[string]uint64{}}
	rx, tx := new(laneCounts), new(laneCounts)
	for _, q := range d.queues {
		rx.add(&q.rx.count)
		tx.add(&q.tx.count)
	}
	s.RxPackets, s.RxBytes = rx.packets.Load(), rx.bytes.Load()
	s.TxPackets, s.TxBytes = tx.packets.Load(), tx.bytes.Load()
	for r, name := range dropNames {
		s.Drops["tx-"+name] = tx.drops[r].Load()
		if dropReason(r) != dropTooLong {
			s.Drops["rx-"+name] = rx.drops[r].Load()
		}
	}
	return s
}

// Injected counts what was done to frames that were not lost.
type Injected struct {
	Corrupted, Duplicated, Reordered uint64
	Delayed                          uint64 // all that did not arrive at once
}

// Injected returns what was done so far to the frames of a direction, or of
// both.
func (d *Injector) Injected(dir Dir) Injected {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := new(laneCounts)
	for _, q := range d.queues {
		if dir != Tx {
			sum.add(&q.rx.count)
		}
		if dir != Rx {
			sum.add(&q.tx.count)
		}
	}
	return Injected{
		Corrupted:  sum.corrupted.Load(),
		Duplicated: sum.duplicated.Load(),
		Reordered:  sum.reordered.Load(),
		Delayed:    sum.delayed.Load(),
	}
}

func (d *Injector) String() string { return fmt.Sprintf("faults(%v)", d.opts.Faults) }
