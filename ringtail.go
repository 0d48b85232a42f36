// Package ringtail opens a host: a TCP/IP stack of your own, on a device that a
// text names, with two faces to program it by. It is the package to start with;
// the packages under it are there when you want more.
//
//	host, err := ringtail.Open(ringtail.Config{
//		HAL:   "tap:rt0?host=10.77.0.1/24", // or loopback:lan, or …
//		Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24")},
//	})
//	if err != nil { … }
//	defer host.Close()
//	if err := host.Ready(ctx); err != nil { … }
//	ln, err := host.Net().Listen("tcp", ":80") // a net.Listener
//	http.Serve(ln, handler)
//
// [Host.Net] is the face for programs written against package net, [Host.LibOS]
// the one of queues and completions. Both can be used at once.
//
// The trap: the host shares nothing with the kernel. Its addresses are its own,
// no firewall stands in front of it, and only what arrives at its device exists
// for it.
package ringtail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
	"github.com/ringtail-net/ringtail/stack"
)

// Config describes a host. The zero value is a host that talks to itself only.
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

	// MTU is the length, in bytes, of the longest IP packet. Zero: the
	// device's.
	MTU int

	// Faults damage wire frames on purpose (see [wrap.ParseFaults]), as
	// decided by Seed. Empty: none.
	Faults string
	Seed   uint64

	// Pcap is the name of a file that gets all frames in pcapng form, as the
	// host sees them: outside of the faults. It may be a pipe; "-" is
	// standard output. Empty: none.
	Pcap string

	// Logger gets what an operator may want to know. Nil: silence.
	Logger *slog.Logger
}

// ErrConfig is wrapped by every error of [Open]: the Config asks for what is not
// to be had, on this machine or anywhere. The text names the remedy where there
// is one.
var ErrConfig = errors.New("bad configuration")

// configError wraps ErrConfig without a word of its own.
type configError struct{ error }

func (e configError) Unwrap() error        { return e.error }
func (e configError) Is(target error) bool { return target == ErrConfig }

// validate checks what does not need the device.
func (c *Config) validate() (wrap.Faults, error) {
	faults, err := wrap.ParseFaults(c.Faults)
	switch {
	case err != nil:
		return faults, err
	case strings.HasPrefix(c.HAL, "kernel:"):
		return faults, fmt.Errorf("kernel: is not built yet: %w", hal.ErrNotSupported)
	case c.HAL == "" && (len(c.Addrs) > 0 || len(c.Gateways) > 0 || c.MTU != 0 || c.Faults != "" || c.Pcap != ""):
		return faults, errors.New("the host has no device for its addresses: name one, as in loopback:lan")
	}
	return faults, c.validateGateways()
}

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

// routes are the default routes.
func (c *Config) routes() []stack.Route {
	var routes []stack.Route
	for _, g := range c.Gateways {
		all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if g.Unmap().Is4() {
			all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		r := stack.Route{To: all, Via: g.Unmap()}
		routes = append(routes, r)
	}
	return routes
}

// A Host is a running host. All methods are safe for concurrent use.
type Host struct {
	stack *stack.Host
	lib   *api.LibOS
	pcap  io.Closer // nil: none
}

// Open opens the device, puts faults and capture on it, and starts a host there.
// The host belongs to the caller. All errors wrap [ErrConfig].
func Open(c Config) (*Host, error) {
	h, err := open(c)
	if err != nil {
		return nil, configError{err}
	}
	return h, nil
}

func open(c Config) (*Host, error) {
	faults, err := c.validate()
	if err != nil {
		return nil, err
	}
	h := &Host{}
	config := stack.Config{Name: c.Name, Routes: c.routes(), Logger: c.Logger}
	if c.HAL != "" {
		dev, err := h.openDevice(c, faults)
		if err != nil {
			return nil, errors.Join(err, h.closePcap())
		}
		config.Interfaces = []stack.Interface{{Device: dev, Addrs: c.Addrs, MTU: c.MTU}}
	}
	if h.stack, err = stack.New(config); err != nil { // it has closed the device
		return nil, errors.Join(err, h.closePcap())
	}
	h.lib = api.New(h.stack, api.Config{Logger: c.Logger})
	return h, nil
}

// openDevice opens the device with what is wrapped around it. The capture is
// opened first: a wrong file name must not cost a device.
func (h *Host) openDevice(c Config, faults wrap.Faults) (dev hal.Device, err error) {
	spec, err := hal.ParseSpec(c.HAL)
	if err != nil {
		return nil, err
	}
	for _, kernel := range spec.Prefixes("host") {
		for _, ours := range c.Addrs {
			if kernel.Addr() == ours.Addr() {
				return nil, fmt.Errorf("address %v is given to the kernel's end by host=; give the host another one", ours.Addr())
			}
		}
	}
	var capture io.WriteCloser
	if c.Pcap != "" {
		if capture, err = wrap.OpenPcap(c.Pcap); err != nil {
			return nil, err
		}
		h.pcap = capture
	}
	if dev, err = hal.Open(c.HAL); err != nil {
		return nil, err
	}
	if c.Faults != "" {
		dev = wrap.Inject(dev, wrap.InjectOptions{Faults: faults, Seed: c.Seed})
	}
	if capture != nil {
		dev = wrap.Pcap(dev, pcapng.NewWriter(capture, "ringtail"), wrap.PcapOptions{})
	}
	return dev, nil
}

func (h *Host) closePcap() error {
	if h.pcap == nil {
		return nil
	}
	return h.pcap.Close()
}

// Ready waits until the host's addresses are known to be its own alone and can
// be used, which takes about a second with IPv6 (duplicate address detection, RFC
// 4862). It fails if another host has one of them.
func (h *Host) Ready(ctx context.Context) error { return h.stack.Ready(ctx) }

// LibOS returns the queue face.
func (h *Host) LibOS() *api.LibOS { return h.lib }

// Net returns the net face.
func (h *Host) Net() *api.Net { return h.lib.Net() }

// Stats returns the host's counters as they are now.
func (h *Host) Stats() stack.Stats { return h.stack.Stats() }

// Close ends the host: connections are reset, pending calls fail with
// [net.ErrClosed], the device is closed and the capture complete. It is
// idempotent.
func (h *Host) Close() error { return errors.Join(h.lib.Exit(), h.closePcap()) }
