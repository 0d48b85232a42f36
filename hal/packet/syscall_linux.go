package packet

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// batch is how many packets cross in one system call at most. More makes them no
// cheaper.
const batch = 64

// messages are the arguments of recvmmsg and sendmmsg, made once. It lies on the
// heap with the half that owns it, and must not be copied.
type messages struct {
	msgs [batch]unix.Mmsghdr
	iovs [batch]unix.Iovec
}

// init connects the two arrays.
func (m *messages) init() {
	for i := range m.msgs {
		m.msgs[i].Hdr.Iov = &m.iovs[i]
		m.msgs[i].Hdr.SetIovlen(1)
	}
}

// set makes b the memory of message i.
func (m *messages) set(i int, b []byte) {
	m.iovs[i].Base = unsafe.SliceData(b)
	m.iovs[i].SetLen(len(b))
}

// received returns how long message i is, and whether it was cut.
func (m *messages) received(i int) (n int, cut bool) {
	return int(m.msgs[i].Len), m.msgs[i].Hdr.Flags&unix.MSG_TRUNC != 0
}

// receive fills the first n messages, as many as there are packets. It never blocks.
func (m *messages) receive(fd, n int) (int, error) {
	return m.call(unix.SYS_RECVMMSG, fd, n)
}

// send sends the first n messages, as many as there is room for. It never blocks.
func (m *messages) send(fd, n int) (int, error) {
	return m.call(unix.SYS_SENDMMSG, fd, n)
}

// call repeats a system call that a signal cut off before it began.
func (m *messages) call(number uintptr, fd, n int) (int, error) {
	for {
		done, _, errno := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&m.msgs[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(done), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// mapRing maps the ring of a socket.
func mapRing(fd, size int) ([]byte, error) {
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), size), nil
}

// blankRing puts memory of our own, empty, in the place of a ring, at once: whoever
// reads or writes there meanwhile sees one or the other. The kernel has its
// memory back; ours takes none until it is written.
func blankRing(ring []byte) error {
	_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(&ring[0]), uintptr(len(ring)), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return err
}

func unmapRing(ring []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(&ring[0]), uintptr(len(ring)))
}

// status is the word by which a block changes hands between the kernel and us.
func (b block) status() *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&b[blockStatus]))
}

// attachFilter replaces the filter of a socket.
func attachFilter(fd int, p []instruction) error {
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: (*unix.SockFilter)(unsafe.Pointer(&p[0]))}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
}

// membership asks the interface to receive for one more MAC address, or not any
// longer.
func membership(fd, index, option int, kind uint16, m hal.MAC) error {
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: kind, Alen: uint16(len(m))}
	copy(mreq.Address[:], m[:])
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, option, &mreq)
}
