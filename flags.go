package ringtail

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/ringtail-net/ringtail/api"
)

// RegisterFlags makes flags of fs for the fields of c that an operator decides:
//
//	--hal tap:rt0?host=10.77.0.1/24   the device
//	--addr 10.77.0.2/24               an address of the host; repeatable, or 10.77.0.2/24,fd00::2/64;
//	                                  dhcp and slaac ask the network for one
//	--gateway 10.77.0.1               a default router, as --addr
//	--dns 10.77.0.1                   a DNS server, with a port if it is not 53, as --addr
//	--search lab.example              a domain for names without a dot, as --addr
//	--hosts FILE                      known names, in the form of /etc/hosts
//	--name, --mtu, --max-conns, --max-conns-per-peer, --rack
//	--faults, --seed, --pcap          for tries
//	--verbose                         unless c has a Logger
//
// Their defaults are what c holds. A list that is given on the command line takes
// the place of its default. Like package flag it panics if fs has a flag of one of
// these names: see RegisterFlagsWithPrefix.
func (c *Config) RegisterFlags(fs *flag.FlagSet) { c.RegisterFlagsWithPrefix("", fs) }

// RegisterFlagsWithPrefix is RegisterFlags with a prefix for each name: with
// "lan-" the flags are --lan-hal, --lan-addr and so on. It is for programs with
// several hosts, or with an --addr of their own.
func (c *Config) RegisterFlagsWithPrefix(prefix string, fs *flag.FlagSet) {
	fs.StringVar(&c.HAL, prefix+"hal", c.HAL, "the device, by a `spec` driver:target?key=value&… (see ringtail drivers)")
	fs.StringVar(&c.Name, prefix+"name", c.Name, "the host's `name` in logs and statistics")
	fs.Var(&addrFlag{c: c}, prefix+"addr", "an `address` of the host with the prefix length of its link, or dhcp, or slaac; repeatable")
	fs.Var(newList(&c.Gateways, netip.ParseAddr, "10.77.0.1 or fd00::1"), prefix+"gateway",
		"a default `router`; one for each of IPv4 and IPv6")
	fs.Var(newList(&c.Names.Servers, parseServer, "10.77.0.1, 10.77.0.1:5353 or fd00::1"), prefix+"dns",
		"a DNS `server` for names; repeatable (default: those that dhcp and slaac tell of)")
	fs.Var(newList(&c.Names.Search, parseDomain, "lab.example"), prefix+"search", "a `domain` in which names without a dot are looked for; repeatable")
	fs.Var(&hostsFlag{c: c}, prefix+"hosts", "known names and addresses, from a `file` in the form of /etc/hosts")
	fs.IntVar(&c.MTU, prefix+"mtu", c.MTU, "longest IP packet in `bytes` (default: the device's)")
	fs.IntVar(&c.Limits.Conns, prefix+"max-conns", c.Limits.Conns, "let nobody open another TCP connection when there are `N` (default: 65536)")
	fs.IntVar(&c.Limits.ConnsPerPeer, prefix+"max-conns-per-peer", c.Limits.ConnsPerPeer,
		"let no address open another TCP connection when it has `N` (default: 4096)")
	fs.BoolVar(&c.RACK, prefix+"rack", c.RACK, "detect losses by time (RFC 8985)")
	fs.StringVar(&c.Faults, prefix+"faults", c.Faults,
		"damage frames on purpose, by a `list` such as drop=1%,delay=5ms,jitter=1ms,dup=1%,reorder=1%,corrupt=1%,rate=10mbit")
	fs.Uint64Var(&c.Seed, prefix+"seed", c.Seed, "`seed` of the faults' random choices")
	fs.StringVar(&c.Pcap, prefix+"pcap", c.Pcap, "write all frames to a pcapng `file`; - is standard output")
	if c.Logger == nil {
		fs.BoolVar(&c.Verbose, prefix+"verbose", c.Verbose, "log to standard error what the host does")
	}
}

// FromEnv sets the fields of c for which the environment has a variable:
// RINGTAIL_HAL stands for --hal, RINGTAIL_MAX_CONNS for --max-conns, and so on
// (see [EnvName]). lookup is mostly [os.LookupEnv]. Called before RegisterFlags it
// makes a flag beat the environment, and what the environment says the default
// that --help shows. A variable that is empty counts as not set.
func (c *Config) FromEnv(lookup func(string) (string, bool)) error {
	return c.FromEnvWithPrefix("", lookup)
}

