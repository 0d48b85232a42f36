package tap

import (
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// rxQueue reads one packet a system call, straight into the memory it lends.
type rxQueue struct {
	half
	pool netif.Pool
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
	n, bytes := 0, 0
	defer func() { q.passed(n, bytes) }()
	for n < len(fs) {
		ref, buf, ok := q.pool.Get()
		if !ok {
			break
		}
		got, err := uninterrupted(unix.Read, fd, buf)
		if err != nil {
			q.pool.Put(ref)
			if n > 0 || err == unix.EAGAIN || err == unix.EIO {
				break // a real error comes again; EIO: down, so nothing to come
			}
			return 0, q.broken("read from", err)
		}
		meta, why, ok := q.inspect(buf, got)
		if !ok {
			q.pool.Put(ref)
			q.dropped(why)
			continue
		}
		fs[n] = hal.NewFrame(buf, q.header, got-q.header, uint64(ref))
		fs[n].Meta = meta
		bytes += got - q.header
		n++
	}
	return n, nil
}

// inspect looks at got bytes that were read: header and packet.
func (q *rxQueue) inspect(buf []byte, got int) (m hal.Meta, why reason, ok bool) {
	size := got - q.header
	switch {
	case got == len(buf): // longer buffers than packets: it was cut
		return m, rxTooLong, false
	case size < hal.EthernetHeaderLen:
		return m, rxRunt, false
	case q.header == 0:
		return m, 0, true
	}
	m, err := offload.ParseVirtio(buf[:q.header], size)
	return m, rxBadHeader, err == nil
}

// Release implements [hal.RxQueue].
func (q *rxQueue) Release(fs []hal.Frame) {
	if q.Closed() {
		return
	}
	for i := range fs {
		q.pool.Put(int(fs[i].Ref()))
	}
}
