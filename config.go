package ringtail

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/stack"
)

// Config describes a host. The zero value is a host that talks to itself only.
// Fill it in, or let [Config.RegisterFlags] and [Config.FromEnv] do so, or both.
type Config struct {
	// HAL names the device, as driver:target?key=value&… (see
	// [hal.ParseSpec]). Empty: the host has none.
	HAL string

	// Name appears in errors, logs and statistics. Empty: "host".
	Name string

	// Addrs are the addresses on the device, each with the prefix length of
	// its link. Gateways are the default routers, one for each family at
	// most; each is on the link of an address.
	Addrs    []netip.Prefix
	Gateways []netip.Addr

	// DHCP and SLAAC get addresses from the network, beside Addrs: one of IPv4
	// from a DHCP server, those of IPv6 from what routers advertise. They bring
	// routes and name servers too. Hosts that share a link address need
	// different names. See [stack.Interface].
	DHCP, SLAAC bool

	// Names are the DNS servers and known hosts of the net face. If it has no
	// servers, or no search domains, those take their place that the network
	// tells of by DHCP or SLAAC, as they are at the time, until somebody calls
	// SetNames.
	Names api.Names

	// MTU is the length, in bytes, of the longest IP packet. Zero: the
	// device's.
	MTU int

	// Limits bound what peers can make the host hold. Zero fields have
	// defaults.
	Limits stack.Limits

	// ReadBuffer and WriteBuffer are the sizes, in bytes, of a new TCP
	// socket's buffers. Zero: 1 MiB each.
	ReadBuffer, WriteBuffer int

	// RACK turns on RFC 8985 loss detection, which suits links that lose much
	// and reorder nothing. Off by default: see [stack.Config].
	RACK bool

	// Acked lets sockets have the option [api.Acked]: pushes, and writes, that
	// are complete when the peer has acknowledged them. It costs something for
	// every segment received: see [stack.Config].
	Acked bool

	// Strict makes misuse of memory on the queue face panic, and tracks who
	// has it. It is for tests: see [api.Config].
	Strict bool

	// Faults damage wire frames on purpose (see [wrap.ParseFaults]), as
	// decided by Seed. Empty: none.
	Faults string
	Seed   uint64

	// Pcap is the name of a file that gets all frames in pcapng form, as the
	// host sees them: outside of the faults. It may be a pipe; "-" is
	// standard output. Empty: none.
	Pcap string

	// Logger gets what an operator may want to know. Nil: silence, unless
	// Verbose sends all of it to standard error.
	Logger  *slog.Logger
	Verbose bool
}

// ErrConfig is wrapped by every error of [Open] and of [Config.FromEnv]: the
// Config asks for what is not to be had, on this machine or anywhere. The text
// names the remedy where there is one.
var ErrConfig = errors.New("bad configuration")

// configError wraps ErrConfig without a word of its own.
type configError struct{ error }

func (e configError) Unwrap() error        { return e.error }
func (e configError) Is(target error) bool { return target == ErrConfig }

// validate checks what does not need the device. What concerns the stack alone,
// such as its limits, package stack checks.
func (c *Config) validate() (wrap.Faults, error) {
	faults, err := wrap.ParseFaults(c.Faults)
	switch {
	case err != nil:
		return faults, err
	case strings.HasPrefix(c.HAL, "kernel:"):
		return faults, fmt.Errorf("kernel: is not built yet: %w", hal.ErrNotSupported)
	case c.HAL == "" && (c.hasAddr() || len(c.Gateways) > 0 || c.MTU != 0 || c.Faults != "" || c.Pcap != ""):
		return faults, errors.New("which device? the host has none (Config.HAL, --hal): name one, as in tap:rt0?host=10.77.0.1/24 or loopback:lan")
	case c.HAL != "" && !c.hasAddr():
		return faults, errors.New("which address? the host has none on its device (Config.Addrs, --addr): give it one, as in 10.77.0.2/24 or fd00::2/64, or have it ask for one: dhcp, slaac")
	}
	if err := c.Names.Validate(); err != nil {
		return faults, err
	}
	return faults, c.validateGateways()
}

// hasAddr reports whether the host is to have an address on its device.
func (c *Config) hasAddr() bool { return len(c.Addrs) > 0 || c.DHCP || c.SLAAC }

func (c *Config) validateGateways() error {
	families := map[bool]netip.Addr{}
	for _, g := range c.Gateways {
		is4 := g.Unmap().Is4()
		if other, ok := families[is4]; ok {
			return fmt.Errorf("gateways %v and %v: there can be one for each of IPv4 and IPv6", other, g)
		}
		families[is4] = g
	}
	return nil
}

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil && c.Verbose {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return c.Logger
}

// stackConfig returns what the stack is made of, but for the device.
func (c *Config) stackConfig() stack.Config {
	return stack.Config{
		Name: c.Name, Routes: c.routes(), Limits: c.Limits, ReadBuffer: c.ReadBuffer, WriteBuffer: c.WriteBuffer,
		RACK: c.RACK, Acked: c.Acked, Logger: c.logger(),
	}
}

// routes are the default routes.
func (c *Config) routes() []stack.Route {
	var routes []stack.Route
	for _, g := range c.Gateways {
		all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if g.Unmap().Is4() {
			all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		routes = append(routes, stack.Route{To: all, Via: g.Unmap()})
	}
	return routes
}
