//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// half is what both halves of a queue have. The lock keeps Close out of a burst;
// nobody else contends for it.
type half struct {
	*device
	counters
	mu      sync.Mutex // guards what follows, against Close and redial
	closed  bool
	stopped bool // the port: no burst
	ledger  ledger
	slots   []C.struct_rt_slot
}

// rxQueue lends the port's buffers as they are.
type rxQueue struct {
	half
	c   *C.struct_rt_rxq
	nap time.Duration // how long nobody need look; negative: look all the time
}

func (q *rxQueue) open(d *device, i int) (err error) {
	q.nap = time.Duration(d.pace)
	loans := d.rxLoans()
	q.device, q.ledger = d, newLedger(loans)
	q.c, q.slots, err = newRx(C.struct_rt_rxq{
		port: d.port, queue: C.uint16_t(i), slots_n: C.uint16_t(loans), max_chain: C.uint16_t(d.chain), pool: d.pool.c,
	})
	return err
}

// Look implements [hal.Looker]. What has arrived waits for the next Rx.
func (q *rxQueue) Look() (ready bool, again time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return true, 0
	case q.stopped:
		return false, maxPace
	case C.rt_rxq_look(q.c) > 0 && len(q.ledger.free) > 0:
		return true, 0
	}
	nap := q.nap
	q.rest(0)
	return false, nap
}

// rest makes the nap longer each time that nothing has arrived: from 20 µs to 1 ms in
// some 10 ms of quiet.
func (q *rxQueue) rest(got int) {
	switch {
	case got > 0:
		q.nap = time.Duration(q.pace)
	case q.nap > 0:
		q.nap = min(q.nap+q.nap/8+1, maxPace)
	}
}

// Rx implements [hal.RxQueue]. The one call of C also takes back what was released
// since the last one.
func (q *rxQueue) Rx(fs []hal.Frame) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return 0, hal.ErrClosed
	case len(fs) < q.chain:
		return 0, hal.ErrShortBurst
	case q.stopped:
		return 0, nil
	}
	free := q.ledger.free
	n := min(len(fs), len(free))
	avail := numbers(q.c.avail, n)
	for i := range avail {
		avail[i] = C.uint16_t(free[len(free)-1-i])
	}
	q.c.avail_n = C.uint16_t(n)
	got := int(C.rt_rx(q.c))
	for i := range got {
		slot := q.ledger.lend()
		fs[i] = q.frame(slot)
	}
	q.count()
	if got > 0 {
		q.rest(got)
	}
	return got, nil
}

// frame makes a frame of a slot that was filled.
func (q *rxQueue) frame(slot uint16) hal.Frame {
	s := &q.slots[slot]
	f := hal.NewFrame(view(s), int(s.off), int(s.len), uint64(slot))
	f.More = s.flags&C.RT_MORE != 0
	if s.flags&(C.RT_CSUM_VALID|C.RT_CSUM_BLANK) == 0 {
		return f
	}
	m := &f.Meta
	m.CsumValid = s.flags&C.RT_CSUM_VALID != 0
	if s.flags&C.RT_CSUM_BLANK == 0 {
		return f
	}
	m.NeedsCsum, m.CsumStart, m.CsumOffset = true, uint16(s.l4), 16
	if s.flags&C.RT_CSUM_UDP != 0 {
		m.CsumOffset = 6
	}
	if s.gso_size == 0 {
		return f
	}
	m.GSO, m.GSOSize, m.HdrLen = hal.GSOTCP4, uint16(s.gso_size), uint16(s.payload)
	if s.flags&C.RT_IPV6 != 0 {
		m.GSO = hal.GSOTCP6
	}
	return f
}

// count takes over what the last call has counted.
func (q *rxQueue) count() {
	q.passed(uint32(q.c.packets), uint64(q.c.bytes))
	q.dropped(rxRunt, uint32(q.c.runts))
	q.dropped(rxTooLong, uint32(q.c.too_long))
	q.dropped(rxNoBuffer, uint32(q.c.no_buffer))
}

// Release implements [hal.RxQueue]. The buffers go back with the next Rx.
func (q *rxQueue) Release(fs []hal.Frame) {
	q.mu.Lock()
	if q.closed {
		n := q.late(fs)
		q.mu.Unlock()
		q.returned(n, false)
		return
	}
	defer q.mu.Unlock()
	back := numbers(q.c.back, len(q.slots))
	for i := range fs {
		back[q.c.back_n] = C.uint16_t(q.ledger.back(fs[i].Ref()))
		q.c.back_n++
	}
}

// late takes loans back after Close, where giving back twice does nothing, and
// returns how many there were. The caller holds h.mu.
func (h *half) late(fs []hal.Frame) (n int) {
	for i := range fs {
		if ref := fs[i].Ref(); ref < uint64(len(h.ledger.lent)) && h.ledger.lent[ref] {
			C.rt_slot_free(&h.slots[h.ledger.back(ref)])
			n++
		}
	}
	return n
}

// retire ends the half and returns how many loans are out. The port still runs.
func (q *rxQueue) retire() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.c == nil {
		return 0
	}
	C.rt_rxq_drain(q.c, C.int(truth(!q.stopped)))
	return q.ledger.out
}

func (q *rxQueue) free() {
	if q.c != nil {
		freeRx(q.c)
	}
	q.c, q.slots = nil, nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
