// Package afxdp is the driver of AF_XDP: it takes frames from a network card, or
// a virtual cable, before the kernel's stack has seen them, and shares the
// interface with the kernel. It works on Linux, from 5.18 on.
//
//	import _ "github.com/ringtail-net/ringtail/hal/afxdp"
//
//	// eth1 keeps what it has. Ours is a host of its own beside it, with other
//	// addresses and the same MAC address.
//	dev, err := hal.Open("afxdp:eth1?queues=2")
//	if err != nil { … } // says which command or key helps
//	err = hal.SetLocal(dev, hal.Local{Addrs: addrs}) // a host does this by itself
//
// A small program in the kernel looks at every frame that arrives. What is ours
// alone goes into memory that this process shares with the kernel, and the kernel
// never hears of it. What belongs to both, such as broadcasts and router
// advertisements, goes to the kernel, and we get a copy. The rest is the kernel's:
// its addresses, its ping and its ssh work on as before. filter= says what is
// ours; by default it is the addresses that [hal.SetLocal] names.
//
// Nothing is left behind: the program in the kernel lives as long as this
// process, however that ends.
//
// An interface with the default route is refused without force: a mistake there
// cuts off whoever made it. The rights needed are the capabilities CAP_NET_RAW,
// CAP_NET_ADMIN and CAP_BPF.
//
// Packets lie in memory that is shared with the kernel and counts as locked: for
// each queue frames= buffers of 2 KiB, or of 4 KiB if the MTU is above 1774, three
// quarters of them for receiving. A packet that does not fit one is a chain. When
// the kernel cannot send what it was given, because the line is slower than we
// are, packets stay where they are and the device becomes full; none is lost that
// is not counted.
//
// Senders on this machine leave checksums blank, and a virtual cable carries
// them so. A packet whose checksum is just that is accepted (trust-checksum=), and
// all others are verified by whoever receives them, as on any wire.
//
// An interface that is deleted, or moved to another namespace, is gone for good:
// every call fails and says so, and sleepers wake. One that is down loses what is sent,
// counted, and works on when it is up again.
//
// The trap: the kernel and we are two hosts on one wire, and do not see what the
// other sends. A ping from this machine to our address goes out to the wire and
// is lost. Use another machine, or the other end of a virtual cable.
package afxdp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// Limits of this driver. A queue needs frames for both directions.
const (
	maxQueues = 256
	minFrames = 256
	maxFrames = 1 << 18
)

// Config says which device to open, and how. The zero value lacks only Name.
type Config struct {
	// Name is the interface, which exists and is up.
	Name string

	// Queues is the number of the interface's queues to use, from its first;
	// each gets a socket. 0: all. Frames that arrive in a queue without a
	// socket come to us by the kernel, slowly: use fewer queues than there
	// are only if the card is told to spread over these (ethtool -X).
	Queues int

	// Mode is how the program is attached: "native" in the interface's driver,
	// "generic" after the kernel has made packets of its own of the frames.
	// "auto", or empty, tries the first and falls back to the second, but not
	// on a virtual cable, where generic mode loses super-frames.
	Mode string

	// Copy is whether the card writes to our memory by itself, "zero", or the
	// kernel copies, "copy". "auto", or empty, is copying, which every driver
	// can; with "zero" it is the fallback, and [hal.Info.Mode] says what was
	// obtained.
	Copy string

	// Wait is how arrivals are noticed. "poll", or empty: the kernel says so.
	// "coalesce", or "coalesce:100us": after a burst, it says so only after
	// that time, which saves much work for a little latency. "spin": by
	// looking, which occupies a core. "busy-poll": the kernel looks into the
	// card while we wait, if its driver can.
	Wait string

	// Frames is the number of packet buffers of each queue, in both directions
	// together, from 256 to 262144 and a power of two. 0: 8192.
	Frames int

	// TrustChecksum is whether a transport checksum that was left blank by a
	// sender on this machine is accepted: "on", "off", or "auto" (or empty), which is
	// "on" for virtual cables only.
	TrustChecksum string

	// Filter says which frames are ours. "local", or empty: those to the
	// addresses, groups and ports that SetLocal names. Ports, as in
	// "tcp/80+udp/53": of the traffic to those addresses, only what goes to
	// these ports; the kernel has the same addresses and answers for them. That
	// is for servers: answers to what we dial would go to other ports.
	// "mac:02:00:00:00:00:01": all that is sent to this station, which is ours
	// alone. "all": everything.
	Filter string

	// NetNS is the network namespace of the interface: a name of
	// ip-netns(8), or a path such as /proc/4711/ns/net. Empty: that of the
	// calling thread.
	NetNS string

	// Force opens an interface even if it carries a default route.
	Force bool
}

// Open opens a device. Errors are one line that names what would help; they wrap
// the system's errno, hal.ErrNotSupported where the system or the interface's
// driver lacks something, and hal.ErrSpec where c contradicts itself.
func Open(c Config) (hal.Device, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrSpec, err)
	}
	return open(c)
}

