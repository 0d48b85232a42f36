// Package packet is the driver of raw packet sockets (AF_PACKET): a second host
// on an interface of this machine, beside the kernel's own and without a driver
// of its own. It works on every Ethernet interface of Linux, needs one capability
// (CAP_NET_RAW), and changes nothing that outlives it.
//
//	import _ "github.com/ringtail-net/ringtail/hal/packet"
//
//	// eth1 keeps what it has. Ours is a host of its own beside it, with other
//	// IP addresses and the same MAC address.
//	dev, err := hal.Open("packet:eth1")
//	if err != nil { … } // says which command or key helps
//	err = hal.SetLocal(dev, hal.Local{Addrs: addrs}) // a host does this by itself
//
// Packets cross as super-frames with virtio-net headers, both ways: up to 64 KiB
// of TCP or UDP payload at a time, which the kernel cuts, or has merged, and whose
// checksums it completes, or has verified. Bursts are one system call each
// (sendmmsg, recvmmsg). Several queues are several sockets, over which the kernel
// spreads flows.
//
// # Beside the kernel
//
// A packet socket gets a copy of what the interface receives; the kernel gets the
// packet too. So the kernel keeps its addresses, its ARP, its ping and its
// connections as if we were not there. And what is sent to us it sees as well,
// and must leave alone. It does, if the addresses are planned so:
//
//   - No address of ours is one of the kernel's, on any interface of the same
//     namespace: both would answer, and the kernel would reset our connections.
//     [hal.SetLocal] refuses such an address. Sharing one address by ports cannot
//     work with a packet socket.
//   - The kernel does not forward what arrives there (net.ipv4.conf.IF.forwarding,
//     net.ipv6.conf.all.forwarding): it would send packets for us out again.
//   - The kernel does not answer ARP for others (net.ipv4.conf.IF.proxy_arp).
//
// ringtail drivers packet:IF looks at all that. With mac= we have an address of
// our own on the wire, and the kernel ignores what is sent to it, forwarding or not.
// The interface must then be able to receive for several (or it is made to receive
// everything), and the network must allow it: virtual cables, most cards and
// switches do; wireless networks and most clouds do not.
//
// A filter in the kernel keeps from us what is not ours: once SetLocal was called,
// only packets to our addresses and groups, with ARP, the broadcasts of IPv4, and
// the answers to a DHCP client while one waits. Before, everything that is sent to
// the interface's MAC address or to a group. It is a matter of cost, not of
// secrecy: what is in the socket already when the filter changes still comes. The
// interface is never made promiscuous for us, and other stations' packets are not
// received even if somebody else makes it so. Neither are packets of a VLAN: they
// belong to that VLAN's interface (ip link add link IF type vlan id N), which can
// be opened by itself.
//
// # The ring
//
// With ring=on the kernel writes into memory that it shares with us (TPACKET_V3),
// a block of many packets at a time, and wakes us once for each block: when it is
// full, or about a millisecond after its first packet. Under a flood of small
// packets that saves most of the cost of receiving; a request and its answer wait
// for that millisecond, and so does the acknowledgement that a sender waits for. It
// is for receiving much, not for answering soon, and for somebody who always comes
// back soon: there are 64 blocks, and a few packets can fill one, so that after 64
// milliseconds without a reader packets may be lost (rx-queue-full). A frame on
// loan holds the whole block that it lies in, so release before you sleep: while
// the newest block is held, its socket says that it is readable.
//
// The trap: the kernel and we are two hosts on one wire, and do not see what the
// other sends. A ping from this machine to our address goes out to the wire and
// is lost. Use another machine, or the other end of a virtual cable.
package packet

import (
	"fmt"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// maxQueues is the size of a fanout group (PACKET_FANOUT_MAX of Linux before 5.11).
const maxQueues = 256

// The range of MTUs: RFC 791, and the longest IPv4 packet.
const (
	minMTU = 68
	maxMTU = 65535
)

// Config says which device to open. The zero value lacks only Name.
type Config struct {
	// Name is an Ethernet interface that exists. It may be down, and come up
	// later.
	Name string

	// Queues is the number of queues, each with sockets of its own. The
	// kernel spreads flows over them by a hash of addresses and ports. 0: 1.
	Queues int

	// Ring receives by memory that is shared with the kernel: less work for
	// each packet, about a millisecond of delay.
	Ring bool

	// MAC is an address of our own beside the kernel's. Zero: that of the
	// interface, which is shared with the kernel.
	MAC hal.MAC

	// MTU is what the interface must have; it is not changed. 0: any.
	MTU int

	// NetNS is the network namespace of the interface: a name of
	// ip-netns(8), or a path such as /proc/4711/ns/net. Empty: that of the
	// calling thread.
	NetNS string

	blockSize int // of the ring, in bytes; 0: long enough for every packet
}

// Open opens a device. Errors are one line that names what would help; they wrap
// the system's errno, hal.ErrNotSupported where the system lacks something, and
// hal.ErrSpec where c contradicts itself.
func Open(c Config) (hal.Device, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrSpec, err)
	}
	return open(c)
}

func init() {
	hal.Register(hal.Driver{
		Name:    "packet",
		Summary: "an interface shared with the kernel, by raw packet sockets (AF_PACKET)",
		Target:  "interface name",
		Keys: []hal.Key{
			hal.IntKey("queues", 1, maxQueues, "number of queues"),
			hal.BoolKey("ring", "receive by shared memory: less work, a millisecond of delay (default off)"),
			macKey,
			hal.IntKey("mtu", minMTU, maxMTU, "the MTU that the interface must have"),
			hal.TextKey("netns", "network namespace of the interface: a name or a path"),
		},
		Open: func(s hal.Spec) (hal.Device, error) {
			c, err := fromSpec(s)
			if err != nil {
				return nil, err
			}
			return Open(c)
		},
		Probe: probe,
		Inspect: func(s hal.Spec) ([]hal.Fact, error) {
			c, err := fromSpec(s)
			if err == nil {
				err = c.check()
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %w", hal.ErrSpec, err)
			}
			return inspect(c)
		},
	})
}

var macKey = hal.Key{Name: "mac", Help: "MAC address of our own beside the kernel's (default: the interface's)", Check: func(v string) error {
	_, err := hal.ParseMAC(v)
	return err
}}

func fromSpec(s hal.Spec) (Config, error) {
	c := Config{
		Name:   s.Target,
		Queues: s.Int("queues", 0),
		Ring:   s.Bool("ring", false),
		MTU:    s.Int("mtu", 0),
		NetNS:  s.Text("netns", ""),
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
	if c.Name == "" {
		return fmt.Errorf("the name of an interface is missing, as in packet:eth1 (ip link shows those there are)")
	}
	if err := netif.CheckName(c.Name); err != nil {
		return err
	}
	if c.Queues < 0 || c.Queues > maxQueues {
		return fmt.Errorf("%d queues: must be from 1 to %d", c.Queues, maxQueues)
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return fmt.Errorf("mtu %d: must be from %d to %d", c.MTU, minMTU, maxMTU)
	}
	if c.MAC != (hal.MAC{}) {
		return c.MAC.Check()
	}
	return nil
}
