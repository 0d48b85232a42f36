package tap

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
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

// half is one half of a queue.
type half struct {
	*format
	counters
	netif.Half
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
