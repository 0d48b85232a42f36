package tap

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// txQueue writes one packet a system call, straight from the memory it lent:
// the header goes into the bytes before the packet.
type txQueue struct {
	half
	small, big netif.Pool // for packets up to the MTU, and for super-frames
}

// errDropped says that a packet will not be sent and why is known.
var errDropped = errors.New("dropped")

// bigRef marks the number of a buffer of the second pool.
const bigRef = 1 << 32

// Alloc implements [hal.TxQueue].
func (q *txQueue) Alloc(fs []hal.Frame, size int) (int, error) {
	switch {
	case q.Closed():
		return 0, hal.ErrClosed
	case len(fs) < 1:
		return 0, hal.ErrShortBurst
	case size > max(q.maxPacket(), q.gsoMax):
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
	fs[0] = hal.NewFrame(buf[q.header:], headroom, size, uint64(ref)|tag)
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
	packets, bytes, i := 0, 0, 0
	defer func() { q.passed(packets, bytes) }()
	for i < len(fs) {
		n := hal.ChainLen(fs[i:])
		if n == 0 {
			n = len(fs) - i // a chain without an end: all of it
		}
		why, err := q.send(fd, fs[i:i+n])
		switch err {
		case nil:
			packets++
			bytes += len(fs[i].Data)
		case errDropped:
			q.dropped(why)
		case unix.EAGAIN:
			return i, nil
		default:
			return i, q.broken("write to", err)
		}
		q.takeBack(fs[i : i+n])
		i += n
	}
	return i, nil
}

// send writes one packet. Of the errors errDropped is settled, with a reason.
func (q *txQueue) send(fd int, chain []hal.Frame) (reason, error) {
	f := &chain[0]
	size := len(f.Data)
	switch {
	case len(chain) > 1, f.More:
		return txChained, errDropped
	case size < hal.EthernetHeaderLen:
		return txRunt, errDropped
	case !q.offload.Carries(f.Meta), f.Meta.GSO > hal.GSOUDP:
		return txOffload, errDropped
	case f.Meta.GSO == hal.GSONone && size > q.maxPacket(), size > max(q.maxPacket(), q.gsoMax):
		return txTooLong, errDropped
	}
	_, err := uninterrupted(unix.Write, fd, q.withHeader(f))
	switch err {
	case unix.EIO:
		return txLinkDown, errDropped
	case unix.EINVAL:
		return txRejected, errDropped
	case unix.ENOMEM, unix.ENOBUFS:
		return txNoMemory, errDropped
	}
	return 0, err
}

// withHeader returns the packet of f with the virtio-net header before it.
func (q *txQueue) withHeader(f *hal.Frame) []byte {
	p, ref := q.owner(f)
	buf := p.Lent(ref)
	at := len(buf) - cap(f.Data) // Data has been moved, but ends where buf does
	if at < q.header || &buf[at] != &f.Data[0] {
		panic("tap: Tx of a frame that is not from Alloc of this half")
	}
	buf = buf[at-q.header : at+len(f.Data)]
	if q.header > 0 {
		offload.PutVirtio(buf[:q.header], f.Meta)
	}
	return buf
}

// Flush implements [hal.TxQueue]; Tx has sent everything.
func (q *txQueue) Flush() error {
	if q.Closed() {
		return hal.ErrClosed
	}
	return nil
}
