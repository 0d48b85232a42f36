package packet

import (
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// txQueue sends a burst by one system call, straight from the memory it lent: the
// virtio-net headers go into the bytes before the packets.
//
// The device is full when as many bytes of ours as the socket may hold (its
// SO_SNDBUF, left at the kernel's default) are on their way through the kernel;
// half of them later it is writable again. On a virtual cable that bound is less
// than what the other end's queue holds, so that nothing is lost there.
type txQueue struct {
	half
	small, big netif.Pool // for packets up to the MTU, and for super-frames
	messages
	refused int // times in a row that the interface had no room for the first packet
}

// bigRef marks the number of a buffer of the second pool.
const bigRef = 1 << 32

// patience is how often a packet is tried again for which the interface has no
// room, though the socket has: nothing tells when to try again, so whoever waits
// comes back at once. A queue that is full moves on within that many turns; one
// that stands still must not occupy a core for ever.
const patience = 64

func newTx(w *wire) *txQueue {
	const room = offload.VirtioLen + headroom
	q := &txQueue{
		half:  half{wire: w},
		small: netif.Pool{Size: room + w.maxPacket(), Limit: smallLoans},
		big:   netif.Pool{Size: room + maxSuper, Limit: superLoans},
	}
	q.init()
	return q
}

// Alloc implements [hal.TxQueue].
func (q *txQueue) Alloc(fs []hal.Frame, size int) (int, error) {
	switch {
	case q.Closed():
		return 0, hal.ErrClosed
	case len(fs) < 1:
		return 0, hal.ErrShortBurst
	case size > maxSuper:
		return 0, hal.ErrTooLong
	}
	p, tag := &q.small, uint64(0)
	if size > q.maxPacket() {
		p, tag = &q.big, bigRef
	}
	ref, buf, ok := p.Get()
	if !ok {
		return 0, nil
	}
	fs[0] = hal.NewFrame(buf[offload.VirtioLen:], headroom, size, uint64(ref)|tag)
	return 1, nil
}

// Release implements [hal.TxQueue].
func (q *txQueue) Release(fs []hal.Frame) {
	if !q.Closed() {
		q.takeBack(fs)
	}
}

func (q *txQueue) takeBack(fs []hal.Frame) {
	for i := range fs {
		p, ref := q.owner(&fs[i])
		p.Put(ref)
	}
}

// owner returns the pool of a frame and the number of its buffer there.
func (q *txQueue) owner(f *hal.Frame) (*netif.Pool, int) {
	ref := f.Ref()
	if ref&bigRef != 0 {
		return &q.big, int(ref &^ bigRef)
	}
	return &q.small, int(ref)
}

// Tx implements [hal.TxQueue]. An interface that is down loses what is sent, as
// a pulled cable would; that is counted and no error.
func (q *txQueue) Tx(fs []hal.Frame) (int, error) {
	fd := q.Lock()
	defer q.Unlock()
	if fd < 0 {
		return 0, hal.ErrClosed
	}
	at, packets, bytes := 0, 0, 0
	defer func() { q.passed(packets, bytes) }()
	for at < len(fs) {
		n, why := q.prepare(fs[at:])
		if n == 0 {
			at += q.drop(fs[at:], why)
			continue
		}
		sent, err := q.send(fd, n)
		for i := range sent {
			bytes += len(fs[at+i].Data)
		}
		q.takeBack(fs[at : at+sent])
		at += sent
		packets += sent
		if sent > 0 {
			q.refused = 0
		}
		if err == nil {
			continue
		}
		why, lost, err := q.failed(fd, err)
		if !lost {
			return at, err
		}
		at += q.drop(fs[at:], why)
	}
	return at, nil
}

// prepare makes messages of the first frames that can be sent, and returns how
// many. If there is none, why is the reason that the first packet can never be.
func (q *txQueue) prepare(fs []hal.Frame) (n int, why reason) {
	for n < min(len(fs), batch) {
		why, ok := q.check(&fs[n])
		if !ok {
			return n, why
		}
		q.set(n, q.withHeader(&fs[n]))
		n++
	}
	return n, 0
}

// drop takes the packet at the head of fs and counts it as lost.
func (q *txQueue) drop(fs []hal.Frame, why reason) (frames int) {
	n := hal.ChainLen(fs)
	if n == 0 {
		n = len(fs) // a chain without an end: all of it
	}
	q.takeBack(fs[:n])
	q.dropped(why)
	q.refused = 0
	return n
}

// check looks whether a frame can be sent, and if it never can, why.
func (q *txQueue) check(f *hal.Frame) (why reason, ok bool) {
	size := len(f.Data)
	switch {
	case f.More:
		return txChained, false
	case size < hal.EthernetHeaderLen:
		return txRunt, false
	case !q.offload.Carries(f.Meta), f.Meta.GSO > hal.GSOUDP:
		return txOffload, false
	case f.Meta.GSO == hal.GSONone && size > q.maxPacket(), size > maxSuper:
		return txTooLong, false
	}
	return 0, true
}

// failed decides what the first packet of a burst failed for: lost, for a reason,
// or to be tried again, or that all is over.
func (q *txQueue) failed(fd int, err error) (why reason, lost bool, _ error) {
	switch err {
	case unix.EAGAIN:
		return 0, false, nil
	case unix.ENOBUFS, unix.ENOMEM:
		if q.refused++; q.refused < patience {
			return 0, false, nil
		}
		return txNoBuffer, true, nil
	case unix.EINVAL:
		return txRejected, true, nil
	case unix.EMSGSIZE: // the MTU was lowered behind our back
		return txTooLong, true, nil
	case unix.ENETDOWN, unix.ENXIO:
		if q.lost(fd) {
			return 0, false, q.errGone()
		}
		return txLinkDown, true, nil
	}
	return 0, false, q.broken("send to", err)
}

// withHeader returns the packet of f with the virtio-net header before it.
func (q *txQueue) withHeader(f *hal.Frame) []byte {
	p, ref := q.owner(f)
	buf := p.Lent(ref)
	at := len(buf) - cap(f.Data) // Data has been moved, but ends where buf does
	if at < offload.VirtioLen || &buf[at] != &f.Data[0] {
		panic("packet: Tx of a frame that is not from Alloc of this half")
	}
	buf = buf[at-offload.VirtioLen : at+len(f.Data)]
	offload.PutVirtio(buf[:offload.VirtioLen], f.Meta)
	return buf
}

// Flush implements [hal.TxQueue]; Tx has sent everything.
func (q *txQueue) Flush() error {
	if q.Closed() {
		return hal.ErrClosed
	}
	return nil
}
