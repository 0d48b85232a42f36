package packet

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// maxSuper is the longest super-frame: an IPv4 packet of maximal length.
const maxSuper = hal.EthernetHeaderLen + 65535

// How many buffers a half lends: for packets up to the MTU, and for super-frames.
// One burst is all that anybody holds, and each of the latter takes 72 KiB once it
// is used for the first time.
const (
	smallLoans = 256
	superLoans = 64
)

// headroom is what users get in front of an allocated frame. The virtio-net
// header has its own room before that.
const headroom = 64

// offloads are what the kernel does for packet sockets on every interface, in
// software where the card does not; USO it does from Linux 6.2 on.
const offloads = hal.Csum | hal.TSO4 | hal.TSO6

// wire is what the halves know of the interface.
type wire struct {
	ifname  string
	mtu     int
	offload hal.Offload
	gone    atomic.Bool // the interface was deleted, or has left the namespace
}

// maxPacket is the longest packet that is not a super-frame.
func (w *wire) maxPacket() int { return w.mtu + hal.EthernetHeaderLen }

// errGone says that the interface is no more.
func (w *wire) errGone() error {
	return fmt.Errorf("packet: interface %s is gone (deleted, unplugged, or moved to another namespace): open the device again: %w", w.ifname, unix.ENODEV)
}

// half is one half of a queue. Both have a socket of their own: an error that the
// kernel keeps in a socket for the receiver must not hit a sender.
type half struct {
	*wire
	counters
	netif.Half
}

// lost asks whether the interface is gone for good, and remembers it. The kernel
// takes the number of the interface out of a socket then.
func (h *half) lost(fd int) bool {
	if h.gone.Load() {
		return true
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	if ll, ok := sa.(*unix.SockaddrLinklayer); ok && ll.Ifindex <= 0 {
		h.gone.Store(true)
	}
	return h.gone.Load()
}

// look is lost from outside of the half.
func (h *half) look() bool {
	fd := h.Lock()
	defer h.Unlock()
	return fd >= 0 && h.lost(fd)
}

// broken makes an error of what a system call fails with.
func (h *half) broken(op string, err error) error {
	return fmt.Errorf("packet: %s interface %s: %w", op, h.ifname, err)
}

// count returns the counters of the half.
func (h *half) count() *counters { return &h.counters }

// retire takes the socket away.
func (h *half) retire() (fd int, err error) { return h.Retire(), nil }
