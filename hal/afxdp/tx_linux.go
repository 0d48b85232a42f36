package afxdp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// txQueue is the transmit ring, by which chunks with packets go to the kernel,
// and the completion ring, by which they come back empty. There are no more chunks
// than slots in either, so that neither is ever full: the device is full when
// Alloc finds no chunk.
type txQueue struct {
	half netif.Half // not embedded: its descriptor says nothing about writing
	counters
	*common
	ring producer[desc]
	done consumer[uint64]
	pool pool

	dirty   bool   // the kernel may not have taken all of the ring
	unsent  recess // it has not, although it was asked to
	starved recess // somebody wants to send, and all chunks are with it or on loan
}

// Notify implements [hal.Notifier].
func (q *txQueue) Notify(f func()) { q.half.Notify(f) }

// Alloc implements [hal.TxQueue].
func (q *txQueue) Alloc(fs []hal.Frame, size int) (int, error) {
	fd := q.half.Lock()
	defer q.half.Unlock()
	n := pieces(size, q.payload())
	switch {
	case fd < 0:
		return 0, hal.ErrClosed
	case q.link.gone.Load():
		return 0, q.errGone()
	case size > q.maxPacket():
		return 0, hal.ErrTooLong
	case len(fs) < n:
		return 0, hal.ErrShortBurst
	case len(q.pool.free) < n:
		if q.reap(); len(q.pool.free) < n {
			return 0, q.full()
		}
	}
	q.starved.end()
	for i := range n {
		ref := q.pool.get(lent)
		part := min(size, q.payload())
		size -= part
		fs[i] = hal.NewFrame(q.pool.chunk(ref)[q.meta:], headroom, part, ref)
		fs[i].More = i < n-1
	}
	return n, nil
}

// full notes that somebody wants to send and cannot. He looks again after a
// recess.
func (q *txQueue) full() error {
	switch {
	case q.link.down.Load():
		q.starved.end() // nothing moves before it is up, and we hear of that
	case q.starved.over():
		q.starved.begin()
	}
	return q.check()
}

// check fails if the kernel's side of the rings makes no sense.
func (q *txQueue) check() error {
	if q.ring.broken || q.done.broken {
		return q.errBroken()
	}
	return nil
}

// reap takes back the chunks that the kernel is done with.
func (q *txQueue) reap() {
	n := q.done.ready(q.txRing)
	if n == 0 {
		return
	}
	for i := range n {
		chunk, _, ok := q.pool.find(q.done.peek(i))
		if !ok {
			q.dropped(txBadCompletion)
			continue
		}
		q.pool.put(chunk)
	}
	q.done.skip(n)
	q.done.publish()
}

// Tx implements [hal.TxQueue]. An interface that is down, or whose cable is pulled,
// loses what is sent; that is counted and no error.
func (q *txQueue) Tx(fs []hal.Frame) (int, error) {
	fd := q.half.Lock()
	defer q.half.Unlock()
	switch {
	case fd < 0:
		return 0, hal.ErrClosed
	case q.link.gone.Load():
		return 0, q.errGone()
	}
	packets, bytes, i := 0, 0, 0
	defer func() { q.passed(packets, bytes) }()
	for i < len(fs) {
		n := hal.ChainLen(fs[i:])
		if n == 0 {
			n = len(fs) - i // a chain without an end: all of it
		}
		chain := fs[i : i+n]
		size := hal.PacketLen(chain)
		if why, ok := q.fits(chain, size); !ok {
			q.dropped(why)
			q.takeBack(chain)
		} else if q.ring.room(n) < n { // until the kernel shows what it has dropped
			return i, q.full()
		} else {
			q.queue(chain)
			packets++
			bytes += size
		}
		i += n
	}
	return i, nil
}

// fits says whether a packet can be sent, and if not why.
func (q *txQueue) fits(chain []hal.Frame, size int) (reason, bool) {
	m := &chain[0].Meta
	switch {
	case q.link.down.Load():
		return txLinkDown, false
	case size < hal.EthernetHeaderLen:
		return txRunt, false
	case m.GSO != hal.GSONone || !q.offload.Carries(*m):
		return txOffload, false
	case m.NeedsCsum && (m.CsumStart < hal.EthernetHeaderLen || int(m.CsumStart)+int(m.CsumOffset)+2 > len(chain[0].Data)):
		return txOffload, false
	case size > q.maxPacket() || len(chain) > q.maxChain() || chain[len(chain)-1].More:
		return txTooLong, false
	}
	return 0, true
}

// queue puts a packet into the ring. Frames without data, of a packet that was
// shortened, are left out: the kernel takes them for nonsense.
func (q *txQueue) queue(chain []hal.Frame) {
	last := len(chain) - 1
	for len(chain[last].Data) == 0 {
		last--
	}
	for i := range chain {
		f := &chain[i]
		if len(f.Data) == 0 {
			q.pool.mustBeLent(f.Ref())
			q.pool.put(f.Ref())
			continue
		}
		d := desc{addr: q.address(f), size: uint32(len(f.Data))}
		if i < last {
			d.options = optContinued
		}
		if i == 0 && f.Meta.NeedsCsum {
			d.options |= optMetadata
			q.ask(d.addr, &f.Meta)
		}
		q.pool.move(f.Ref(), kernel)
		q.ring.put(d)
	}
	q.dirty = true
}

// address returns where the data of a frame from Alloc begins.
func (q *txQueue) address(f *hal.Frame) uint64 {
	ref := f.Ref()
	q.pool.mustBeLent(ref)
	buf := q.pool.chunk(ref)
	at := len(buf) - cap(f.Data) // Data has been moved, but ends where buf does
	if at < q.meta || &buf[at] != &f.Data[0] {
		panic("afxdp: Tx of a frame that is not from Alloc of this half")
	}
	return ref<<q.pool.shift + uint64(at)
}

// ask writes the metadata that makes the kernel complete a checksum (struct
// xsk_tx_metadata).
func (q *txQueue) ask(addr uint64, m *hal.Meta) {
	b := q.pool.mem[addr-uint64(q.meta) : addr]
	binary.NativeEndian.PutUint64(b, unix.XDP_TXMD_FLAGS_CHECKSUM)
	binary.NativeEndian.PutUint16(b[8:], m.CsumStart)
	binary.NativeEndian.PutUint16(b[10:], m.CsumOffset)
}

// Release implements [hal.TxQueue].
func (q *txQueue) Release(fs []hal.Frame) {
	fd := q.half.Lock()
	defer q.half.Unlock()
	if fd < 0 {
		q.forget(&q.pool, fs)
		return
	}
	q.takeBack(fs)
}

func (q *txQueue) takeBack(fs []hal.Frame) {
	for i := range fs {
		q.pool.mustBeLent(fs[i].Ref())
		q.pool.put(fs[i].Ref())
	}
}
