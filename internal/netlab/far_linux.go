package netlab

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// roomy is how much a packet socket may hold back, in bytes of the kernel's
// memory: tests count on receiving what they send.
const roomy = 64 << 20

// Far is a packet socket on an interface: the other end of a device under test,
// in the sense of package haltest. It sees what the interface receives and sends
// past the kernel's own protocols. Super-frames and blank checksums pass as they
// are. Send and Recv may run at the same time.
type Far struct {
	file *os.File
	buf  []byte // of the one goroutine that receives
}

// Far opens a packet socket on an interface of the namespace. It is closed when
// t ends, which may be a part of the test that the lab is for.
func (n *Namespace) Far(t testing.TB, ifname string) *Far {
	t.Helper()
	var fd int
	err := n.Do(func() (err error) {
		fd, err = packetSocket(ifname)
		return err
	})
	if err != nil {
		t.Fatalf("netlab: packet socket on %s in %s: %v", ifname, n.name, err)
	}
	f := &Far{file: os.NewFile(uintptr(fd), "packet:"+ifname), buf: make([]byte, 1<<17)}
	t.Cleanup(func() { f.file.Close() })
	return f
}

func packetSocket(ifname string) (fd int, err error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return -1, err
	}
	// Protocol 0 receives nothing until bind has named the interface.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	for _, opt := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, roomy},
	} {
		if err == nil {
			err = unix.SetsockoptInt(fd, opt.level, opt.name, opt.value)
		}
	}
	if err == nil {
		const all = uint16(unix.ETH_P_ALL)
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: ifi.Index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Send sends a packet, from its Ethernet header on.
func (f *Far) Send(packet []byte) error { return f.SendMeta(packet, hal.Meta{}) }

// SendMeta sends a packet that the interface has to finish: a super-frame, a
// blank checksum.
func (f *Far) SendMeta(packet []byte, m hal.Meta) error {
	b := make([]byte, offload.VirtioLen, offload.VirtioLen+len(packet))
	offload.PutVirtio(b, m)
	_, err := f.file.Write(append(b, packet...))
	return err
}

// Recv returns the next packet that the interface has received, or an error if
// there is none within timeout.
func (f *Far) Recv(timeout time.Duration) ([]byte, error) {
	packet, _, err := f.RecvMeta(timeout)
	return packet, err
}

// RecvMeta is Recv with what the kernel knows about the packet.
func (f *Far) RecvMeta(timeout time.Duration) ([]byte, hal.Meta, error) {
	if err := f.file.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, hal.Meta{}, err
	}
	n, err := f.file.Read(f.buf)
	if err != nil {
		return nil, hal.Meta{}, err
	}
	if n < offload.VirtioLen {
		return nil, hal.Meta{}, fmt.Errorf("a packet without its header: %d bytes", n)
	}
	packet := append([]byte(nil), f.buf[offload.VirtioLen:n]...)
	m, err := offload.ParseVirtio(f.buf[:offload.VirtioLen], len(packet))
	return packet, m, err
}
