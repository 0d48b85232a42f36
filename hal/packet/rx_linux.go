package packet

import (
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// readSize is more than the longest packet: 64 KiB with an IPv6 header and a tag,
// behind the virtio-net header.
const readSize = offload.VirtioLen + maxSuper + 40 + 4

// rxQueue receives a burst by one system call, straight into the memory that it
// lends. Every packet may be a super-frame, so every buffer is long; the kernel
// writes only as much of it as the packet has.
type rxQueue struct {
	half
	pool netif.Pool
	lent int // frames that the user has

	// The buffers of the next call. A call uses up the first of them.
	messages
	refs  [batch]int
	ready int // messages that have a buffer
}

// newRx makes the receiving half of a socket.
func newRx(w *wire) *rxQueue {
	q := &rxQueue{half: half{wire: w}, pool: netif.Pool{Size: readSize, Limit: superLoans + batch}}
	q.init()
	return q
}

// Rx implements [hal.RxQueue].
func (q *rxQueue) Rx(fs []hal.Frame) (int, error) {
	if len(fs) < 1 {
		return 0, hal.ErrShortBurst
	}
	fd := q.Lock()
	defer q.Unlock()
	if fd < 0 {
		return 0, hal.ErrClosed
	}
	room := min(len(fs), batch, superLoans-q.lent)
	if room <= 0 {
		return 0, nil
	}
	for range batch { // and if all of it is lost, the socket is still readable
		q.refill(room)
		got, err := q.receive(fd, room)
		if err != nil {
			if more, err := q.failed(fd, err); !more {
				return 0, err
			}
			continue
		}
		if n := q.take(fs, got); n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// refill gives the first n messages buffers. There are as many as can be on loan
// and in messages together.
func (q *rxQueue) refill(n int) {
	for ; q.ready < n; q.ready++ {
		ref, buf, ok := q.pool.Get()
		if !ok {
			panic("packet: buffers are missing")
		}
		q.refs[q.ready] = ref
		q.set(q.ready, buf)
	}
}

// take makes frames of the first got messages.
func (q *rxQueue) take(fs []hal.Frame, got int) (n int) {
	bytes := 0
	for i := range got {
		ref := q.refs[i]
		buf := q.pool.Lent(ref)
		size, cut := q.received(i)
		meta, why, ok := inspectPacket(buf, size, cut)
		if !ok {
			q.pool.Put(ref)
			q.dropped(why)
			continue
		}
		fs[n] = hal.NewFrame(buf, offload.VirtioLen, size-offload.VirtioLen, uint64(ref))
		fs[n].Meta = meta
		bytes += len(fs[n].Data)
		n++
	}
	q.close(got)
	q.lent += n
	q.passed(n, bytes)
	return n
}

// close fills the gap of the first got messages, whose buffers are used up, with
// the last ones.
func (q *rxQueue) close(got int) {
	keep := q.ready - got
	for i := range min(got, keep) {
		q.refs[i] = q.refs[q.ready-1-i]
		q.set(i, q.pool.Lent(q.refs[i]))
	}
	q.ready = keep
}

// inspectPacket looks at size bytes that were received: header and packet.
func inspectPacket(buf []byte, size int, cut bool) (m hal.Meta, why reason, ok bool) {
	switch {
	case cut:
		return m, rxTooLong, false
	case size < offload.VirtioLen+hal.EthernetHeaderLen:
		return m, rxRunt, false
	}
	m, err := offload.ParseVirtio(buf[:offload.VirtioLen], size-offload.VirtioLen)
	return m, rxBadHeader, err == nil
}

// failed decides what an error of the socket means: that there is more to receive,
// that there is nothing, or that it is over.
func (q *rxQueue) failed(fd int, err error) (more bool, _ error) {
	switch err {
	case unix.EAGAIN:
		if q.gone.Load() {
			return false, q.errGone()
		}
		return false, nil
	case unix.EINVAL:
		// The next packet was one that the virtio-net header cannot describe.
		q.dropped(rxBadHeader)
		return true, nil
	case unix.ENETDOWN:
		// Said once. What was received before comes first.
		q.lost(fd)
		return true, nil
	}
	return false, q.broken("receive from", err)
}

// Release implements [hal.RxQueue].
func (q *rxQueue) Release(fs []hal.Frame) {
	if q.Closed() {
		return
	}
	for i := range fs {
		q.pool.Put(int(fs[i].Ref()))
		q.lent--
	}
}
