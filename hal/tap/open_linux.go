package tap

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/songgao/water"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// mark is the alias of an interface (ip-link(8) shows it) while it is being
// created. For a moment it has to persist with nobody holding it, and a process
// that is killed then leaves it behind: the mark tells the next one.
const mark = "ringtail: being created"

// creating lets one goroutine at a time look for a name and create it.
var creating sync.Mutex

func open(c Config) (hal.Device, error) {
	if len(c.FDs) > 0 {
		return adopt(c)
	}
	var dev *device
	err := netif.InNetNS(c.NetNS, func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("netlink: %w", err)
		}
		o := opening{Config: c, nl: nl}
		if dev, err = o.open(); err != nil {
			nl.Close()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return dev, nil
}

// opening is an Open under way, in the right namespace.
type opening struct {
	Config
	nl      *netlink.Handle
	link    *netlink.Tuntap
	created bool  // by us, now or by a process that was killed while at it
	shared  bool  // others have queues of it open
	fds     []int // of the queues, attached so far
	format  format
	rx      hal.Offload // what the kernel may give
	undo    []func()    // takes back what was changed in an interface that existed
}

func (o *opening) open() (*device, error) {
	creating.Lock()
	defer creating.Unlock()
	owner, err := lookUp(o.Owner)
	if err != nil {
		return nil, err
	}
	settle := func() error { return o.settle(owner) }
	address := func() error { return o.address(o.link.HardwareAddr) }
	for _, step := range []func() error{o.find, o.create, o.attach, o.frame, settle, o.configure, address} {
		if err := step(); err != nil {
			o.abandon(err)
			return nil, err
		}
	}
	return newDevice(o), nil
}

// address chooses the MAC address of our end, given that of the kernel's.
func (o *opening) address(kernel []byte) error {
	if o.MAC == (hal.MAC{}) {
		o.MAC = stableMAC(o.Name)
	}
	if string(o.MAC[:]) == string(kernel) {
		return fmt.Errorf("%w: mac %v is that of the kernel's end of %s: the two ends need different ones", hal.ErrSpec, o.MAC, o.Name)
	}
	return nil
}

// abandon takes back what a failed open has done. An interface that is busy is
// in somebody else's hands now, whoever created it.
func (o *opening) abandon(cause error) {
	for _, undo := range o.undo {
		undo()
	}
	for _, fd := range o.fds {
		unix.Close(fd)
	}
	if o.created && o.link != nil && !errors.Is(cause, unix.EBUSY) {
		_ = o.nl.LinkDel(o.link) // gone with its last descriptor, if it did not persist
	}
}

// find looks for the interface.
func (o *opening) find() error {
	if o.Name == "" {
		o.Name = "rt%d"
	}
	if strings.Contains(o.Name, "%") {
		return nil
	}
	link, err := o.nl.LinkByName(o.Name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for interface %s: %w", o.Name, err)
	}
	tap, ok := link.(*netlink.Tuntap)
	if !ok || tap.Mode != netlink.TUNTAP_MODE_TAP {
		kind := link.Type()
		if ok {
			kind = "TUN, which carries IP packets and no Ethernet frames"
		}
		return fmt.Errorf("interface %s is not a TAP but of type %s: choose another name: %w", o.Name, kind, unix.EINVAL)
	}
	o.link, o.shared = tap, tap.Queues+tap.DisabledQueues > 0
	if tap.Alias != mark || o.shared {
		return o.fits()
	}
	o.created = true
	if o.manyQueues() != (o.Queues > 1) {
		// A remnant of another kind: start again.
		if err := o.nl.LinkDel(tap); err != nil {
			return fmt.Errorf("removing interface %s, which a killed process left: %w", o.Name, err)
		}
		o.link = nil
	}
	return nil
}

// manyQueues says whether the interface was created for more than one queue.
func (o *opening) manyQueues() bool { return o.link.Flags&netlink.TUNTAP_MULTI_QUEUE != 0 }

// fits checks that an interface that exists is what was asked for.
func (o *opening) fits() error {
	if o.Queues > 1 && !o.manyQueues() {
		return fmt.Errorf("interface %s has a single queue (ip link del %s, then ip tuntap add dev %s mode tap multi_queue; or leave out queues=%d): %w",
			o.Name, o.Name, o.Name, o.Queues, unix.EINVAL)
	}
	if o.MTU != 0 && o.MTU != o.link.MTU {
		return fmt.Errorf("interface %s exists with MTU %d (ip link set %s mtu %d, or leave out mtu=%d): %w",
			o.Name, o.link.MTU, o.Name, o.MTU, o.MTU, unix.EINVAL)
	}
	return nil
}

// create makes an interface that does not exist, by the water library. That
// cannot ask for virtio-net headers, and they cannot be had later on the same
// descriptor; so it makes one that persists, and attach opens that again. What
// water would do badly is settled before: it cuts off long names, attaches to
// what exists and resets its persistence, and leaks a descriptor if it fails.
func (o *opening) create() error {
	if o.link != nil {
		return nil
	}
	if !mayCreate() {
		return fmt.Errorf("creating interface %s needs the capability CAP_NET_ADMIN: run as root, or setcap cap_net_admin+ep on the program's file, or let root do: ip tuntap add dev %s mode tap user %s: %w",
			o.Name, strings.Replace(o.Name, "%d", "0", 1), whoami(), unix.EPERM)
	}
	if fd, err := openClone(); err != nil {
		return err
	} else {
		unix.Close(fd)
	}
	// No process is started until water's descriptor is closed: it would keep the
	// interface busy, for good, since water leaves it open for others, or at
	// least from its fork to its exec.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	ifce, err := water.New(water.Config{
		DeviceType: water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name: o.Name, Persist: true, MultiQueue: o.Queues > 1,
		},
	})
	if err != nil {
		return fmt.Errorf("creating interface %s: %w", o.Name, err)
	}
	defer ifce.Close()
	o.Name, o.created = ifce.Name(), true
	if err = o.look(); err == nil {
		err = o.nl.LinkSetAlias(o.link, mark)
	}
	if err != nil { // then it is gone with ifce
		o.created = false
		err = errors.Join(err, onDescriptor(ifce, func(fd int) error { return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 0) }))
	}
	return err
}

