//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// txQueue lends buffers of the port's pool, and has a stock of them, so that Alloc
// needs no call of C: the call that sends also takes new ones.
type txQueue struct {
	half
	c *C.struct_rt_txq
}

// maxOrder is how many frames go to C in one call at most, beside a long chain.
const maxOrder = C.RT_BURST

func (q *txQueue) open(d *device, i int, ipCsum bool) (err error) {
	n := max(txLoans, 16*d.chain)
	q.device, q.ledger = d, newLedger(n)
	t := C.struct_rt_txq{port: d.port, queue: C.uint16_t(i), slots_n: C.uint16_t(n), pool: d.pool.c}
	if ipCsum {
		t.ip_csum = 1
	}
	q.c, q.slots, err = newTx(t)
	return err
}

// Alloc implements [hal.TxQueue].
func (q *txQueue) Alloc(fs []hal.Frame, size int) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return 0, hal.ErrClosed
	case size > max(q.maxPacket(), q.gsoMax):
		return 0, hal.ErrTooLong
	}
	n := max(1, (size+q.room-1)/q.room)
	if len(fs) < n {
		return 0, hal.ErrShortBurst
	}
	if !q.stocked(n) {
		return 0, nil
	}
	for i := range n {
		slot := q.ledger.lend()
		part := min(size, q.room)
		fs[i] = hal.NewFrame(view(&q.slots[slot]), headroom, part, uint64(slot))
		fs[i].More = i < n-1
		size -= part
	}
	return n, nil
}

// stocked says whether the next n free slots have buffers.
func (q *txQueue) stocked(n int) bool {
	free := q.ledger.free
	if len(free) < n {
		return false
	}
	for _, slot := range free[len(free)-n:] {
		if q.slots[slot].mbuf == nil && C.rt_slot_fill(q.c, C.uint16_t(slot)) != 0 {
			return false
		}
	}
	return true
}

// Tx implements [hal.TxQueue]. The one call of C also renews the stock. A port that
// is full is tried again for some 10 µs: on the other side of a ring is a program.
func (q *txQueue) Tx(fs []hal.Frame) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, hal.ErrClosed
	}
	done := 0
	for done < len(fs) {
		queued, packets := 0, uint32(0)
		why := reasons
		for done+queued < len(fs) && queued < maxOrder && packets < C.RT_BURST {
			rest := fs[done+queued:]
			n := hal.ChainLen(rest)
			if n == 0 {
				n = len(rest) // a chain without an end: all of it
			}
			if why = q.enlist(rest[:n], queued); why != reasons {
				break
			}
			queued += n
			packets++
		}
		sent := q.send(queued, packets)
		for i := range sent {
			q.ledger.back(fs[done+i].Ref())
		}
		done += sent
		if sent < queued {
			break
		}
		if why != reasons { // the next packet can never be sent
			n := max(1, hal.ChainLen(fs[done:]))
			for i := range n {
				q.ledger.back(fs[done+i].Ref())
			}
			done += n
			q.dropped(why, 1)
		}
	}
	return done, nil
}

// send gives the first n slots of the order to the port, and returns how many it
// took.
func (q *txQueue) send(n int, packets uint32) int {
	if n == 0 {
		return 0
	}
	if q.stopped {
		q.dropped(txLinkDown, packets)
		return n
	}
	q.c.order_n = C.uint16_t(n)
	sent := int(C.rt_tx(q.c))
	q.passed(uint32(q.c.packets), uint64(q.c.bytes))
	q.dropped(txRejected, uint32(q.c.rejected))
	q.dropped(txLinkDown, uint32(q.c.link_down))
	q.full.Add(uint64(q.c.full))
	return sent
}

// enlist puts a packet into the order, from place at on. If it can never be sent it
// says why, else reasons.
func (q *txQueue) enlist(chain []hal.Frame, at int) reason {
	size := hal.PacketLen(chain)
	first := &chain[0]
	m := &first.Meta
	switch {
	case size < hal.EthernetHeaderLen, len(first.Data) < min(size, hal.EthernetHeaderLen):
		return txRunt
	case !q.txOffloads.Carries(*m), m.GSO > hal.GSOUDP:
		return txOffload
	case m.GSO == hal.GSONone && size > q.maxPacket(), size > max(q.maxPacket(), q.gsoMax):
		return txTooLong
	case q.portChain > 0 && len(chain) > q.portChain, len(chain) > q.chain:
		return txChained
	}
	order := numbers(q.c.order, at+len(chain))[at:]
	for i := range chain {
		slot := q.ledger.check(chain[i].Ref())
		s := &q.slots[slot]
		order[i] = C.uint16_t(slot)
		s.off, s.len, s.flags = C.uint16_t(offset(s, chain[i].Data)), C.uint16_t(len(chain[i].Data)), 0
		if i < len(chain)-1 {
			s.flags = C.RT_MORE
		}
	}
	if m.NeedsCsum && !q.ask(chain, &q.slots[order[0]]) {
		return txOffload
	}
	return reasons
}

// ask notes what the port has to complete. DPDK knows checksums of TCP and UDP after
// headers that it can find again; others are completed here.
func (q *txQueue) ask(chain []hal.Frame, s *C.struct_rt_slot) bool {
	first := &chain[0]
	m := &first.Meta
	h, err := offload.Parse(first.Data)
	udp := h.Proto == 17 && m.CsumOffset == 6
	tcp := h.Proto == 6 && m.CsumOffset == 16
	if err != nil || !udp && !tcp || int(m.CsumStart) != h.L4 || h.Version == 6 && h.L4-h.L3 != 40 {
		return offload.Complete(chain) == nil
	}
	s.gso_size = 0
	if m.GSO != hal.GSONone {
		if !tcp || m.GSOSize == 0 || int(m.HdrLen) != h.Payload || int(m.HdrLen) >= hal.PacketLen(chain) ||
			(m.GSO == hal.GSOTCP4) != (h.Version == 4) {
			return false
		}
		s.gso_size = C.uint16_t(m.GSOSize)
	}
	s.l3, s.l4, s.payload = C.uint16_t(h.L3), C.uint16_t(h.L4), C.uint16_t(h.Payload)
	s.flags |= C.RT_CSUM_BLANK
	if udp {
		s.flags |= C.RT_CSUM_UDP
	}
	if h.Version == 6 {
		s.flags |= C.RT_IPV6
	}
	return true
}

// Flush implements [hal.TxQueue]; Tx has sent everything.
func (q *txQueue) Flush() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return hal.ErrClosed
	}
	return nil
}

// Release implements [hal.TxQueue].
func (q *txQueue) Release(fs []hal.Frame) {
	q.mu.Lock()
	if q.closed {
		n := q.late(fs)
		q.mu.Unlock()
		q.returned(n, false)
		return
	}
	defer q.mu.Unlock()
	for i := range fs {
		q.ledger.back(fs[i].Ref())
	}
}

// retire ends the half and returns how many loans are out.
func (q *txQueue) retire() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, slot := range q.ledger.free {
		C.rt_slot_free(&q.slots[slot])
	}
	return q.ledger.out
}

func (q *txQueue) free() {
	if q.c != nil {
		freeTx(q.c)
	}
	q.c, q.slots = nil, nil
}
