// Package tap is the driver of TAP devices: a virtual Ethernet cable between
// this program and the operating system it runs on. It is the way to serve the
// kernel's own clients, such as curl, without a network card.
//
//	import _ "github.com/ringtail-net/ringtail/hal/tap"
//
//	// The kernel's end is the interface rt0 with 10.77.0.1; ours is a host of
//	// its own on the same subnet, with any other address.
//	dev, err := hal.Open("tap:rt0?host=10.77.0.1/24")
//	if err != nil { … } // says which command or key helps
//	defer dev.Close()   // and rt0 is gone
//
// On Linux packets cross as super-frames with virtio-net headers: up to 64 KiB
// of TCP or UDP payload in one system call, checksums left blank. That is worth
// an order of magnitude for bulk traffic; vnet=off shows it. Several queues are
// several descriptors, over which the kernel spreads flows.
//
// An interface that does not exist is created, and disappears with Close unless
// persist is given. One that exists is used and left as it was found: its owner,
// its persistence, its MTU; addresses that host= adds are taken away again.
// Creating needs the capability CAP_NET_ADMIN. Without it somebody who has it
// prepares an interface once:
//
//	ip tuntap add dev rt0 mode tap user alice
//	ip address add 10.77.0.1/24 dev rt0 && ip link set rt0 up
//
// or opens it and hands the descriptor down: tap:?fd=3.
//
// The trap: a TAP has two ends, each with its own MAC address and IP addresses.
// host= and the output of ip-address(8) are about the kernel's end. Giving the
// same address to both makes each answer for itself and reach nobody.
//
// Elsewhere only Windows has something like it (the adapter of OpenVPN), one
// packet a call; see [Open].
package tap

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// Limits of the kernel: the range of MTUs of a TAP (RFC 791 asks for 68; 65535
// less the Ethernet header), and MAX_TAP_QUEUES.
const (
	minMTU    = 68
	maxMTU    = 65535 - hal.EthernetHeaderLen
	maxQueues = 256
)

// smallLoans is how many buffers for packets up to the MTU a half lends.
const smallLoans = 256

// headroom is what users get in front of an allocated frame. The virtio-net
// header has its own room before that.
const headroom = 64

// defaultMTU is that of Ethernet, and of a new TAP.
const defaultMTU = 1500

// Config says which device to open. The zero value creates one with a name that
// the kernel chooses, for as long as it is open.
type Config struct {
	// Name is the interface; one that exists is used, and one that does not
	// is created. With "%d" in it, as in "rt%d", the kernel puts in the first
	// free number. Empty means "rt%d", or with FDs whatever they are.
	Name string

	// Hosts are addresses for the kernel's end. If there are any, the
	// interface is also brought up. They go away with Close if Open added
	// them, unless it created the interface to persist.
	Hosts []netip.Prefix

	// Persist and Owner (a user's name or number) act on an interface that is
	// created: it outlives the device, and that user may open it later.
	Persist bool
	Owner   string

	// Queues is the number of queues, each with its own descriptor. 0: 1.
	Queues int

	// Plain does without super-frames and checksum offload.
	Plain bool

	// NetNS is the network namespace of the interface: a name of
	// ip-netns(8), or a path such as /proc/4711/ns/net. Empty: that of the
	// calling thread.
	NetNS string

	// FDs are open descriptors of one TAP, inherited from a process with more
	// rights, a queue each. A device that Open returns owns them: they become
	// non-blocking and close-on-exec, and Close closes them. They exclude
	// Hosts, Persist, Owner, Queues and NetNS.
	FDs []int

	// MTU is that of an interface that is created. One that exists must have
	// it already. 0: that of the interface.
	MTU int

	// MAC is our end's address. Zero: one that stays the same for this name
	// in this namespace of this machine.
	MAC hal.MAC
}

