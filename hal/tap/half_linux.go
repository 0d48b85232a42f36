package tap

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// format is how packets lie in what a descriptor reads and writes.
type format struct {
	ifname  string
	header  int // length of the virtio-net header before each packet; 0: none
	mtu     int
	gsoMax  int
	offload hal.Offload // what Tx takes
}

// maxPacket is the longest packet that is not a super-frame.
func (f *format) maxPacket() int { return f.mtu + hal.EthernetHeaderLen }

// half is what both halves of a queue have: the descriptor, which they share,
// and the lock that keeps Close from closing it under a system call, after which
// its number may mean another file. The lock is held through a burst, which
// never blocks, and nobody but Close contends for it: that costs some 10 ns a
// burst, against 300 ns for the cheapest system call.
type half struct {
	*format
	counters
	notify atomic.Pointer[func()]

	mu sync.Mutex
	fd int // -1 after Close
}

// FD implements [hal.Pollable].
func (h *half) FD() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fd
}

// Notify implements [hal.Notifier]: the descriptor tells everything but Close.
func (h *half) Notify(f func()) {
	if f == nil {
		h.notify.Store(nil)
		return
	}
	h.notify.Store(&f)
}

// retire takes the descriptor away and returns it to be closed.
func (h *half) retire() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd := h.fd
	h.fd = -1
	return fd
}

// closing tells the sleeper.
func (h *half) closing() {
	if f := h.notify.Load(); f != nil {
		(*f)()
	}
}

// broken makes an error of what a read or write of the device fails with.
// EBADFD, and EFAULT while it is going away, mean that the interface was deleted.
func (h *half) broken(op string, err error) error {
	if err == unix.EBADFD || err == unix.EFAULT {
		return fmt.Errorf("tap: interface %s is gone (deleted by ip-link?): open the device again: %w", h.ifname, unix.ENODEV)
	}
	return fmt.Errorf("tap: %s interface %s: %w", op, h.ifname, err)
}

// uninterrupted repeats a system call that a signal cut off before it began.
func uninterrupted(call func(int, []byte) (int, error), fd int, p []byte) (n int, err error) {
	for {
		if n, err = call(fd, p); err != unix.EINTR {
			return n, err
		}
	}
}
