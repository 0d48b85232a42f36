package afxdp

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// program is the filter in the kernel: loaded and attached, with its tables, a map
// of the sockets that it gives our frames to, and a packet socket for copies.
// Nothing of it has a name in a file system: all is gone with close, or with the
// process, however that ends.
//
// It must stay reachable as long as the device is open: the ebpf library closes
// what the garbage collector finds, and that detaches the filter.
type program struct {
	iface  *iface
	filter filter
	maps   maps
	xdp    *ebpf.Program
	copier *ebpf.Program // of the packet socket
	link   link.Link
	side   *copies

	isNative, hasFrags bool

	mu     sync.Mutex
	told   *tables // what the kernel's tables say
	closed bool
}

// attach loads the filter for an interface and attaches it. It bears packets in
// several buffers; where the kernel or the interface's driver cannot, it is attached
// without if all packets fit one.
func attach(i *iface, c Config) (*program, error) {
	f, err := parseFilter(c.Filter)
	if err != nil {
		return nil, err
	}
	p := &program{iface: i, filter: f, told: newTables(f.kind)}
	steps := []func() error{
		p.load,
		func() error { p.side, err = openCopies(i, p.copier); return err },
		func() error { return p.setLocal(hal.Local{}) },
		func() error { return p.attach(c.Mode) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	return p, nil
}

// load makes the tables and loads the program for both of its hooks.
func (p *program) load() (err error) {
	if p.maps, err = newMaps(max(p.iface.queues, 1)); err != nil {
		return fmt.Errorf("tables of the filter: %w", denied(err))
	}
	p.xdp, err = loadXDP(p.filter.kind, p.maps, unix.BPF_F_XDP_HAS_FRAGS)
	if p.hasFrags = err == nil; !p.hasFrags {
		p.xdp, err = loadXDP(p.filter.kind, p.maps, 0)
	}
	if err != nil {
		return fmt.Errorf("loading the filter into the kernel: %w", denied(err))
	}
	p.copier, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "ringtail_copies", Type: ebpf.SocketFilter, License: license,
		Instructions: write(p.filter.kind, p.maps, atPacketSocket{}),
	})
	if err != nil {
		return fmt.Errorf("loading the filter of the packet socket into the kernel: %w", denied(err))
	}
	return nil
}

// license is what the kernel is told: nothing here needs the GPL.
const license = "Apache-2.0"

func loadXDP(k kind, m maps, flags uint32) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "ringtail", Type: ebpf.XDP, License: license, Flags: flags,
		Instructions: write(k, m, atDriver{}),
	})
}

// attach attaches the program in the best mode allowed.
func (p *program) attach(mode string) error {
	if mode != "generic" {
		err := p.attachIn(link.XDPDriverMode)
		if err == nil {
			p.isNative = true
			return nil
		}
		if err := p.final(err, mode == "native"); err != nil {
			return err
		}
	}
	if err := p.attachIn(link.XDPGenericMode); err != nil {
		return p.final(err, true)
	}
	return nil
}

// attachIn attaches in a mode, without support of packets in several buffers if it
// must be, and can be.
func (p *program) attachIn(mode link.XDPAttachFlags) (err error) {
	p.link, err = link.AttachXDP(link.XDPOptions{Program: p.xdp, Interface: p.iface.index, Flags: mode})
	if err == nil || !p.hasFrags || !p.iface.onePiece() || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		return err
	}
	plain, e := loadXDP(p.filter.kind, p.maps, 0)
	if e != nil {
		return err
	}
	l, e := link.AttachXDP(link.XDPOptions{Program: plain, Interface: p.iface.index, Flags: mode})
	if e != nil {
		return errors.Join(err, plain.Close())
	}
	p.xdp.Close()
	p.xdp, p.link, p.hasFrags = plain, l, false
	return nil
}

// final explains why the filter could not be attached, or returns nil if another
// mode may be tried: last says that there is none.
func (p *program) final(err error, last bool) error {
	i := p.iface
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("attaching the filter to interface %s: %w", i.name, denied(err))
	case errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST):
		return taken(i.name, 0, err)
	case last:
		return fmt.Errorf("the driver %s of interface %s does not run the filter%s: %w", i.driver, i.name, i.reason(err), err)
	case i.driver == "veth":
		return i.genericOnly(err)
	}
	return nil
}

// genericOnly explains why a virtual cable is refused on which the filter does not
// run natively: a super-frame from its other end is one frame then, and lost.
func (i *iface) genericOnly(err error) error {
	return fmt.Errorf("on the virtual cable %s the filter runs in generic mode only%s, which loses super-frames of the other end: %s, and add mode=generic: %w",
		i.name, i.reason(err), i.plainPeer(), err)
}

// reason says more about why the program cannot be attached natively, if it is known.
func (i *iface) reason(err error) string {
	switch {
	case i.driver == "veth" && (errors.Is(err, unix.ENOSPC) || i.xdp.lacks(xdpNative)):
		return " (natively it needs as many receive queues as the other end has to transmit: ethtool -L, or make the cable anew)"
	case !i.onePiece():
		return fmt.Sprintf(" (it may at a smaller MTU: ip link set dev %s mtu 1500)", i.name)
	}
	return ""
}

// register gives the frames of a queue to an AF_XDP socket.
func (p *program) register(queue, fd int) error {
	if err := p.maps.sockets.Put(uint32(queue), uint32(fd)); err != nil {
		return fmt.Errorf("giving the frames of queue %d to its socket: %w", queue, err)
	}
	return nil
}

// setLocal says what is ours. It takes effect before it returns; if it fails, what
// was said before holds. The card is told first: what it lets through without the
// program knowing is the kernel's to drop.
func (p *program) setLocal(l hal.Local) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return hal.ErrClosed
	}
	if err := p.addressesFit(l); err != nil {
		return err
	}
	is := p.filter.tables(l)
	if err := p.side.admit(is.stations); err != nil {
		return err
	}
	if err := p.maps.fill(p.told, is); err != nil {
		return errors.Join(err, p.maps.fill(is, p.told), p.side.admit(p.told.stations))
	}
	p.told = is
	return nil
}

// native reports whether the filter runs in the interface's driver.
func (p *program) native() bool { return p.isNative }

// mac is our address: that of the interface, unless the filter goes by another.
// shared reports whether it is the kernel's too.
func (p *program) mac() (m hal.MAC, shared bool) {
	if p.filter.kind == byMAC {
		return p.filter.mac, false
	}
	return p.iface.mac, true
}

// close detaches the filter, and closes the packet socket. The frames that follow
// are the kernel's. It is called once, when nobody is in p.side any more.
func (p *program) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs error
	if p.link != nil {
		errs = errors.Join(errs, p.link.Close())
	}
	if p.side != nil {
		errs = errors.Join(errs, p.side.close())
	}
	for _, prog := range []*ebpf.Program{p.xdp, p.copier} {
		if prog != nil {
			errs = errors.Join(errs, prog.Close())
		}
	}
	return errors.Join(errs, p.maps.close())
}
