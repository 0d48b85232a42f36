package afxdp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// maxMTU is that of the largest jumbo frames in use.
const maxMTU = 9216

// A finding is something about the interface, and why it stands in the way: Open
// refuses with the first error, and ringtail drivers shows all.
type finding struct {
	name, value string
	err         error
}

// inspect finds out about the interface of a spec, and changes nothing.
func inspect(s hal.Spec) (facts []hal.Fact, err error) {
	c := fromSpec(s)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrSpec, err)
	}
	err = netif.InNetNS(c.NetNS, func() error {
		i, err := find(c.Name)
		if err != nil {
			return err
		}
		defer i.nl.Close()
		for _, f := range i.findings(c) {
			fact := hal.Fact{Name: f.name, Value: f.value}
			if f.err != nil {
				fact.Problem = f.err.Error()
			}
			facts = append(facts, fact)
		}
		return nil
	})
	return facts, err
}

// findings looks at everything that Open depends upon.
func (i *iface) findings(c Config) []finding {
	return []finding{
		i.findLink(),
		i.findStation(c.Filter),
		i.findRoute(c.Force),
		i.findProgram(),
		{name: "kernel driver", value: i.driver},
		i.findNative(c.Mode),
		i.findZeroCopy(c.Copy),
		i.findQueues(c.Queues),
		i.findMTU(),
		i.findAddresses(),
		findCapabilities(),
		i.findMemory(c),
	}
}

func (i *iface) findLink() finding {
	f := finding{name: "link", value: i.link.OperState.String()}
	switch {
	case i.link.EncapType != "ether":
		f.value = i.link.EncapType
		f.err = fmt.Errorf("interface %s carries no Ethernet frames but %s: %w", i.name, i.link.EncapType, hal.ErrNotSupported)
	case i.link.RawFlags&unix.IFF_UP == 0:
		f.err = fmt.Errorf("interface %s is down (ip link set dev %s up): %w", i.name, i.name, unix.ENETDOWN)
	}
	return f
}

// findStation says which MAC address is ours.
func (i *iface) findStation(filter string) finding {
	f := finding{name: "MAC address", value: fmt.Sprintf("%v, the kernel's too", i.mac)}
	by, err := parseFilter(filter)
	switch {
	case err != nil:
		f.err = err
	case by.kind != byMAC:
	case by.mac == i.mac:
		f.err = fmt.Errorf("%v is the kernel's address on interface %s, and with filter=mac: ours is another (filter=all takes everything): %w", i.mac, i.name, unix.EADDRINUSE)
	default:
		f.value = fmt.Sprintf("%v (the kernel's is %v)", by.mac, i.mac)
	}
	return f
}

func (i *iface) findRoute(force bool) finding {
	f := finding{name: "default route", value: "none"}
	route, err := netif.DefaultRoute(i.nl, i.link)
	switch {
	case err != nil:
		f.value, f.err = "unknown", err
	case route != "":
		f.value = route
		if !force {
			f.err = fmt.Errorf("interface %s carries the default route of this machine, and a mistake would cut it off: use another interface, or say force: %w", i.name, unix.EBUSY)
		}
	}
	return f
}

func (i *iface) findProgram() finding {
	f := finding{name: "XDP program", value: "none"}
	if x := i.link.Xdp; x != nil && x.Attached {
		f.value = fmt.Sprintf("id %d", x.ProgId)
		f.err = taken(i.name, x.ProgId, unix.EBUSY)
	}
	return f
}

// taken explains that somebody else's program is there.
func taken(name string, id uint32, err error) error {
	which := ""
	if id != 0 {
		which = fmt.Sprintf(" (id %d)", id)
	}
	return fmt.Errorf("interface %s has an XDP program already%s: end the process that it belongs to, or ip link set dev %s xdp off; bpftool net shows it: %w", name, which, name, err)
}

func (i *iface) findNative(mode string) finding {
	f := finding{name: "native XDP", value: i.xdp.word(xdpNative | xdpRedirect)}
	switch {
	case mode != "generic" && i.driver == "veth" && i.xdp.lacks(xdpNative|xdpRedirect):
		f.err = i.genericOnly(hal.ErrNotSupported)
	case mode == "native" && i.xdp.lacks(xdpNative|xdpRedirect):
		f.err = fmt.Errorf("the driver %s of interface %s cannot run the filter: leave out mode=native: %w", i.driver, i.name, hal.ErrNotSupported)
	case mode == "generic" && i.driver == "veth":
		// The user has asked for it: this is for him to read, and refuses nothing.
		f.value += fmt.Sprintf("; generic mode loses super-frames of the cable's other end, unless %s", i.plainPeer())
	}
	return f
}

// plainPeer is the command that makes the other end of a virtual cable send
// what generic mode can take.
func (i *iface) plainPeer() string {
	peer := "PEER"
	if i.link.NetNsID < 0 && i.link.ParentIndex > 0 {
		if link, err := i.nl.LinkByIndex(i.link.ParentIndex); err == nil {
			peer = link.Attrs().Name
		}
	}
	where := ""
	if peer == "PEER" {
		where = fmt.Sprintf(" (PEER is interface %d of the other namespace)", i.link.ParentIndex)
	}
	return fmt.Sprintf("ethtool -K %s tso off gso off tx off%s", peer, where)
}

func (i *iface) findZeroCopy(copying string) finding {
	f := finding{name: "zero-copy", value: i.xdp.word(xdpZeroCopy)}
	if f.value == "yes" && copying != "zero" {
		f.value = "possible (copy=zero)"
	}
	return f
}

func (i *iface) findQueues(want int) finding {
	f := finding{name: "queues", value: fmt.Sprint(i.queues)}
	switch {
	case want > i.queues:
		f.err = fmt.Errorf("interface %s has %d queues, and %d are wanted (queues=%d, or ethtool -L %s combined %d if the card has them): %w",
			i.name, i.queues, want, i.queues, i.name, want, unix.EINVAL)
	case want > 0 && want < i.queues:
		f.value += fmt.Sprintf(", of which %d are used: what comes by the others takes a slow way", want)
	}
	return f
}

func (i *iface) findMTU() finding {
	f := finding{name: "MTU", value: fmt.Sprint(i.mtu)}
	switch {
	case i.mtu > maxMTU:
		f.err = fmt.Errorf("interface %s has MTU %d, and at most %d is supported (ip link set dev %s mtu 9000): %w", i.name, i.mtu, maxMTU, i.name, unix.EMSGSIZE)
	case !i.onePiece() && i.xdp.has(xdpNative) && i.xdp.lacks(xdpManyParts):
		f.value += ", in pieces, which its driver may not do natively"
	case !i.onePiece():
		f.value += ", in pieces"
	}
	return f
}

// findAddresses names the kernel's addresses on the interface: ours are others.
func (i *iface) findAddresses() finding {
	f := finding{name: "the kernel's addresses", value: "none"}
	list, err := i.nl.AddrList(&netlink.GenericLink{LinkAttrs: *i.link}, netlink.FAMILY_ALL)
	if err != nil {
		f.value, f.err = "unknown", err
		return f
	}
	var all []string
	for _, a := range list {
		all = append(all, a.IPNet.String())
	}
	if slices.Sort(all); all != nil {
		f.value = strings.Join(all, ", ")
	}
	return f
}
