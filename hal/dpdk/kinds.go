package dpdk

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ringtail-net/ringtail/hal"
)

// A kind is what one has to know of a driver of DPDK (a PMD) to open its devices.
type kind struct {
	args   []string // keys of a spec that are arguments of the device
	needs  []string // of them, those without which it cannot be opened
	fixed  []string // arguments that are always given
	queues string   // the argument that says how many queues; "": none is needed
	socket string   // the argument that is a socket's file
	listen string   // "key=value" that makes the socket a server's; "*": it always is

	kernel bool // it opens an interface of the kernel, and shares its address
	cable  bool // its other end is the kernel's: the address must be another one
	random bool // its address is another one each time: ours must not be
	lends  bool // its buffers get into the hands of other ports
	lone   bool // it sends a packet of one buffer only, whatever it says
	blind  bool // it writes what arrives into one buffer, and does not look how large that is
	merged bool // it may give super-frames, whatever the port says
}

// kinds are the virtual devices that the keys of a spec know. Others take args=.
var kinds = map[string]kind{
	"net_memif": {
		args: []string{"role", "socket", "id", "secret", "bsize", "rsize", "zero-copy"}, needs: []string{"socket"}, fixed: []string{"socket-abstract=no"},
		socket: "socket", listen: "role=server", random: true,
	},
	"net_vhost": {
		args: []string{"iface"}, needs: []string{"iface"}, fixed: []string{"client=0", "tso=1"}, queues: "queues",
		socket: "iface", listen: "*", merged: true, random: true,
	},
	"net_virtio_user": {
		args: []string{"path"}, needs: []string{"path"}, fixed: []string{"server=0"}, queues: "queues",
		socket: "path", random: true,
	},
	"net_tap":       {args: []string{"iface", "remote"}, cable: true},
	"net_af_packet": {args: []string{"iface"}, needs: []string{"iface"}, queues: "qpairs", kernel: true, blind: true},
	"net_af_xdp":    {args: []string{"iface"}, needs: []string{"iface"}, queues: "queue_count", kernel: true, lone: true, blind: true},
	"net_pcap":      {args: []string{"iface", "rx_pcap", "tx_pcap", "rx_iface", "tx_iface"}},
	"net_ring":      {lends: true},
	"net_null":      {random: true, blind: true},
}

var (
	virtual = regexp.MustCompile(`^((?:net|eth)_[a-z_]*[a-z])_?([0-9]+)$`)
	pci     = regexp.MustCompile(`^(?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$`)
)

// kindOf returns the driver of a device by the device's name, and whether it is a
// card on the PCI bus.
func kindOf(name string) (driver string, k kind, card bool, err error) {
	if pci.MatchString(name) {
		return "pci", kind{}, true, nil
	}
	m := virtual.FindStringSubmatch(name)
	if m == nil {
		return "", kind{}, false, fmt.Errorf("device %q: must be a driver's name and a number, as in net_memif0, or a PCI address, as in 0000:01:00.0", name)
	}
	return m[1], kinds[m[1]], false, nil
}

// argKeys are the keys of a spec that are arguments of some device.
func argKeys() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.args...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkArgs compares the arguments of a device with what its driver knows.
func (k kind) checkArgs(driver string, args []string) error {
	for _, a := range args {
		key, _, ok := strings.Cut(a, "=")
		if !ok || key == "" || strings.ContainsAny(a, ", ") {
			return fmt.Errorf("argument %q: must be key=value, without commas and spaces", a)
		}
		if slices.Contains(argKeys(), key) && kinds[driver].args != nil && !slices.Contains(k.args, key) {
			return fmt.Errorf("%s has no key %s: it takes %s", driver, key, strings.Join(k.args, ", "))
		}
	}
	for _, key := range k.needs {
		if valueOf(args, key) == "" {
			return fmt.Errorf("%s needs %s=", driver, key)
		}
	}
	return nil
}

// valueOf returns the value of a key among arguments.
func valueOf(args []string, key string) string {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, key+"="); ok {
			return v
		}
	}
	return ""
}

// serves returns the file of the socket that a device with these arguments will
// listen on; "" if there is none.
func (k kind) serves(args []string) string {
	path := valueOf(args, k.socket)
	key, value, _ := strings.Cut(k.listen, "=")
	switch {
	case k.socket == "" || k.listen == "":
		return ""
	case k.listen == "*", valueOf(args, key) == value:
		return path
	}
	return ""
}

// devargs is the line by which DPDK opens a device.
func (c Config) devargs(k kind) string {
	line := append([]string{c.Name}, k.fixed...)
	if k.queues != "" {
		line = append(line, fmt.Sprintf("%s=%d", k.queues, max(c.Queues, 1)))
	}
	line = append(line, c.Args...)
	return strings.Join(line, ",")
}

// A plan is a Config that was checked, and what follows from it.
type plan struct {
	Config
	driver string // of DPDK, by the device's name
	kind   kind
	card   bool // on the PCI bus
	pace   pace
}

// plan checks a Config.
func (c Config) plan() (plan, error) {
	p := plan{Config: c}
	err := c.check()
	if err == nil {
		p.driver, p.kind, p.card, err = kindOf(c.Name)
	}
	if err == nil {
		p.pace, err = parseWait(c.Wait)
	}
	if err == nil {
		err = p.kind.checkArgs(p.driver, c.Args)
	}
	if err == nil && c.Pair != "" && p.driver != "net_ring" {
		err = fmt.Errorf("%s has no pair: only net_ring has", p.driver)
	}
	if err == nil && c.Pair != "" && c.Queues > 1 {
		err = fmt.Errorf("a pair of net_ring has one queue")
	}
	if err != nil {
		return p, fmt.Errorf("%w: %w", hal.ErrSpec, err)
	}
	return p, nil
}