// Open opens a TAP. Errors are one line that names what would help; they wrap
// the system's errno, hal.ErrNotSupported where the system or the build lacks
// something, and hal.ErrSpec where c contradicts itself.
//
// On Windows, Name is the name of a TAP adapter as the control panel shows it
// (empty: the first), and of the other fields only MTU and MAC are supported.
func Open(c Config) (hal.Device, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrSpec, err)
	}
	return open(c)
}

func init() {
	hal.Register(hal.Driver{
		Name:    "tap",
		Summary: "a virtual cable to this machine's kernel (TAP)",
		Target:  "interface name, or nothing: the kernel chooses",
		Keys: []hal.Key{
			hal.PrefixKey("host", "address of the kernel's end, which is brought up"),
			hal.BoolKey("persist", "the interface outlives the device"),
			hal.TextKey("owner", "user (name or number) who may open a created interface later"),
			hal.IntKey("queues", 1, maxQueues, "number of queues"),
			hal.BoolKey("vnet", "super-frames and checksum offload (default on)"),
			hal.TextKey("netns", "network namespace of the interface: a name or a path"),
			fdKey,
			hal.IntKey("mtu", minMTU, maxMTU, "longest IP packet"),
			macKey,
		},
		Open: func(s hal.Spec) (hal.Device, error) {
			c, err := fromSpec(s)
			if err != nil {
				return nil, err
			}
			return Open(c)
		},
		Probe: probe,
	})
}

var fdKey = hal.Key{Name: "fd", Help: "inherited descriptor of a TAP, one for each queue", Many: true, Check: func(v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < 0 {
		return fmt.Errorf("must be the number of an open descriptor")
	}
	return nil
}}

var macKey = hal.Key{Name: "mac", Help: "MAC address of our end", Check: func(v string) error {
	_, err := hal.ParseMAC(v)
	return err
}}

func fromSpec(s hal.Spec) (Config, error) {
	c := Config{
		Name:    s.Target,
		Hosts:   s.Prefixes("host"),
		Persist: s.Bool("persist", false),
		Owner:   s.Text("owner", ""),
		Queues:  s.Int("queues", 0),
		Plain:   !s.Bool("vnet", true),
		NetNS:   s.Text("netns", ""),
		MTU:     s.Int("mtu", 0),
	}
	for _, v := range s.Texts("fd") {
		n, err := strconv.Atoi(v)
		if err != nil {
			return c, err
		}
		c.FDs = append(c.FDs, n)
	}
	if text := s.Text("mac", ""); text != "" {
		mac, err := hal.ParseMAC(text)
		if err != nil {
			return c, err
		}
		c.MAC = mac
	}
	return c, nil
}

// check finds what no system would accept.
func (c Config) check() error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return fmt.Errorf("mtu %d: must be from %d to %d", c.MTU, minMTU, maxMTU)
	}
	if c.Queues < 0 || c.Queues > maxQueues {
		return fmt.Errorf("%d queues: must be from 1 to %d", c.Queues, maxQueues)
	}
	if c.MAC != (hal.MAC{}) {
		if err := c.MAC.Check(); err != nil {
			return err
		}
	}
	for _, p := range c.Hosts {
		if !p.IsValid() || p.Addr().Is4In6() || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
			return fmt.Errorf("host %v: not the address of an interface", p)
		}
	}
	for i, fd := range c.FDs {
		if fd < 0 || slices.Contains(c.FDs[:i], fd) {
			return fmt.Errorf("fd %d: each queue needs an open descriptor of its own", fd)
		}
	}
	if len(c.FDs) > 0 && (len(c.Hosts) > 0 || c.Persist || c.Owner != "" || c.Queues > 0 || c.NetNS != "") {
		return fmt.Errorf("an inherited descriptor (fd) is configured already: host, persist, owner, queues and netns do not go with it")
	}
	return nil
}

// checkName applies the kernel's rules, and water's for a number that is still to
// be chosen.
func checkName(name string) error {
	if strings.Contains(strings.Replace(name, "%d", "", 1), "%") {
		return fmt.Errorf("interface name %q: of %% only one %%d is allowed, for a number", name)
	}
	return netif.CheckName(name)
}
