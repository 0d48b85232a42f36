package packet

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// roomy is how much a socket may hold back, in bytes of the kernel's memory: that
// of some thousand packets, or of 64 super-frames. Without the capability
// CAP_NET_ADMIN it is no more than net.core.rmem_max.
const roomy = 8 << 20

func open(c Config) (hal.Device, error) {
	var dev *device
	err := netif.InNetNS(c.NetNS, func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("netlink: %w", err)
		}
		o := opening{Config: c, device: &device{nl: nl}}
		if err := o.open(); err != nil {
			o.abandon()
			return err
		}
		dev = o.device
		return nil
	})
	if err != nil {
		return nil, err
	}
	dev.watch.start(dev.linkChanged) // it has been listening since before there were sockets
	return dev, nil
}

// opening is an Open under way, in the right namespace.
type opening struct {
	Config
	*device
	link netlink.Link
}

func (o *opening) open() error {
	link, err := find(o.nl, o.Name)
	if err != nil {
		return err
	}
	o.link = link
	for _, step := range []func() error{o.fits, o.address, o.sockets, o.join, o.admit} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// find looks for an Ethernet interface.
func find(nl *netlink.Handle, name string) (netlink.Link, error) {
	link, err := nl.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, fmt.Errorf("there is no interface %s (ip link shows those there are): %w", name, unix.ENODEV)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for interface %s: %w", name, err)
	}
	if a := link.Attrs(); a.EncapType != "ether" || len(a.HardwareAddr) != len(hal.MAC{}) {
		return nil, fmt.Errorf("interface %s is of type %s and carries no Ethernet frames (ip link shows those that do, as link/ether): %w", name, a.EncapType, unix.EINVAL)
	}
	return link, nil
}

// fits checks that the interface is what was asked for.
func (o *opening) fits() error {
	a := o.link.Attrs()
	if o.MTU != 0 && o.MTU != a.MTU {
		return fmt.Errorf("interface %s has MTU %d (ip link set %s mtu %d, or leave out mtu=%d): %w",
			o.Name, a.MTU, o.Name, o.MTU, o.MTU, unix.EINVAL)
	}
	o.wire = &wire{ifname: a.Name, mtu: a.MTU, offload: offloads}
	if knowsUSO() {
		o.offload |= hal.USO
	}
	o.index, o.ring = a.Index, o.Ring
	return nil
}

// address chooses our MAC address.
func (o *opening) address() error {
	o.kernel = hal.MAC(o.link.Attrs().HardwareAddr)
	o.mac = o.MAC
	if o.MAC == (hal.MAC{}) {
		o.mac = o.kernel
	} else if o.MAC == o.kernel {
		return fmt.Errorf("%w: mac %v is that of interface %s: leave it out to share it", hal.ErrSpec, o.MAC, o.Name)
	}
	return nil
}

// sockets opens the queues. Until all are there, and know each other, they receive
// nothing: each of them by itself would receive everything.
func (o *opening) sockets() (err error) {
	if o.watch, err = newWatch(); err != nil {
		return err
	}
	for range max(o.Queues, 1) {
		if err := o.addQueue(); err != nil {
			return fmt.Errorf("interface %s: %w", o.Name, err)
		}
	}
	return nil
}

// addQueue opens a queue: a socket that receives and one that sends.
func (o *opening) addQueue() error {
	in, err := socket()
	if err != nil {
		return err
	}
	rx, err := o.receiver(in)
	if err != nil {
		unix.Close(in)
		return err
	}
	tx := newTx(o.wire)
	tx.Open(-1)
	o.queues = append(o.queues, queue{rx: rx, tx: tx, rxFD: in})
	if err := attachFilter(in, wanted{ignore: true}.compile()); err != nil {
		return fmt.Errorf("packet socket: filter: %w", err)
	}
	if err := o.bind(in, unix.ETH_P_ALL); err != nil {
		return err
	}
	out, err := socket()
	if err != nil {
		return err
	}
	tx.Open(out)
	return o.bind(out, 0) // no protocol: it receives nothing
}

