package afxdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is an AF_XDP socket with its rings: one queue.
type socket struct {
	fd    int
	rings mapping
}

// close lets the kernel free the queue, which it does a moment later.
func (s *socket) close() error {
	err := s.rings.close()
	if s.fd >= 0 {
		err = errors.Join(err, unix.Close(s.fd))
		s.fd = -1
	}
	return err
}

// newSocket makes a socket without anything.
func newSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("AF_XDP socket: %w", denied(err))
	}
	return &socket{fd: fd}, nil
}

// lend makes memory for the frames of all queues, and registers it with the
// first of their sockets.
func (s *socket) lend(c Config, mtu, queues int) (*umem, layout, error) {
	l := newLayout(c.Frames, mtu, metaLength)
	size := queues * (l.rx + l.tx) * l.chunk
	mem, err := newUMEM(size)
	if err != nil {
		return nil, l, err
	}
	err = register(s.fd, mem.mem, l.chunk, l.meta)
	if err == unix.EINVAL { // metadata came with Linux 6.8, and this flag with 6.11
		l = newLayout(c.Frames, mtu, 0)
		err = register(s.fd, mem.mem, l.chunk, l.meta)
	}
	if err == nil {
		return mem, l, nil
	}
	if err == unix.ENOBUFS || err == unix.ENOMEM {
		err = fmt.Errorf("%d MiB for frames exceed the limit on locked memory (ulimit -l, the capability CAP_IPC_LOCK, or fewer frames: frames=%d): %w",
			size>>20, max(minFrames, (l.rx+l.tx)/2), err)
	} else {
		err = fmt.Errorf("registering the memory for frames: %w", err)
	}
	return nil, l, errors.Join(err, mem.end(0))
}

// prepare makes the rings.
func (s *socket) prepare(l *layout, w waiting, rx *rxQueue, tx *txQueue) error {
	for _, o := range []struct{ option, slots int }{
		{unix.XDP_UMEM_FILL_RING, l.fill},
		{unix.XDP_UMEM_COMPLETION_RING, l.txRing},
		{unix.XDP_RX_RING, l.rxRing},
		{unix.XDP_TX_RING, l.txRing},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, o.option, o.slots); err != nil {
			return fmt.Errorf("a ring of %d slots (frames= asks for it): %w", o.slots, err)
		}
	}
	if err := s.rings.rings(s.fd, l, rx, tx); err != nil {
		return err
	}
	// As many packets as there are in one call; without this option it is 32.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, l.txRing)
	if w.how != "busy-poll" {
		return nil
	}
	for _, o := range []struct{ option, value int }{
		{unix.SO_PREFER_BUSY_POLL, 1}, {unix.SO_BUSY_POLL, busyPollTime}, {unix.SO_BUSY_POLL_BUDGET, busyPollBudget},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o.option, o.value); err != nil {
			return fmt.Errorf("wait=busy-poll needs Linux 5.11 and the capability CAP_NET_ADMIN (or wait=poll): %w", err)
		}
	}
	return nil
}

// How long the kernel polls a card in one call, in microseconds, and for how many
// packets.
const (
	busyPollTime   = 20
	busyPollBudget = 64
)

// bindPatience is how long bind waits for a queue that its last user has left. The
// kernel frees it some 50 ms after the socket is gone.
const bindPatience = time.Second

// bind attaches the socket to a queue of the interface. first is the socket with
// the memory, s itself for the first queue.
func (s *socket) bind(c Config, i *iface, l *layout, queue int, first *socket) error {
	addr := unix.SockaddrXDP{Ifindex: uint32(i.index), QueueID: uint32(queue)}
	if s != first { // whatever else was asked for holds for these too
		addr.Flags, addr.SharedUmemFD = unix.XDP_SHARED_UMEM, uint32(first.fd)
	} else {
		addr.Flags = unix.XDP_USE_NEED_WAKEUP
		if c.Copy != "zero" {
			addr.Flags |= unix.XDP_COPY
		}
		if l.maxChain() > 1 {
			addr.Flags |= unix.XDP_USE_SG
		}
	}
	err := unix.Bind(s.fd, &addr)
	deadline := time.Now().Add(bindPatience)
	for pause := time.Millisecond; err == unix.EBUSY && time.Now().Before(deadline); pause = min(2*pause, 50*time.Millisecond) {
		time.Sleep(pause)
		err = unix.Bind(s.fd, &addr)
	}
	switch {
	case err == nil:
		return nil
	case err == unix.EBUSY:
		return fmt.Errorf("queue %d of interface %s is taken by another AF_XDP socket: end that program (ss --xdp -p names it), or use another interface: %w", queue, i.name, err)
	case err == unix.EINVAL && queue >= i.queues:
		return fmt.Errorf("interface %s has no queue %d: it has %d (ethtool -L %s combined N, or queues=): %w", i.name, queue, i.queues, i.name, err)
	case err == unix.EINVAL && l.maxChain() > 1:
		return fmt.Errorf("interface %s has an MTU of %d, for which packets have to be in pieces; that needs Linux 6.6 (or ip link set %s mtu %d): %w",
			i.name, i.mtu, i.name, l.chunk-kernelRoom-overhead, err)
	case err == unix.ENETDOWN:
		return fmt.Errorf("interface %s is down (ip link set %s up): %w", i.name, i.name, err)
	}
	return fmt.Errorf("binding to queue %d of interface %s: %w", queue, i.name, err)
}