// onDescriptor calls f with the descriptor of a water interface.
func onDescriptor(ifce *water.Interface, f func(fd int) error) error {
	file, ok := ifce.ReadWriteCloser.(*os.File)
	if !ok {
		return errors.New("water does not give its descriptor away")
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if e := conn.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

// look reads the state of the interface.
func (o *opening) look() error {
	link, err := o.nl.LinkByName(o.Name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", o.Name, err)
	}
	tap, ok := link.(*netlink.Tuntap)
	if !ok {
		return fmt.Errorf("interface %s is not a TAP: %w", o.Name, unix.EINVAL)
	}
	o.link = tap
	return nil
}

// attach opens the queues.
func (o *opening) attach() error {
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if !o.Plain {
		flags |= unix.IFF_VNET_HDR
	}
	if o.manyQueues() {
		flags |= unix.IFF_MULTI_QUEUE
	}
	for range max(o.Queues, 1) {
		fd, got, err := attach(o.Name, flags)
		for nap := time.Millisecond; err == unix.EBUSY && o.created && nap < time.Second; nap *= 2 {
			// Nobody else knows it yet; but a process may have been forked without
			// ForkLock while water had it open, and not have come to its exec: C code
			// does that, and os once, before its first process, to try pidfds.
			time.Sleep(nap)
			fd, got, err = attach(o.Name, flags)
		}
		if err != nil {
			return o.refused(err)
		}
		o.fds = append(o.fds, fd)
		if (got^flags)&(unix.IFF_VNET_HDR|unix.IFF_NO_PI) != 0 {
			return fmt.Errorf("interface %s is already open with another framing (vnet=%s would fit): %w", o.Name, onOff(o.Plain), unix.EBUSY)
		}
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// refused explains why TUNSETIFF failed.
func (o *opening) refused(err error) error {
	switch err {
	case unix.EBUSY:
		return fmt.Errorf("interface %s is in use by another process (lsof %s may tell which; or choose another name): %w", o.Name, clone, err)
	case unix.E2BIG:
		return fmt.Errorf("interface %s has no more room for queues: %w", o.Name, err)
	case unix.EPERM:
		return fmt.Errorf("interface %s belongs to another user (ip -d link show %s): opening it needs the capability CAP_NET_ADMIN, or let root make it anew: ip tuntap add dev %s mode tap user %s: %w",
			o.Name, o.Name, o.Name, whoami(), err)
	}
	return fmt.Errorf("opening interface %s: %w", o.Name, err)
}

// frame finds out, or decides, how packets will lie in the descriptors.
func (o *opening) frame() (err error) {
	o.format = format{ifname: o.Name}
	fd := o.fds[0]
	switch {
	case o.shared && !o.Plain: // leave to the others what they have
		o.format.header, err = headerLen(fd)
		o.rx, o.format.offload = hal.Csum|hal.TSO4|hal.TSO6|hal.USO, hal.Csum|hal.TSO4|hal.TSO6
	case o.shared:
	default:
		if !o.Plain {
			o.format.header = offload.VirtioLen
			err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, offload.VirtioLen)
		}
		if err == nil {
			o.rx, err = setOffloads(fd, !o.Plain)
			o.format.offload = o.rx
		}
		if err == nil && !o.created && !o.Plain {
			o.undo = append(o.undo, func() { _, _ = setOffloads(fd, false) })
		}
	}
	if err != nil {
		return fmt.Errorf("interface %s: offloads: %w", o.Name, err)
	}
	return nil
}

// settle gives an interface that we created its owner and its lifetime, and
// takes the mark away. The order matters to whoever finds it after a kill.
func (o *opening) settle(owner int) error {
	if !o.created {
		return nil
	}
	fd, what := o.fds[0], "mtu"
	err := error(nil)
	if o.MTU != 0 {
		err = o.nl.LinkSetMTU(o.link, o.MTU)
	}
	if err == nil && owner >= 0 {
		what, err = "owner", unix.IoctlSetInt(fd, unix.TUNSETOWNER, owner)
	}
	if err == nil && !o.Persist {
		what, err = "persistence", unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 0)
	}
	if err == nil {
		what, err = "alias", o.nl.LinkSetAlias(o.link, "")
	}
	if err != nil {
		return fmt.Errorf("interface %s: setting its %s: %w", o.Name, what, err)
	}
	return o.look()
}

// lookUp returns the number of a user, or -1 for none.
func lookUp(owner string) (int, error) {
	if owner == "" {
		return -1, nil
	}
	if uid, err := strconv.ParseUint(owner, 10, 31); err == nil {
		return int(uid), nil
	}
	u, err := user.Lookup(owner)
	if err != nil {
		return -1, fmt.Errorf("%w: owner: %w (give the number)", hal.ErrSpec, err)
	}
	return strconv.Atoi(u.Uid)
}

func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(unix.Geteuid())
}

func probe() error {
	fd, err := openClone()
	if err != nil {
		return err
	}
	unix.Close(fd)
	if !mayCreate() {
		return fmt.Errorf("creating an interface needs the capability CAP_NET_ADMIN (run as root, or setcap cap_net_admin+ep on the program's file); one made by ip tuntap add dev NAME mode tap user %s works without: %w",
			whoami(), unix.EPERM)
	}
	return nil
}
