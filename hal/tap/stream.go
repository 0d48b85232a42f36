package tap

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// stream is a device over what blocks and moves one packet a call, as water's
// interfaces do everywhere: a goroutine reads ahead, and another writes behind.
// On Linux only tests use it; there device does better.
type stream struct {
	name string
	mac  hal.MAC
	mtu  int
	rw   io.ReadWriteCloser
	rx   streamRx
	tx   streamTx

	closing sync.Once
	done    chan struct{} // closed by Close
}

// streamHalf is a loop of buffers between the owner of the half and a goroutine.
// Both channels have room for all of them, so that no send blocks.
type streamHalf struct {
	counters
	d      *stream
	notify atomic.Pointer[func()]
	empty  chan int // buffers without a packet
	full   chan int // and with one
	bufs   [smallLoans][]byte
	packet [smallLoans][]byte // the packet in the buffer
	lent   [smallLoans]bool   // to the owner of the half, who alone looks
	broken atomic.Pointer[error]
}

type streamRx struct{ streamHalf }
type streamTx struct{ streamHalf }

func newStream(name string, rw io.ReadWriteCloser, mac hal.MAC, mtu int) *stream {
	d := &stream{name: name, mac: mac, mtu: mtu, rw: rw, done: make(chan struct{})}
	for _, h := range []*streamHalf{&d.rx.streamHalf, &d.tx.streamHalf} {
		h.d, h.empty, h.full = d, make(chan int, smallLoans), make(chan int, smallLoans)
		for i := range h.bufs {
			h.empty <- i
		}
	}
	go d.rx.fill()
	go d.tx.drain()
	return d
}

// maxPacket is the longest packet.
func (d *stream) maxPacket() int { return d.mtu + hal.EthernetHeaderLen }

// Info implements [hal.Device].
func (d *stream) Info() hal.Info {
	return hal.Info{
		Driver: "tap", Name: d.name, Mode: "plain", MAC: d.mac, MTU: d.mtu, Queues: 1,
		Loans: smallLoans, Headroom: headroom, MaxChain: 1,
	}
}

// Stats implements [hal.Counting].
func (d *stream) Stats() hal.Stats {
	return sum([]*counters{&d.rx.counters}, []*counters{&d.tx.counters})
}

// Queue implements [hal.Device].
func (d *stream) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	if d.closed() {
		return nil, nil, hal.ErrClosed
	}
	if i != 0 {
		return nil, nil, fmt.Errorf("tap: %s has no queue %d: it has one", d.name, i)
	}
	return &d.rx, &d.tx, nil
}

// Close implements [hal.Device]. It does not wait for the goroutines: not every
// system ends a read that is under way.
func (d *stream) Close() (err error) {
	d.closing.Do(func() {
		close(d.done)
		err = d.rw.Close()
		d.rx.tell()
		d.tx.tell()
	})
	return err
}

func (d *stream) closed() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// fill reads packets ahead of the owner.
func (q *streamRx) fill() {
	for {
		select {
		case <-q.d.done:
			return
		case i := <-q.empty:
			n, err := q.d.rw.Read(q.buffer(i))
			if err != nil {
				q.fail("read from", err)
				return
			}
			q.packet[i] = q.bufs[i][:n]
			q.full <- i
			q.tell()
		}
	}
}

// drain writes packets behind the owner.
func (q *streamTx) drain() {
	for {
		select {
		case <-q.d.done:
			return
		case i := <-q.full:
			if _, err := q.d.rw.Write(q.packet[i]); err != nil {
				q.fail("write to", err)
				return
			}
			q.empty <- i
			q.tell()
		}
	}
}

// buffer returns a buffer, made when it is first needed. It is a byte longer
// than a packet with a tag, so that one that was cut shows.
func (h *streamHalf) buffer(i int) []byte {
	if h.bufs[i] == nil {
		h.bufs[i] = make([]byte, headroom+h.d.maxPacket()+4+1)
	}
	return h.bufs[i]
}

// fail makes the half return an error from now on.
func (h *streamHalf) fail(op string, err error) {
	err = fmt.Errorf("tap: %s interface %s: %w", op, h.d.name, err)
	h.broken.Store(&err)
	h.tell()
}

