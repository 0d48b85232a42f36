package hal_test

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// This file is a whole driver. Its devices are the two ends of a cable: the first
// to open "cable:NAME" gets one, the second the other.

const (
	mtu       = 1500
	packetMax = hal.EthernetHeaderLen + mtu
	slots     = 64 // of a ring; also how many frames a half lends
	headroom  = 32
)

func init() {
	hal.Register(hal.Driver{
		Name:    "cable",
		Summary: "a cable in memory with two ends",
		Target:  "name of the cable",
		Keys:    []hal.Key{hal.IntKey("number", 1, 255, "last byte of the address")},
		Open:    openCable,
	})
}

// half-plugged cables, by name.
var cables = struct {
	sync.Mutex
	free map[string]*end
}{free: map[string]*end{}}

func openCable(s hal.Spec) (hal.Device, error) {
	cables.Lock()
	defer cables.Unlock()
	e := cables.free[s.Target]
	if e != nil {
		delete(cables.free, s.Target)
	} else {
		var other *end
		e, other = newCable(s.Target)
		cables.free[s.Target] = other
	}
	e.mac[5] = byte(s.Int("number", int(e.mac[5])))
	return e, nil
}

// end is an end of a cable: a device with one queue.
type end struct {
	name   string
	mac    hal.MAC
	rx     rxHalf
	tx     txHalf
	closed atomic.Bool
}

func newCable(name string) (a, b *end) {
	a = &end{name: name, mac: hal.MAC{2, 0, 0, 0, 0, 1}}
	b = &end{name: name, mac: hal.MAC{2, 0, 0, 0, 0, 2}}
	for _, e := range []*end{a, b} {
		e.rx.end, e.tx.end = e, e
		e.rx.ring = make(chan []byte, slots)
	}
	a.rx.peer, a.tx.peer, b.rx.peer, b.tx.peer = b, b, a, a
	return a, b
}

func (e *end) Info() hal.Info {
	return hal.Info{
		Driver: "cable", Name: e.name, MAC: e.mac, MTU: mtu, Queues: 1, Link: hal.LinkUp,
		Loans: slots, Headroom: headroom, MaxChain: 1,
	}
}

func (e *end) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	if e.closed.Load() {
		return nil, nil, hal.ErrClosed
	}
	if i != 0 {
		return nil, nil, fmt.Errorf("cable: no queue %d", i)
	}
	return &e.rx, &e.tx, nil
}

func (e *end) Close() error {
	if !e.closed.Swap(true) {
		e.rx.ringIt() // whoever sleeps looks again, and finds us closed
		e.tx.ringIt()
		e.rx.peer.tx.ringIt() // a full ring is no obstacle any more
	}
	return nil
}

// Stats implements hal.Counting.
func (e *end) Stats() hal.Stats {
	return hal.Stats{
		RxPackets: e.rx.packets.Load(), RxBytes: e.rx.bytes.Load(),
		TxPackets: e.tx.packets.Load(), TxBytes: e.tx.bytes.Load(),
		Drops: map[string]uint64{"tx-bad-packet": e.tx.bad.Load(), "tx-no-peer": e.tx.lost.Load()},
	}
}

// bell makes a half a hal.Notifier.
type bell struct{ f atomic.Pointer[func()] }

func (b *bell) Notify(f func()) {
	if f == nil {
		b.f.Store(nil)
	} else {
		b.f.Store(&f)
	}
}

func (b *bell) ringIt() {
	if f := b.f.Load(); f != nil {
		(*f)()
	}
}

type rxHalf struct {
	bell
	end, peer      *end
	ring           chan []byte // the peer's Tx puts packets in: one writer, one reader
	lent           int         // used by the half's owner only, so it needs no lock
	packets, bytes atomic.Uint64
}

func (q *rxHalf) Rx(fs []hal.Frame) (int, error) {
	if q.end.closed.Load() {
		return 0, hal.ErrClosed
	}
	if len(fs) == 0 { // shorter than MaxChain
		return 0, hal.ErrShortBurst
	}
	n := 0
	for ; n < len(fs) && q.lent < slots && len(q.ring) > 0; n++ {
		p := <-q.ring
		fs[n] = hal.NewFrame(p, 0, len(p), 0) // the garbage collector finds the way back
		q.lent++
		q.packets.Add(1)
		q.bytes.Add(uint64(len(p)))
	}
	if n > 0 {
		q.peer.tx.ringIt() // there is room
	}
	return n, nil
}

func (q *rxHalf) Release(fs []hal.Frame) { q.lent -= len(fs) }

type txHalf struct {
	bell
	end, peer                 *end
	lent                      int
	packets, bytes, bad, lost atomic.Uint64
}

func (q *txHalf) Alloc(fs []hal.Frame, size int) (int, error) {
	switch {
	case q.end.closed.Load():
		return 0, hal.ErrClosed
	case size > packetMax:
		return 0, hal.ErrTooLong
	case q.lent == slots:
		return 0, nil
	}
	q.lent++
	fs[0] = hal.NewFrame(make([]byte, headroom+size), headroom, size, 0)
	return 1, nil
}

func (q *txHalf) Tx(fs []hal.Frame) (int, error) {
	if q.end.closed.Load() {
		return 0, hal.ErrClosed
	}
	n, ring := 0, q.peer.rx.ring
	for n < len(fs) {
		chain := hal.ChainLen(fs[n:])
		p, m := fs[n].Data, fs[n].Meta
		switch {
		case chain != 1, len(p) < hal.EthernetHeaderLen, len(p) > packetMax, m != hal.Meta{}:
			q.bad.Add(1) // taken and counted: it could never be sent
		case q.peer.closed.Load():
			q.lost.Add(1)
		case len(ring) < cap(ring):
			ring <- p
			q.packets.Add(1)
			q.bytes.Add(uint64(len(p)))
		default: // full: the rest stays the caller's
			return n, nil
		}
		n += max(chain, 1)
		q.lent -= max(chain, 1)
	}
	return n, nil
}

// Flush is the doorbell: it wakes the peer once for a whole burst.
func (q *txHalf) Flush() error {
	if q.end.closed.Load() {
		return hal.ErrClosed
	}
	q.peer.rx.ringIt()
	return nil
}

func (q *txHalf) Release(fs []hal.Frame) { q.lent -= len(fs) }

// A driver of about 150 lines, and how a program uses it.
func Example() {
	a, err := hal.Open("cable:office")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, _ := hal.Open("cable:office?number=77")
	defer b.Close()

	var burst [1]hal.Frame
	_, tx, _ := a.Queue(0)
	n, _ := tx.Alloc(burst[:], 60)
	to, from := b.Info().MAC, a.Info().MAC
	copy(burst[0].Data, append(to[:], from[:]...))
	n, err = tx.Tx(burst[:n])
	fmt.Println("sent:", n, err, tx.Flush())

	rx, _, _ := b.Queue(0)
	n, err = rx.Rx(burst[:])
	fmt.Printf("received: %d %v, to %v\n", n, err, hal.MAC(burst[0].Data[:6]))
	rx.Release(burst[:n])
	// Output:
	// sent: 1 <nil> <nil>
	// received: 1 <nil>, to 02:00:00:00:00:4d
}