// FromEnvWithPrefix is FromEnv for the flags of RegisterFlagsWithPrefix: with
// "lan-" the variables are RINGTAIL_LAN_HAL and so on.
func (c *Config) FromEnvWithPrefix(prefix string, lookup func(string) (string, bool)) (err error) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	c.RegisterFlagsWithPrefix(prefix, fs)
	fs.VisitAll(func(f *flag.Flag) {
		name := EnvName(f.Name)
		text, ok := lookup(name)
		if !ok || text == "" || err != nil { // empty is what a composed environment has for "not set"
			return
		}
		if e := f.Value.Set(text); e != nil {
			err = configError{fmt.Errorf("%s=%q: %w", name, text, e)}
		}
	})
	return err
}

// EnvName returns the name of the environment variable that stands for a flag:
// RINGTAIL_MAX_CONNS for max-conns.
func EnvName(flag string) string {
	return "RINGTAIL_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flag))
}

// parseServer parses the address of a DNS server, whose port may be left out.
func parseServer(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	return netip.ParseAddrPort(text)
}

func parseDomain(text string) (string, error) {
	return text, api.Names{Search: []string{text}}.Validate()
}

// A hostsFlag reads a file of hosts when it is set.
type hostsFlag struct {
	c    *Config
	file string
}

// Set implements [flag.Value].
func (h *hostsFlag) Set(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	hosts, err := api.ParseHosts(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	h.file, h.c.Names.Hosts = file, hosts
	return nil
}

func (h *hostsFlag) String() string {
	if h == nil {
		return ""
	}
	return h.file
}

// A listFlag is a flag that may stand more than once, or hold several values
// between commas. The first use replaces the default.
type listFlag[T any] struct {
	values *[]T
	parse  func(string) (T, error)
	want   string // of the complaint
	used   bool
}

func newList[T any](values *[]T, parse func(string) (T, error), want string) *listFlag[T] {
	return &listFlag[T]{values: values, parse: parse, want: want}
}

// An addrFlag is the flag of a host's addresses, all forms of which are understood
// here.
type addrFlag struct {
	c    *Config
	used bool
}

// Set implements [flag.Value].
func (a *addrFlag) Set(text string) error {
	after := *a.c
	if !a.used {
		after.Addrs, after.DHCP, after.SLAAC = nil, false, false
	}
	for part := range strings.SplitSeq(text, ",") {
		switch part = strings.TrimSpace(part); part {
		case "dhcp":
			after.DHCP = true
		case "slaac":
			after.SLAAC = true
		default:
			p, err := netip.ParsePrefix(part)
			if err != nil {
				return errors.New("want 10.77.0.2/24, fd00::2/64, dhcp or slaac")
			}
			after.Addrs = append(after.Addrs, p)
		}
	}
	a.c.Addrs, a.c.DHCP, a.c.SLAAC, a.used = after.Addrs, after.DHCP, after.SLAAC, true
	return nil
}

func (a *addrFlag) String() string {
	if a == nil || a.c == nil {
		return ""
	}
	var texts []string
	for _, p := range a.c.Addrs {
		texts = append(texts, p.String())
	}
	if a.c.DHCP {
		texts = append(texts, "dhcp")
	}
	if a.c.SLAAC {
		texts = append(texts, "slaac")
	}
	return strings.Join(texts, ",")
}

// Set implements [flag.Value].
func (l *listFlag[T]) Set(text string) error {
	var values []T
	for part := range strings.SplitSeq(text, ",") {
		v, err := l.parse(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("want %s", l.want)
		}
		values = append(values, v)
	}
	if !l.used {
		*l.values, l.used = nil, true
	}
	*l.values = append(*l.values, values...)
	return nil
}

func (l *listFlag[T]) String() string {
	if l == nil || l.values == nil {
		return ""
	}
	var texts []string
	for _, v := range *l.values {
		texts = append(texts, fmt.Sprint(v))
	}
	return strings.Join(texts, ",")
}
