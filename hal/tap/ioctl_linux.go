package tap

import (
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// clone is the file from which every TAP comes
// (Documentation/networking/tuntap.rst).
const clone = "/dev/net/tun"

func openClone() (int, error) {
	for {
		fd, err := unix.Open(clone, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != unix.EINTR {
			return fd, cloneError(err)
		}
	}
}

func cloneError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing (modprobe tun, or mkdir -p /dev/net && mknod %s c 10 200; in a container --device %s): %w: %w",
			clone, clone, clone, hal.ErrNotSupported, err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("the kernel has no TUN/TAP driver (modprobe tun): %w: %w", hal.ErrNotSupported, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened by this user (chmod 666 %s, which is safe: capabilities and owners decide): %w", clone, clone, err)
	}
	return fmt.Errorf("%s: %w", clone, err)
}

// attach opens a queue of a TAP and reports the flags it really has: those of a
// device that others have open already do not change.
func attach(ifname string, flags uint16) (fd int, got uint16, err error) {
	fd, err = openClone()
	if err != nil {
		return -1, 0, err
	}
	req, err := unix.NewIfreq(ifname)
	if err == nil {
		req.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		_, got, err = describe(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, got, nil
}

// describe returns the name and the flags of the TAP behind a descriptor.
func describe(fd int) (ifname string, flags uint16, err error) {
	req, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, req); err != nil {
		return "", 0, err
	}
	return req.Name(), req.Uint16(), nil
}

// setOffloads tells the kernel which packets we take unfinished, and returns
// them. UDP segmentation is new in Linux 6.2; where the kernel takes it, it also
// takes such packets from us.
func setOffloads(fd int, want bool) (hal.Offload, error) {
	if !want {
		return 0, unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0)
	}
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil {
		return hal.Csum | hal.TSO4 | hal.TSO6 | hal.USO, nil
	}
	return hal.Csum | hal.TSO4 | hal.TSO6, unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp)
}

// headerLen returns how long the virtio-net header is.
func headerLen(fd int) (int, error) {
	n, err := unix.IoctlGetUint32(fd, unix.TUNGETVNETHDRSZ)
	if err == nil && n < offload.VirtioLen {
		err = fmt.Errorf("virtio-net header of %d bytes: %w", n, hal.ErrNotSupported)
	}
	return int(n), err
}

// hardwareAddr returns the MAC address of the kernel's end.
func hardwareAddr(fd int) (hal.MAC, error) {
	var req struct {
		name   [unix.IFNAMSIZ]byte
		family uint16
		addr   hal.MAC
		_      [16]byte // struct ifreq is longer
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFHWADDR, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return hal.MAC{}, errno
	}
	return req.addr, nil
}

// mayCreate says whether this thread has the right to make interfaces.
func mayCreate() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return true // let the kernel say it
	}
	return sets[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}