// socket opens a packet socket with virtio-net headers.
func socket() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	switch {
	case err == unix.EPERM:
		return -1, fmt.Errorf("packet sockets need the capability CAP_NET_RAW (run as root, or setcap cap_net_raw+ep on the program's file): %w", err)
	case err == unix.EAFNOSUPPORT:
		return -1, fmt.Errorf("the kernel has no packet sockets (modprobe af_packet): %w: %w", hal.ErrNotSupported, err)
	case err != nil:
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("packet socket: virtio-net headers: %w", err)
	}
	return fd, nil
}

// receiver makes the receiving half of a socket that is not bound yet.
func (o *opening) receiver(fd int) (receiver, error) {
	// The filter does that too; this is cheaper, where the kernel has it (4.20).
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if o.Ring {
		q, err := newRing(o.wire, fd, cmp.Or(o.blockSize, longBlock))
		if err != nil {
			return nil, err
		}
		q.Open(fd)
		return q, nil
	}
	makeRoom(fd)
	q := newRx(o.wire)
	q.Open(fd)
	return q, nil
}

// makeRoom lets a socket hold back as much as it may.
func makeRoom(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, roomy) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, roomy)
	}
}

func (o *opening) bind(fd int, protocol uint16) error {
	sa := unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: o.index}
	if err := unix.Bind(fd, &sa); err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	return nil
}

// join makes a fanout group of the receiving sockets, so that each packet comes to
// one of them: by a hash of addresses and ports, which is the same for both
// directions of a flow.
//
// The kernel could put fragments together before it hashes (PACKET_FANOUT_FLAG_DEFRAG).
// It would deliver datagrams that are longer than the MTU and no super-frames, and
// it does that for IPv4 only. Without it the fragments of a datagram stay together
// too, since their hash is of the addresses alone; only that may be another queue
// than that of the flow's other packets, and one owner drains all queues of a host.
func (o *opening) join() error {
	if len(o.queues) < 2 {
		return nil
	}
	const how = unix.PACKET_FANOUT_HASH | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	group := 0
	for i, q := range o.queues {
		arg := group | how<<16
		if i == 0 {
			arg |= unix.PACKET_FANOUT_FLAG_UNIQUEID << 16 // the kernel finds a number
		}
		err := unix.SetsockoptInt(q.rxFD, unix.SOL_PACKET, unix.PACKET_FANOUT, arg)
		if err == nil && i == 0 {
			group, err = unix.GetsockoptInt(q.rxFD, unix.SOL_PACKET, unix.PACKET_FANOUT)
			group &= 0xffff
		}
		if err == unix.EINVAL && stateOf(o.link.Attrs()) == hal.LinkDown {
			return fmt.Errorf("interface %s is down, and this kernel spreads packets only over the sockets of one that is up (ip link set %s up, or leave out queues=%d): %w", o.Name, o.Name, o.Queues, err)
		}
		if err != nil {
			return fmt.Errorf("interface %s: the kernel does not spread packets over %d sockets (Linux 4.12 does; leave out queues=): %w", o.Name, o.Queues, err)
		}
	}
	return nil
}

// admit begins to receive: until SetLocal says better, all that is sent to us.
func (o *opening) admit() error {
	return o.receiveFor(wanted{macs: []hal.MAC{o.mac}})
}

// abandon takes back what a failed open has done.
func (o *opening) abandon() {
	o.nl.Close()
	for _, q := range o.queues {
		fd, _ := q.rx.retire()
		unix.Close(fd)
		if fd := q.tx.Retire(); fd >= 0 {
			unix.Close(fd)
		}
	}
	if o.watch != nil {
		o.watch.close()
	}
}

// knowsUSO says whether the kernel's packet sockets carry super-frames of UDP,
// which came with Linux 6.2. There is no way to ask but by sending one.
func knowsUSO() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	major, minor := 0, 0
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 2)
}

func probe() error {
	fd, err := socket()
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
