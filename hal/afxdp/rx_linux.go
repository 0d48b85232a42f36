package afxdp

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// rxQueue is the fill ring, by which empty chunks go to the kernel, and the
// receive ring, by which they come back with frames.
type rxQueue struct {
	netif.Half
	counters
	*common
	fill producer[uint64]
	ring consumer[desc]
	pool pool

	side   *copies // of queue 0: what the kernel has got too; nil: none
	joined int     // readable when the socket or side is; -1: without side
	skips  bool    // the ring is in the middle of a packet that is too long
	rounds uint32  // bursts so far
}

// FD implements [hal.Pollable].
func (q *rxQueue) FD() int {
	if q.joined >= 0 && !q.Closed() {
		return q.joined
	}
	return q.Half.FD()
}

// Rx implements [hal.RxQueue].
func (q *rxQueue) Rx(fs []hal.Frame) (int, error) {
	if len(fs) < q.maxChain() {
		return 0, hal.ErrShortBurst
	}
	fd := q.Lock()
	defer q.Unlock()
	if fd < 0 {
		return 0, hal.ErrClosed
	}
	if q.rounds++; q.rounds%copyRounds != 0 {
		if n := q.drain(fs); n > 0 {
			return n, nil
		}
	}
	if q.side != nil {
		if n, err := q.copied(fs); n > 0 || err != nil {
			return n, err
		}
	}
	if n := q.drain(fs); n > 0 {
		return n, nil
	}
	return 0, q.nothing(fd)
}

// copyRounds is how many bursts come out of the ring, if it is never empty, before
// somebody looks for copies: the system call is worth that many.
const copyRounds = 32

// copied receives what the kernel has got too.
func (q *rxQueue) copied(fs []hal.Frame) (int, error) {
	n, err := q.side.rx(fs)
	q.passed(n, hal.PacketLen(fs[:n]))
	switch {
	case n > 0:
		return n, nil // an error comes again
	case errors.Is(err, unix.ENODEV):
		q.link.gone.Store(true)
		return 0, q.errGone()
	}
	return 0, err
}

// drain takes packets out of the ring as long as they fit.
func (q *rxQueue) drain(fs []hal.Frame) int {
	n, packets, bytes, consumed := 0, 0, 0, 0
ring:
	for ready := q.ring.ready(len(fs)); ready > 0; ready = q.ring.ready(1) {
		k, whole := q.head(ready)
		switch {
		case !whole && k <= q.maxChain():
			break ring // the rest of the packet is still to come
		case q.skips || k > q.maxChain():
			q.discard(k, whole)
		case k > len(fs)-n || k > q.loans-q.pool.out:
			break ring
		default:
			if chain, ok := q.take(fs[n:n:n+k], k); ok {
				packets++
				bytes += hal.PacketLen(chain)
				n += len(chain)
			}
		}
		consumed += k
	}
	if consumed > 0 {
		q.ring.publish()
		q.fill.publish()
		q.passed(packets, bytes)
	}
	return n
}

// head returns how many slots the packet at the head of the ring has, of those
// that are ready, and whether it ends there.
func (q *rxQueue) head(ready int) (k int, whole bool) {
	for k < ready {
		k++
		if q.ring.peek(k-1).options&optContinued == 0 {
			return k, true
		}
	}
	return k, false
}

// take makes a chain of the first k slots of the ring, which are one packet, or
// drops it.
func (q *rxQueue) take(chain []hal.Frame, k int) ([]hal.Frame, bool) {
	good := true
	for i := range k {
		d := q.ring.peek(i)
		n, offset, ok := q.pool.find(d.addr)
		if !ok {
			good = false // and there is no chunk to give back
			continue
		}
		size := int(d.size)
		if size <= 0 || size > q.chunk-offset {
			good, offset, size = false, 0, 0
		}
		q.pool.move(n, lent)
		f := hal.NewFrame(q.pool.chunk(n), offset, size, n)
		f.More = i < k-1
		chain = append(chain, f)
	}
	q.ring.skip(k)
	why := rxBadDescriptor
	if good {
		chain = q.pullUp(chain)
		if good, why = hal.PacketLen(chain) >= hal.EthernetHeaderLen, rxRunt; good {
			q.judge(chain)
			return chain, true
		}
	}
	q.dropped(why)
	for i := range chain {
		q.refill(chain[i].Ref())
	}
	return nil, false
}

// pullUp moves bytes to the front of a chain until its first frame holds as many
// as the contract of [hal.Contiguous] says. The kernel fills chunks to their end,
// so this is for cards that put headers apart.
func (q *rxQueue) pullUp(chain []hal.Frame) []hal.Frame {
	first := &chain[0]
	for len(first.Data) < hal.Contiguous && len(chain) > 1 && cap(first.Data) >= hal.Contiguous {
		next := &chain[1]
		n := min(hal.Contiguous-len(first.Data), len(next.Data))
		first.Data = append(first.Data, next.Data[:n]...)
		if next.Data = next.Data[n:]; len(next.Data) == 0 {
			q.refill(next.Ref())
			first.More = next.More
			chain = append(chain[:1], chain[2:]...)
		}
	}
	return chain
}

// judge looks at the checksum of a packet.
func (q *rxQueue) judge(chain []hal.Frame) {
	if !q.trusts {
		return
	}
	if m, ok := blank(chain[0].Data); ok {
		chain[0].Meta = m
		q.blank.Add(1)
	}
}

// discard drops the first k slots of the ring, a packet that is too long or a
// part of one.
func (q *rxQueue) discard(k int, last bool) {
	for i := range k {
		if n, _, ok := q.pool.find(q.ring.peek(i).addr); ok {
			q.pool.put(n) // so that it is not found twice
		} else {
			q.dropped(rxBadDescriptor)
		}
	}
	for len(q.pool.free) > 0 {
		q.refill(q.pool.get(kernel))
	}
	q.ring.skip(k)
	if q.skips = !last; last {
		q.dropped(rxTooLong)
	}
}

// refill puts a chunk, wherever it was, into the fill ring, which has room for
// all of them.
func (q *rxQueue) refill(n uint64) {
	q.pool.move(n, kernel)
	if q.fill.room(1) > 0 {
		q.fill.put(n << q.pool.shift)
	}
}

// nothing says why there is nothing to receive.
func (q *rxQueue) nothing(fd int) error {
	switch {
	case q.link.gone.Load():
		return q.errGone()
	case q.ring.broken || q.fill.broken:
		return q.errBroken()
	case q.busyPolls || q.fill.needsWakeup():
		knock(fd)
	}
	return nil
}

// Release implements [hal.RxQueue].
func (q *rxQueue) Release(fs []hal.Frame) {
	fd := q.Lock()
	defer q.Unlock()
	if fd < 0 {
		q.forget(&q.pool, fs)
		return
	}
	for i := range fs {
		ref := fs[i].Ref()
		if ref&copyRef != 0 {
			q.side.release(ref)
			continue
		}
		q.pool.mustBeLent(ref)
		q.refill(ref)
	}
	q.fill.publish()
	if q.fill.needsWakeup() {
		knock(fd)
	}
}
