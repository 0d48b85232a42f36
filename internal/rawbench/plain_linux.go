package rawbench

import (
	"context"
	"fmt"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// Plain is the yardstick: a packet socket on an interface, with sendmmsg(2) and
// recvmmsg(2) over memory that was prepared once.
type Plain struct {
	fd   int
	name string
	mac  hal.MAC
	msgs [burst]mmsghdr
	vecs [burst]unix.Iovec
	bufs [burst][]byte
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// OpenPlain opens an interface of the calling thread's namespace.
func OpenPlain(ifname string) (*Plain, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", ifname, err)
	}
	const all = uint16(unix.ETH_P_ALL)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("a packet socket needs the capability CAP_NET_RAW (run as root): %w", err)
	}
	p := &Plain{fd: fd, name: ifname}
	copy(p.mac[:], ifi.HardwareAddr)
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: ifi.Index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket on %s: %w", ifname, err)
	}
	for i := range p.bufs {
		p.bufs[i] = make([]byte, 1<<16)
		p.set(i, p.bufs[i])
	}
	return p, nil
}

// set makes message i point to b.
func (p *Plain) set(i int, b []byte) {
	p.vecs[i].Base = &b[0]
	p.vecs[i].SetLen(len(b))
	p.msgs[i].hdr.Iov = &p.vecs[i]
	p.msgs[i].hdr.SetIovlen(1)
}

// MAC returns the address of the interface.
func (p *Plain) MAC() hal.MAC { return p.mac }

// Close closes the socket.
func (p *Plain) Close() error { return unix.Close(p.fd) }

// call moves up to a burst of messages.
func (p *Plain) call(trap uintptr, flags int) (int, error) {
	n, _, errno := unix.Syscall6(trap, uintptr(p.fd), uintptr(unsafe.Pointer(&p.msgs[0])), burst, uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Send is [Send] over the socket.
func (p *Plain) Send(ctx context.Context, frame []byte, d time.Duration) (Result, error) {
	for i := range p.vecs {
		p.set(i, frame)
	}
	var sent uint64
	watch := start()
	for end := watch.begin.Add(d); ctx.Err() == nil && time.Now().Before(end); {
		n, err := p.call(unix.SYS_SENDMMSG, 0)
		switch err {
		case nil, unix.EINTR, unix.ENOBUFS, unix.EAGAIN: // full: it was lost, or try again
		default:
			return Result{}, fmt.Errorf("sendmmsg on %s: %w", p.name, err)
		}
		sent += uint64(n)
	}
	return watch.stop(sent), nil
}

// Receive is [Receive] over the socket.
func (p *Plain) Receive(ctx context.Context, d time.Duration) (Result, error) {
	for i := range p.vecs {
		p.set(i, p.bufs[i])
	}
	var frames uint64
	watch, end := stopwatch{}, time.Now().Add(patience)
	for ctx.Err() == nil && time.Now().Before(end) {
		n, err := p.call(unix.SYS_RECVMMSG, unix.MSG_WAITFORONE)
		switch err {
		case nil, unix.EINTR, unix.EAGAIN:
		default:
			return Result{}, fmt.Errorf("recvmmsg on %s: %w", p.name, err)
		}
		for i := range n {
			if !ours(p.bufs[i][:p.msgs[i].len]) {
				continue
			}
			if frames++; frames == 1 {
				watch = start()
				end = watch.begin.Add(d)
			}
		}
	}
	if frames == 0 {
		return Result{}, fmt.Errorf("%w within %v", ErrSilence, patience)
	}
	return watch.stop(frames), nil
}