// state returns why the half is of no use any more, or nil.
func (h *streamHalf) state() error {
	if h.d.closed() {
		return hal.ErrClosed
	}
	if err := h.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Notify implements [hal.Notifier].
func (h *streamHalf) Notify(f func()) {
	if f == nil {
		h.notify.Store(nil)
		return
	}
	h.notify.Store(&f)
}

func (h *streamHalf) tell() {
	if f := h.notify.Load(); f != nil {
		(*f)()
	}
}

// Release implements [hal.RxQueue] and [hal.TxQueue].
func (h *streamHalf) Release(fs []hal.Frame) {
	if h.d.closed() {
		return
	}
	for i := range fs {
		h.empty <- h.take(&fs[i])
	}
}

// take ends the loan of a frame.
func (h *streamHalf) take(f *hal.Frame) int {
	i := f.Ref()
	if i >= uint64(len(h.lent)) || !h.lent[i] {
		panic(fmt.Sprintf("tap: a frame was given back twice, or to the wrong half (buffer %d)", i))
	}
	h.lent[i] = false
	return int(i)
}

// Rx implements [hal.RxQueue].
func (q *streamRx) Rx(fs []hal.Frame) (int, error) {
	if len(fs) < 1 {
		return 0, hal.ErrShortBurst
	}
	if q.d.closed() {
		return 0, hal.ErrClosed
	}
	n, bytes := 0, 0
	defer func() { q.passed(n, bytes) }()
	for n < len(fs) {
		select {
		case i := <-q.full:
			size := len(q.packet[i])
			if why, ok := q.fits(i, size); !ok {
				q.dropped(why)
				q.empty <- i
				continue
			}
			q.lent[i] = true
			fs[n] = hal.NewFrame(q.bufs[i], 0, size, uint64(i))
			bytes += size
			n++
		default:
			if n > 0 {
				return n, nil
			}
			return 0, q.state()
		}
	}
	return n, nil
}

// fits says whether a packet is whole, and if not why.
func (q *streamRx) fits(i, size int) (reason, bool) {
	switch {
	case size < hal.EthernetHeaderLen:
		return rxRunt, false
	case size == len(q.bufs[i]):
		return rxTooLong, false
	}
	return 0, true
}

// Alloc implements [hal.TxQueue].
func (q *streamTx) Alloc(fs []hal.Frame, size int) (int, error) {
	if err := q.state(); err != nil {
		return 0, err
	}
	switch {
	case len(fs) < 1:
		return 0, hal.ErrShortBurst
	case size > q.d.maxPacket():
		return 0, hal.ErrTooLong
	}
	select {
	case i := <-q.empty:
		q.lent[i] = true
		fs[0] = hal.NewFrame(q.buffer(i), headroom, size, uint64(i))
		return 1, nil
	default:
		return 0, nil
	}
}

// Tx implements [hal.TxQueue]. It always takes everything: every buffer has
// room in the pipe.
func (q *streamTx) Tx(fs []hal.Frame) (int, error) {
	if err := q.state(); err != nil {
		return 0, err
	}
	for at := 0; at < len(fs); {
		n := hal.ChainLen(fs[at:])
		if n == 0 {
			n = len(fs) - at // a chain without an end: all of it
		}
		f := &fs[at]
		if why, ok := q.fits(fs[at : at+n]); !ok {
			q.dropped(why)
			q.Release(fs[at : at+n])
		} else {
			i := q.take(f)
			q.packet[i] = f.Data
			q.full <- i
			q.passed(1, len(f.Data))
		}
		at += n
	}
	return len(fs), nil
}

// fits says whether a packet can be sent, and if not why.
func (q *streamTx) fits(chain []hal.Frame) (reason, bool) {
	f := &chain[0]
	switch {
	case len(chain) > 1, f.More:
		return txChained, false
	case len(f.Data) < hal.EthernetHeaderLen:
		return txRunt, false
	case !hal.Offload(0).Carries(f.Meta), f.Meta.GSO != hal.GSONone:
		return txOffload, false
	case len(f.Data) > q.d.maxPacket():
		return txTooLong, false
	}
	return 0, true
}

// Flush implements [hal.TxQueue].
func (q *streamTx) Flush() error { return q.state() }
