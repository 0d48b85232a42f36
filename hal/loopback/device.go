package loopback

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// drop is why a packet was lost.
type drop int

const (
	none drop = iota
	txRunt
	txTooLong
	txOffload
	txBadMeta
	txNoPeer
	rxRingFull
	rxClosed
	drops
)

var dropNames = [drops]string{
	txRunt:     "tx-runt",
	txTooLong:  "tx-too-long",
	txOffload:  "tx-offload",
	txBadMeta:  "tx-bad-meta",
	txNoPeer:   "tx-no-peer",
	rxRingFull: "rx-ring-full",
	rxClosed:   "rx-closed",
}

type device struct {
	wire   *Wire
	config Config
	rx     []*rxQueue
	tx     []*txQueue
	drops  [drops]atomic.Uint64

	closed atomic.Bool
	once   sync.Once
}

var (
	_ hal.Device   = (*device)(nil)
	_ hal.Counting = (*device)(nil)
	_ hal.Notifier = (*rxQueue)(nil)
	_ hal.Notifier = (*txQueue)(nil)
)

func newDevice(w *Wire, c Config) *device {
	d := &device{wire: w, config: c}
	for range c.Queues {
		d.rx = append(d.rx, newRxQueue(d))
		d.tx = append(d.tx, newTxQueue(d))
	}
	return d
}

func (d *device) maxChain() int { return d.config.chain(d.config.longest()) }

func (d *device) Info() hal.Info {
	c := &d.config
	i := hal.Info{
		Driver:     "loopback",
		Name:       c.Name,
		Mode:       fmt.Sprintf("wire of %d", len(d.wire.roster.Load().members)),
		MAC:        c.MAC,
		MTU:        c.MTU,
		Queues:     c.Queues,
		Link:       hal.LinkUp,
		TxOffloads: c.offloads(),
		RxOffloads: c.offloads(),
		Loans:      c.Frames,
		Headroom:   headroom,
		MaxChain:   d.maxChain(),
	}
	if !c.NoGSO {
		i.GSOMax = c.longest()
	}
	if c.Reflect {
		i.Mode = "reflect"
	}
	if d.closed.Load() {
		i.Link = hal.LinkDown
	}
	return i
}

func (d *device) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	if d.closed.Load() {
		return nil, nil, hal.ErrClosed
	}
	if i < 0 || i >= len(d.rx) {
		return nil, nil, fmt.Errorf("loopback: no queue %d, the device has %d", i, len(d.rx))
	}
	return d.rx[i], d.tx[i], nil
}

// Stats implements [hal.Counting]. It may be called after Close.
func (d *device) Stats() hal.Stats {
	s := hal.Stats{Drops: make(map[string]uint64, drops)}
	for i := range d.rx {
		s.RxPackets += d.rx[i].packets.Load()
		s.RxBytes += d.rx[i].bytes.Load()
		s.TxPackets += d.tx[i].packets.Load()
		s.TxBytes += d.tx[i].bytes.Load()
	}
	for i := none + 1; i < drops; i++ {
		s.Drops[dropNames[i]] = d.drops[i].Load()
	}
	return s
}

// Close takes the device off the wire. Packets that it has sent stay on their way.
func (d *device) Close() error {
	d.once.Do(func() {
		d.closed.Store(true)
		d.wire.leave(d)
		for i := range d.rx {
			d.rx[i].close()
			d.tx[i].told.call()
		}
	})
	return nil
}
