package afxdp

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// copyRef marks the loans of a copy (hal.Frame.Ref), which are not from the
// memory that is shared with the kernel.
const copyRef = 1 << 63

const (
	maxCopies = 256     // on loan
	heldBack  = 1 << 20 // bytes of copies that the kernel keeps for us
)

// copies receives what belongs to the kernel and to us: the kernel keeps the
// frame, and a packet socket gives us a copy. Its filter is the program that the
// interface has too, so that both always agree. The receiving half of queue 0 owns it,
// and delivers the copies after what came by its ring.
//
// The socket has a second use: while it is open, the card lets through what is sent
// to the stations in joined, groups as a rule, of which the kernel knows nothing.
type copies struct {
	iface  *iface
	fd     int // readable when there are copies; close-on-exec, does not block
	pool   netif.Pool
	joined map[hal.MAC]bool

	tooLong, badHeader, full atomic.Uint64
}

// openCopies opens the packet socket on an interface, in the namespace of the
// calling thread, which is the interface's.
func openCopies(i *iface, filter *ebpf.Program) (*copies, error) {
	// With protocol 0 nothing arrives before the filter is there and bind is called.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", denied(err))
	}
	c := &copies{iface: i, fd: fd, joined: map[hal.MAC]bool{}, pool: netif.Pool{Size: offload.VirtioLen + i.maxPacket() + 1, Limit: maxCopies}}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, heldBack) // or as many as others get
	for _, o := range []struct {
		level, name, value int
	}{
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_SOCKET, unix.SO_ATTACH_BPF, filter.FD()},
	} {
		if err == nil {
			err = unix.SetsockoptInt(fd, o.level, o.name, o.value)
		}
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(be16(unix.ETH_P_ALL)), Ifindex: i.index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket on interface %s: %w", i.name, err)
	}
	return c, nil
}

// rx fills fs with copies, one frame each, whose Ref has the bit copyRef. It does
// not block, and makes a system call: it is for a half whose ring is empty. 0 means
// that there are none now, or that all were lost: then the socket is still readable.
// An error means that the interface is gone.
func (c *copies) rx(fs []hal.Frame) (int, error) {
	n := 0
	for range fs {
		ref, buf, ok := c.pool.Get()
		if !ok {
			break
		}
		size, err := unix.Read(c.fd, buf)
		if err == nil && c.frame(&fs[n], buf, size, ref) {
			n++
			continue
		}
		c.pool.Put(ref)
		switch err {
		case nil, unix.EINTR: // the next one
		case unix.EINVAL: // the kernel cannot describe this one, and has dropped it
			c.badHeader.Add(1)
		case unix.EAGAIN:
			return n, nil
		case unix.ENETDOWN: // said once; it may come up again
			return n, c.iface.gone()
		default:
			return n, fmt.Errorf("copies of frames of interface %s: %w", c.iface.name, err)
		}
	}
	return n, nil
}

// frame makes a loan of a copy.
func (c *copies) frame(f *hal.Frame, buf []byte, size, ref int) bool {
	if size <= offload.VirtioLen || size == len(buf) {
		c.tooLong.Add(1)
		return false
	}
	m, err := offload.ParseVirtio(buf[:offload.VirtioLen], size-offload.VirtioLen)
	switch {
	case err != nil:
		c.badHeader.Add(1)
		return false
	case m.GSO != hal.GSONone:
		c.tooLong.Add(1)
		return false
	}
	*f = hal.NewFrame(buf[:size:size], offload.VirtioLen, size-offload.VirtioLen, uint64(ref)|copyRef)
	f.Meta = m
	return true
}

// release ends the loan of a frame whose Ref has the bit copyRef.
func (c *copies) release(ref uint64) { c.pool.Put(int(ref &^ copyRef)) }

// The reasons why copies are lost: the queue of the packet socket was full, it was
// longer than the MTU says, or a super-frame of a kind that the virtio-net header
// cannot say.
const (
	copyFull      = "rx-copy-queue-full"
	copyTooLong   = "rx-copy-too-long"
	copyBadHeader = "rx-copy-bad-header"
)

// drops adds the copies that were lost to the reasons of hal.Stats. It may run
// beside rx, but not beside close.
func (c *copies) drops(into map[string]uint64) {
	if s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		c.full.Add(uint64(s.Drops)) // since it was asked for the last time
	}
	into[copyFull] += c.full.Load()
	into[copyTooLong] += c.tooLong.Load()
	into[copyBadHeader] += c.badHeader.Load()
}

// admit makes the card let through what is sent to these stations. What is added
// is there before anything is removed.
func (c *copies) admit(stations map[hal.MAC]bool) error {
	for m := range stations {
		if !c.joined[m] {
			if err := c.member(unix.PACKET_ADD_MEMBERSHIP, m); err != nil {
				return err
			}
			c.joined[m] = true
		}
	}
	for m := range c.joined {
		if !stations[m] {
			delete(c.joined, m)
			if err := c.member(unix.PACKET_DROP_MEMBERSHIP, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *copies) member(change int, m hal.MAC) error {
	kind := uint16(unix.PACKET_MR_UNICAST)
	if m.IsMulticast() {
		kind = unix.PACKET_MR_MULTICAST
	}
	r := unix.PacketMreq{Ifindex: int32(c.iface.index), Type: kind, Alen: uint16(len(m))}
	copy(r.Address[:], m[:])
	err := unix.SetsockoptPacketMreq(c.fd, unix.SOL_PACKET, change, &r)
	if errors.Is(err, unix.ENODEV) && change == unix.PACKET_DROP_MEMBERSHIP {
		return nil // it went with the interface
	}
	if err != nil {
		return fmt.Errorf("making interface %s receive for %v: %w", c.iface.name, m, err)
	}
	return nil
}

func (c *copies) close() error { return unix.Close(c.fd) }

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
