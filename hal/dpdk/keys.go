package dpdk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// Limits of this driver, and of DPDK's types.
const (
	maxQueues = 64
	minMTU    = 68
	maxMTU    = 65535 - hal.EthernetHeaderLen
	minMbufs  = 2048
	maxMbufs  = 1 << 20
	minRoom   = hal.Contiguous
	maxRoom   = 65535 - 256 // with DPDK's own headroom it is counted in 16 bits
)

// hugeWords are what Huge may be; the first one is the default.
var hugeWords = []string{"auto", "on", "off"}

func keys() []hal.Key {
	check := func(name, help string, f func(string) error) hal.Key {
		return hal.Key{Name: name, Help: help, Check: f}
	}
	ks := []hal.Key{
		check("role", "net_memif: server or client (default)", oneOf("server", "client")),
		hal.TextKey("socket", "net_memif: file of the control socket"),
		hal.IntKey("id", 0, 1<<30, "net_memif: number of the cable on this socket"),
		hal.TextKey("secret", "net_memif: what both ends must know"),
		hal.IntKey("bsize", 64, 65535, "net_memif: bytes of a buffer of the shared memory"),
		hal.IntKey("rsize", 1, 14, "net_memif: buffers of a ring, as a power of two"),
		check("zero-copy", "net_memif, client: its mbufs are the shared memory", oneOf("yes", "no")),
		hal.TextKey("iface", "net_tap, net_af_packet, net_af_xdp: interface; net_vhost: file of the socket"),
		hal.TextKey("remote", "net_tap: interface whose traffic is mirrored"),
		hal.TextKey("path", "net_virtio_user: file of net_vhost's socket"),
		hal.TextKey("rx_pcap", "net_pcap: capture to receive from"),
		hal.TextKey("tx_pcap", "net_pcap: capture to send to"),
		hal.TextKey("rx_iface", "net_pcap: interface to receive from"),
		hal.TextKey("tx_iface", "net_pcap: interface to send to"),
		hal.TextKey("pair", "net_ring: the two ports that name it are the ends of one cable"),
	}
	args := hal.TextKey("args", "further arguments of the device, key=value,key=value")
	eal := hal.TextKey("eal", "further arguments of EAL, separated by spaces")
	args.Many, eal.Many = true, true
	return append(ks,
		args,
		hal.IntKey("queues", 1, maxQueues, "number of queues"),
		hal.IntKey("mtu", minMTU, maxMTU, "longest IP packet"),
		check("mac", "our MAC address", func(v string) error { _, err := hal.ParseMAC(v); return err }),
		hal.BoolKey("promiscuous", "receive what is sent to others too"),
		hal.IntKey("mbufs", minMbufs, maxMbufs, "packet buffers of the port"),
		hal.IntKey("room", minRoom, maxRoom, "bytes of a packet in a buffer; longer ones are chains"),
		check("wait", "how arrivals are noticed: poll[:TIME] or spin", func(v string) error { _, err := parseWait(v); return err }),
		hal.TextKey("netns", "network namespace of the kernel's interface: a name or a path"),
		hal.EnumKey("huge", "memory in hugepages (default: if enough are free)", hugeWords...),
		hal.TextKey("lcores", "EAL's --lcores (default: one that floats)"),
		eal,
	)
}

func oneOf(words ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

// pace is the shortest nap before a half is looked at again. Negative: by spinning.
type pace time.Duration

// The shortest nap by default, and what a nap may begin with at most.
const (
	defaultPace = pace(20 * time.Microsecond)
	maxPace     = time.Millisecond
)

func parseWait(text string) (pace, error) {
	how, after, timed := strings.Cut(text, ":")
	switch {
	case text == "" || text == "poll":
		return defaultPace, nil
	case text == "spin":
		return -1, nil
	case how != "poll" || !timed:
		return 0, fmt.Errorf("must be poll, poll:TIME as in poll:50us, or spin")
	}
	d, err := time.ParseDuration(after)
	if err != nil || d <= 0 || d > maxPace {
		return 0, fmt.Errorf("the time must be from 1ns to %v, as in poll:50us", maxPace)
	}
	return pace(d), nil
}

func fromSpec(s hal.Spec) (Config, error) {
	c := Config{
		Name:        s.Target,
		Pair:        s.Text("pair", ""),
		Queues:      s.Int("queues", 0),
		MTU:         s.Int("mtu", 0),
		Promiscuous: s.Bool("promiscuous", false),
		Mbufs:       s.Int("mbufs", 0),
		Room:        s.Int("room", 0),
		Wait:        s.Text("wait", ""),
		NetNS:       s.Text("netns", ""),
		Huge:        s.Text("huge", ""),
		Lcores:      s.Text("lcores", ""),
	}
	for _, key := range argKeys() {
		if v := s.Text(key, ""); v != "" {
			c.Args = append(c.Args, key+"="+v)
		}
	}
	for _, v := range s.Texts("args") {
		c.Args = append(c.Args, strings.Split(v, ",")...)
	}
	for _, v := range s.Texts("eal") {
		c.EAL = append(c.EAL, strings.Fields(v)...)
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

// check finds what no port would accept.
func (c Config) check() error {
	for _, n := range []struct {
		what          string
		value, lo, hi int
	}{
		{"queues", c.Queues, 1, maxQueues},
		{"mtu", c.MTU, minMTU, maxMTU},
		{"mbufs", c.Mbufs, minMbufs, maxMbufs},
		{"room", c.Room, minRoom, maxRoom},
	} {
		if n.value != 0 && (n.value < n.lo || n.value > n.hi) {
			return fmt.Errorf("%s %s: must be from %d to %d", n.what, strconv.Itoa(n.value), n.lo, n.hi)
		}
	}
	if c.Huge != "" && !slices.Contains(hugeWords, c.Huge) {
		return fmt.Errorf("huge %q: must be one of %s", c.Huge, strings.Join(hugeWords, ", "))
	}
	if c.MAC != (hal.MAC{}) {
		return c.MAC.Check()
	}
	return nil
}
