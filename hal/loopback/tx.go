package loopback

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

var errSplit = errors.New("loopback: the burst ends inside a packet")

// txQueue is a transmit half.
type txQueue struct {
	dev   *device
	loans loans // of the owner
	told  told
	into  *rxQueue // the ring this burst is being written to; locked
	fresh bool     // into was empty when it was locked

	gathered [hal.Contiguous]byte

	packets, bytes atomic.Uint64
}

func newTxQueue(d *device) *txQueue {
	return &txQueue{dev: d, loans: newLoans(d.config.Frames)}
}

// Notify implements [hal.Notifier].
func (q *txQueue) Notify(f func()) { q.told.set(f) }

func (q *txQueue) Alloc(fs []hal.Frame, size int) (int, error) {
	c := &q.dev.config
	if q.dev.closed.Load() {
		return 0, hal.ErrClosed
	}
	if size < 0 || size > c.longest() {
		return 0, hal.ErrTooLong
	}
	n := c.chain(size)
	if n > len(fs) {
		return 0, hal.ErrShortBurst
	}
	if n > q.loans.left() {
		return 0, nil
	}
	for i := range n {
		b := q.dev.wire.buffer(size)
		part := min(size, b.class.size)
		fs[i] = q.loans.lend(b, headroom, part)
		fs[i].More = i < n-1
		size -= part
	}
	return n, nil
}

func (q *txQueue) Release(fs []hal.Frame) {
	if q.dev.closed.Load() {
		return
	}
	for i := range fs {
		q.loans.take(&fs[i]).release()
	}
}

// Flush does nothing: Tx sends at once.
func (q *txQueue) Flush() error {
	if q.dev.closed.Load() {
		return hal.ErrClosed
	}
	return nil
}

func (q *txQueue) Tx(fs []hal.Frame) (int, error) {
	if q.dev.closed.Load() {
		return 0, hal.ErrClosed
	}
	r := q.dev.wire.roster.Load()
	var err error
	n := 0
	for n < len(fs) {
		c := hal.ChainLen(fs[n:])
		if c == 0 {
			err = errSplit
			break
		}
		if !q.send(r, fs[n:n+c]) {
			break
		}
		n += c
	}
	q.turnTo(nil)
	return n, err
}

// send takes one packet, and returns false if its receiver is full.
func (q *txQueue) send(r *roster, chain []hal.Frame) bool {
	p := q.inspect(chain)
	if p.bad != none {
		return q.discard(chain, p.bad)
	}
	one, all := r.route(q.dev, hal.MAC(p.head[:6]))
	switch {
	case one != nil:
		if sent, full := q.handOver(one, chain, &p); full {
			return false
		} else if !sent {
			return q.discard(chain, txNoPeer)
		}
	case all != nil:
		for _, d := range all {
			if d != q.dev {
				q.copyTo(d, chain, &p)
			}
		}
		q.drop(chain)
	default:
		return q.discard(chain, txNoPeer)
	}
	q.packets.Add(1)
	q.bytes.Add(uint64(p.size))
	return true
}

// handOver gives the packet's own buffers to a device.
func (q *txQueue) handOver(d *device, chain []hal.Frame, p *packet) (sent, full bool) {
	rx := d.pick(p.head)
	q.turnTo(rx)
	if rx.closed {
		return false, false
	}
	need := len(chain)
	if !p.asIs {
		need = q.dev.config.chain(p.size)
	}
	if need > rx.room() {
		if !slices.Contains(rx.waiting, q) {
			rx.waiting = append(rx.waiting, q)
		}
		return false, true
	}
	if !p.asIs {
		q.write(rx, chain, p)
		q.drop(chain)
		return true, false
	}
	for i := range chain {
		f := &chain[i]
		b := q.loans.take(f)
		e := entry{buf: b, off: int32(b.offset(f)), size: int32(len(f.Data)), more: f.More}
		if i == 0 {
			e.meta = p.meta
		}
		rx.put(e)
	}
	return true, false
}

// copyTo gives a copy to one of several receivers.
func (q *txQueue) copyTo(d *device, chain []hal.Frame, p *packet) {
	rx := d.pick(p.head)
	q.turnTo(rx)
	if rx.closed {
		return
	}
	if q.dev.config.chain(p.size) > rx.room() {
		d.drops[rxRingFull].Add(1)
		return
	}
	q.write(rx, chain, p)
}

// write appends a copy of the packet to a locked ring that has room.
func (q *txQueue) write(rx *rxQueue, chain []hal.Frame, p *packet) {
	meta, src, left := p.meta, 0, p.size
	var rest []byte
	for {
		b := q.dev.wire.buffer(left)
		size := min(left, b.class.size)
		for at := headroom; at < headroom+size; {
			for len(rest) == 0 {
				rest = chain[src].Data
				src++
			}
			n := copy(b.mem[at:headroom+size], rest)
			rest = rest[n:]
			at += n
		}
		left -= size
		rx.put(entry{buf: b, off: headroom, size: int32(size), more: left > 0, meta: meta})
		meta = hal.Meta{}
		if left == 0 {
			return
		}
	}
}

// turnTo makes rx the ring that is written to. The ring before it is unlocked,
// and its owner told if it was empty. One lock is held at a time.
func (q *txQueue) turnTo(rx *rxQueue) {
	was := q.into
	if was == rx {
		return
	}
	if was != nil {
		tell := q.fresh && was.n > 0
		was.mu.Unlock()
		if tell {
			was.told.call()
		}
	}
	if rx != nil {
		rx.mu.Lock()
		q.fresh = rx.n == 0
	}
	q.into = rx
}

// discard takes a packet that goes nowhere.
func (q *txQueue) discard(chain []hal.Frame, why drop) bool {
	q.drop(chain)
	q.dev.drops[why].Add(1)
	return true
}

// drop takes a packet's frames.
func (q *txQueue) drop(chain []hal.Frame) {
	for i := range chain {
		q.loans.take(&chain[i]).release()
	}
}
