package afxdp

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// needed are the capabilities without which nothing works.
var needed = []struct {
	name   string
	number int
}{
	{"CAP_NET_RAW", unix.CAP_NET_RAW},
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN},
	{"CAP_BPF", unix.CAP_BPF},
}

const setcap = "run as root, or setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep on the program's file"

// has reports whether this thread has a capability.
func has(number int) bool {
	var data [2]unix.CapUserData
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err := unix.Capget(&hdr, &data[0])
	return err == nil && data[number/32].Effective>>(number%32)&1 != 0
}

// missing names the needed capabilities that this thread lacks. CAP_SYS_ADMIN
// stands in for CAP_BPF.
func missing() (names []string) {
	for _, c := range needed {
		if !has(c.number) && !(c.number == unix.CAP_BPF && has(unix.CAP_SYS_ADMIN)) {
			names = append(names, c.name)
		}
	}
	return names
}

func findCapabilities() finding {
	f := finding{name: "capabilities", value: "all that are needed"}
	if m := missing(); m != nil {
		f.value = "without " + strings.Join(m, ", ")
		f.err = fmt.Errorf("AF_XDP needs the capabilities CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF, and there is no %s: %s: %w", strings.Join(m, ", "), setcap, unix.EPERM)
	}
	return f
}

// denied adds to an EPERM what helps. It is for those that come in spite of the
// capabilities, as in a container, whose root is not the machine's.
func denied(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	return fmt.Errorf("not allowed in spite of the capabilities: a container must be privileged, and its user namespace the machine's: %w", unix.EPERM)
}

// findMemory says how much memory is locked, as what is shared with the kernel is, and
// how much may be. The limit is for all processes of a user together, so that less
// than it says can be too much: then opening fails.
func (i *iface) findMemory(c Config) finding {
	n := c.Queues
	if n == 0 {
		n = i.queues
	}
	l := newLayout(c.Frames, i.mtu, 0)
	frames := l.rx + l.tx
	need := uint64(n * frames * l.chunk)
	f := finding{name: "locked memory", value: fmt.Sprintf("%d KiB, without limit", need>>10)}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur == unix.RLIM_INFINITY || has(unix.CAP_IPC_LOCK) {
		return f
	}
	f.value = fmt.Sprintf("%d KiB, of at most %d", need>>10, limit.Cur>>10)
	if need > limit.Cur {
		f.err = fmt.Errorf("%d MiB for frames exceed the limit on locked memory (ulimit -l, the capability CAP_IPC_LOCK, or fewer frames: frames=%d): %w",
			need>>20, max(minFrames, frames/2), unix.ENOBUFS)
	}
	return f
}

// probe tries what can be tried without an interface.
func probe() error {
	if f := findCapabilities(); f.err != nil {
		return f.err
	}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("this kernel has no AF_XDP (CONFIG_XDP_SOCKETS): %w", hal.ErrNotSupported)
	}
	if err != nil {
		return fmt.Errorf("AF_XDP socket: %w", denied(err))
	}
	unix.Close(fd)
	m, err := newMaps(1)
	if err != nil {
		return fmt.Errorf("tables of the filter: %w", denied(err))
	}
	defer m.close()
	xdp, err := loadXDP(byAddress, m, 0)
	if err != nil {
		return fmt.Errorf("this kernel does not take the filter (Linux 5.18 or later is needed): %w", denied(err))
	}
	return xdp.Close()
}