func init() {
	hal.Register(hal.Driver{
		Name:    "afxdp",
		Summary: "an interface shared with the kernel, past its stack (AF_XDP)",
		Target:  "interface name",
		Keys: []hal.Key{
			key("queues", "number of queues, from the first one, or all (default)", checkQueues),
			hal.EnumKey("mode", "where the filter runs: native is in the interface's driver", modes...),
			hal.EnumKey("copy", "whether the card writes to our memory itself (default: the kernel copies)", copyings...),
			key("wait", "how arrivals are noticed: poll, coalesce[:TIME], spin or busy-poll", func(v string) error { _, err := parseWait(v); return err }),
			key("frames", "packet buffers of each queue, a power of two", checkFrames),
			hal.EnumKey("trust-checksum", "accept checksums left blank by this machine (default: on virtual cables)", trusts...),
			key("filter", "which frames are ours: local, all, mac:MAC, or ports as in tcp/80+udp/53", func(v string) error { _, err := parseFilter(v); return err }),
			hal.TextKey("netns", "network namespace of the interface: a name or a path"),
			hal.BoolKey("force", "open an interface even if it carries the default route"),
		},
		Open: func(s hal.Spec) (hal.Device, error) {
			return Open(fromSpec(s))
		},
		Probe:   probe,
		Inspect: inspect,
	})
}

func key(name, help string, check func(string) error) hal.Key {
	return hal.Key{Name: name, Help: help, Check: check}
}

// The words of the keys; the first one is the default.
var (
	modes    = []string{"auto", "native", "generic"}
	copyings = []string{"auto", "zero", "copy"}
	trusts   = []string{"auto", "on", "off"}
)

func fromSpec(s hal.Spec) Config {
	return Config{
		Name:          s.Target,
		Queues:        s.Int("queues", 0), // "all" is no number
		Mode:          s.Text("mode", ""),
		Copy:          s.Text("copy", ""),
		Wait:          s.Text("wait", ""),
		Frames:        s.Int("frames", 0),
		TrustChecksum: s.Text("trust-checksum", ""),
		Filter:        s.Text("filter", ""),
		NetNS:         s.Text("netns", ""),
		Force:         s.Bool("force", false),
	}
}

// check finds what no system would accept.
func (c Config) check() error {
	if c.Name == "" {
		return fmt.Errorf("the interface's name is missing, as in afxdp:eth1")
	}
	if err := netif.CheckName(c.Name); err != nil {
		return err
	}
	if c.Queues < 0 || c.Queues > maxQueues {
		return fmt.Errorf("%d queues: must be from 1 to %d", c.Queues, maxQueues)
	}
	if c.Frames != 0 {
		if err := checkFrames(strconv.Itoa(c.Frames)); err != nil {
			return fmt.Errorf("frames %d: %w", c.Frames, err)
		}
	}
	for _, w := range []struct {
		name, value string
		words       []string
	}{{"mode", c.Mode, modes}, {"copy", c.Copy, copyings}, {"trust-checksum", c.TrustChecksum, trusts}} {
		if w.value != "" && !slices.Contains(w.words, w.value) {
			return fmt.Errorf("%s %q: must be one of %s", w.name, w.value, strings.Join(w.words, ", "))
		}
	}
	if c.Mode == "generic" && c.Copy == "zero" {
		return fmt.Errorf("in generic mode the kernel copies: copy=zero does not go with mode=generic")
	}
	if _, err := parseWait(c.Wait); err != nil {
		return fmt.Errorf("wait %q: %w", c.Wait, err)
	}
	if _, err := parseFilter(c.Filter); err != nil {
		return fmt.Errorf("filter %q: %w", c.Filter, err)
	}
	return nil
}

func checkQueues(v string) error {
	if n, err := strconv.Atoi(v); v != "all" && (err != nil || n < 1 || n > maxQueues) {
		return fmt.Errorf("must be all, or a whole number from 1 to %d", maxQueues)
	}
	return nil
}

func checkFrames(v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < minFrames || n > maxFrames || n&(n-1) != 0 {
		return fmt.Errorf("must be a power of two from %d to %d", minFrames, maxFrames)
	}
	return nil
}

// A waiting is how arrivals are noticed.
type waiting struct {
	how   string        // one of the words of Config.Wait
	delay time.Duration // of coalesce
}

// defaultDelay is worth it already: several tens of frames arrive meanwhile where
// it matters, and it is less than a switch to another thread may cost.
const (
	defaultDelay = 50 * time.Microsecond
	maxDelay     = 10 * time.Millisecond
)

func parseWait(text string) (waiting, error) {
	how, delay, timed := strings.Cut(text, ":")
	w := waiting{how: how}
	switch {
	case text == "":
		w.how = "poll"
	case how == "coalesce":
		w.delay = defaultDelay
	case timed || how != "poll" && how != "spin" && how != "busy-poll":
		return w, fmt.Errorf("must be one of poll, coalesce, coalesce:TIME, spin, busy-poll")
	}
	if !timed {
		return w, nil
	}
	var err error
	if w.delay, err = time.ParseDuration(delay); err != nil || w.delay <= 0 || w.delay > maxDelay {
		return w, fmt.Errorf("%q must be a time up to %v, as in coalesce:100us", delay, maxDelay)
	}
	return w, nil
}
