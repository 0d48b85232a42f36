package api_test

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMisuseOfTheKernel measures the column of Linux: each case is done to the
// kernel's own sockets, on its loopback interface. What it does not measure is
// from a manual page.
func TestMisuseOfTheKernel(t *testing.T) {
	for _, m := range misuses {
		measure, ok := kernelMisuse[m.id()]
		if want := m.linux != errNone && m.page == ""; ok != want {
			t.Errorf("%s: is measured: %v, want %v: either there is a measurement, or a manual page, or no such call", m.id(), ok, want)
		}
		if !ok {
			continue
		}
		t.Run(m.id(), func(t *testing.T) {
			got := measure(&kernelCase{TB: t})
			if errors.Is(got, unix.EAGAIN) {
				got = errWaits
			}
			if got != m.linux {
				t.Errorf("the kernel says %v, the table %s", got, shown(m.linux))
			}
		})
	}
	known := map[string]bool{}
	for _, m := range misuses {
		known[m.id()] = true
	}
	for id := range kernelMisuse {
		if !known[id] {
			t.Errorf("%s is measured, and not in the table", id)
		}
	}
}

// A kernelCase makes sockets of the kernel for one case, which do not block.
type kernelCase struct{ testing.TB }

// badFD is no file descriptor, also if it is closed: in a program with
// goroutines the number of one that was closed may be somebody's again.
const badFD = 1 << 29

func (k *kernelCase) socket(family, kind int) int {
	k.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { unix.Close(fd) })
	return fd
}

func (k *kernelCase) tcp() int { return k.socket(unix.AF_INET, unix.SOCK_STREAM) }
func (k *kernelCase) udp() int { return k.socket(unix.AF_INET, unix.SOCK_DGRAM) }

// six returns a socket of IPv6, and of IPv4 as well unless only.
func (k *kernelCase) six(kind int, only bool) int {
	k.Helper()
	fd, v := k.socket(unix.AF_INET6, kind), 0
	if only {
		v = 1
	}
	k.must(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v))
	return fd
}

func (k *kernelCase) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func lo(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

// mapped is IPv4 in the clothes of IPv6.
func mapped(port int) *unix.SockaddrInet6 {
	return &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
}

// nothing is a port where nobody listens: that of a socket which only holds it.
func (k *kernelCase) nothing(kind int) *unix.SockaddrInet4 {
	return lo(k.port(k.bound(kind)))
}

func (k *kernelCase) bound(kind int) int {
	k.Helper()
	fd := k.socket(unix.AF_INET, kind)
	k.must(unix.Bind(fd, lo(0)))
	return fd
}

func (k *kernelCase) port(fd int) int {
	k.Helper()
	sa, err := unix.Getsockname(fd)
	k.must(err)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sa.Port
	case *unix.SockaddrInet6:
		return sa.Port
	}
	k.Fatalf("%T", sa)
	return 0
}

func (k *kernelCase) listening() int {
	k.Helper()
	fd := k.bound(unix.SOCK_STREAM)
	k.must(unix.Listen(fd, 8))
	return fd
}

// accepting is listening, in a thread that waits in accept. It is a system call of
// its own, so that the end of the listener ends it.
func (k *kernelCase) accepting() int {
	k.Helper()
	fd := k.listening()
	k.must(unix.SetNonblock(fd, false))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if nfd, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err == nil {
			unix.Close(nfd)
		}
	}()
	k.Cleanup(func() {
		unix.Shutdown(fd, unix.SHUT_RD)
		<-ended
	})
	return fd
}

// connect waits for the connection.
func (k *kernelCase) connect(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if err != unix.EINPROGRESS {
		return err
	}
	k.ready(fd, unix.POLLOUT)
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && v != 0 {
		err = syscall.Errno(v)
	}
	if err == nil {
		err = unix.Connect(fd, to) // only the answer to this one makes it connected
	}
	return err
}

// ready waits until there is something to be had.
func (k *kernelCase) ready(fd int, events int16) {
	k.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, 20_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			k.Fatalf("poll: %d, %v", n, err)
		}
		return
	}
}

func (k *kernelCase) connected() (near, far int) {
	k.Helper()
	ln := k.listening()
	near = k.tcp()
	k.must(k.connect(near, lo(k.port(ln))))
	k.ready(ln, unix.POLLIN)
	far, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	k.must(err)
	return near, far
}

// pair is connected, and closes the far end at the end.
func (k *kernelCase) pair() (near, far int) {
	near, far = k.connected()
	k.Cleanup(func() { unix.Close(far) })
	return near, far
}

func (k *kernelCase) near() int {
	near, _ := k.pair()
	return near
}

func (k *kernelCase) accepted() int {
	_, far := k.pair()
	return far
}

// connecting returns a socket whose connect hangs: the listener is full.
func (k *kernelCase) connecting() int {
	k.Helper()
	ln := k.bound(unix.SOCK_STREAM)
	k.must(unix.Listen(ln, 0))
	k.must(k.connect(k.tcp(), lo(k.port(ln))))
	fd := k.tcp()
	if err := unix.Connect(fd, lo(k.port(ln))); err != unix.EINPROGRESS {
		k.Fatal(err)
	}
	return fd
}

func (k *kernelCase) refused() int {
	k.Helper()
	fd := k.tcp()
	if err := k.connect(fd, k.nothing(unix.SOCK_STREAM)); err != unix.ECONNREFUSED {
		k.Fatal(err)
	}
	return fd
}

// hangup closes the far end, with a reset or without, and waits for it.
func (k *kernelCase) hangup(reset bool) int {
	k.Helper()
	near, far := k.connected()
	if reset {
		k.must(unix.SetsockoptLinger(far, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	}
	k.must(unix.Close(far))
	k.ready(near, unix.POLLIN)
	return near
}

// told is hangup, and a read has said so.
func (k *kernelCase) told(reset bool) int {
	k.Helper()
	fd := k.hangup(reset)
	if err := k.read(fd); reset && err != unix.ECONNRESET || !reset && err != errEOF {
		k.Fatal(err)
	}
	return fd
}

func (k *kernelCase) read(fd int) error {
	n, _, err := unix.Recvfrom(fd, make([]byte, 10), 0)
	if n == 0 && err == nil {
		return errEOF
	}
	return err
}

func (k *kernelCase) send(fd, n int, to unix.Sockaddr) error {
	return unix.Sendto(fd, make([]byte, n), unix.MSG_NOSIGNAL, to)
}

func (k *kernelCase) accept(fd int) error {
	nfd, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	if err == nil {
		unix.Close(nfd)
	}
	return err
}

func (k *kernelCase) setInt(fd, level, opt, v int) error {
	return unix.SetsockoptInt(fd, level, opt, v)
}

// rebind binds two sockets to the same port.
func (k *kernelCase) rebind(first, second int, a, b unix.Sockaddr) error {
	k.Helper()
	k.must(unix.Bind(first, a))
	switch b := b.(type) {
	case *unix.SockaddrInet4:
		b.Port = k.port(first)
	}
	return unix.Bind(second, b)
}

func group4(a, b, c, d byte) *unix.IPMreq {
	return &unix.IPMreq{Multiaddr: [4]byte{a, b, c, d}, Interface: [4]byte{127, 0, 0, 1}}
}
