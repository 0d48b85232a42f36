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
// The same Config from flags and the environment, so that the operator names the
// device:
//
//	var cfg ringtail.Config
//	err := cfg.FromEnv(os.LookupEnv)    // RINGTAIL_HAL, RINGTAIL_ADDR, …
//	cfg.RegisterFlags(flag.CommandLine) // --hal, --addr, …
//	flag.Parse()
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
	"net/netip"
	"slices"
	"sync"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
	"github.com/ringtail-net/ringtail/stack"
)

// A Host is a running host. All methods are safe for concurrent use.
type Host struct {
	addrs []netip.Prefix // configured
	stack *stack.Host
	lib   *api.LibOS
	pcap  func() error // closes the capture, once; nil: there is none

	names *leasedNames // nil: all names are configured
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
	h := &Host{addrs: slices.Clone(c.Addrs)}
	config := c.stackConfig()
	if c.HAL != "" {
		dev, err := h.openDevice(c, faults)
		if err != nil {
			return nil, errors.Join(err, h.closePcap())
		}
		config.Interfaces = []stack.Interface{{Device: dev, Addrs: c.Addrs, DHCP: c.DHCP, SLAAC: c.SLAAC, MTU: c.MTU}}
	}
	if h.stack, err = stack.New(config); err != nil { // it has closed the device
		return nil, errors.Join(err, h.closePcap())
	}
	h.lib = api.New(h.stack, api.Config{Logger: config.Logger, Strict: c.Strict, Names: c.Names})
	if c.DHCP || c.SLAAC {
		own := h.Net().Names() // a copy
		h.names = &leasedNames{configured: own, stored: own, done: make(chan struct{})}
		go h.names.follow(h)
	}
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
		h.pcap = sync.OnceValue(capture.Close)
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
	return h.pcap()
}

// Ready waits until the host's addresses are there, are known to be its own alone,
// and can be used: with IPv6 (duplicate address detection, RFC 4862) and with DHCP
// that takes a second or more, and brings the names of the network with it. It fails if another host has one of them; if ctx
// ends its error says what was missing.
func (h *Host) Ready(ctx context.Context) error {
	err := h.stack.Ready(ctx)
	if err == nil && h.names != nil {
		h.names.apply(h) // whoever was told that all is there can dial by name
	}
	return err
}

// Addrs returns the addresses of the host on its device as they are now: those
// that were configured, and then those that the network has given.
func (h *Host) Addrs() []netip.Prefix {
	addrs := slices.Clone(h.addrs)
	leases, _ := h.stack.Leases()
	for _, l := range leases {
		addrs = append(addrs, l.Addrs...)
	}
	return addrs
}

// LibOS returns the queue face.
func (h *Host) LibOS() *api.LibOS { return h.lib }

// Net returns the net face.
func (h *Host) Net() *api.Net { return h.lib.Net() }

// Stats returns the host's counters as they are now.
func (h *Host) Stats() stack.Stats { return h.stack.Stats() }

// Close ends the host at once: connections are reset, pending calls fail with
// [net.ErrClosed], the device is closed and the capture complete. It is
// idempotent.
func (h *Host) Close() error {
	err := errors.Join(h.lib.Exit(), h.closePcap())
	if h.names != nil {
		<-h.names.done
	}
	return err
}

// Shutdown ends the host when its connections have ended. It closes all listeners,
// and waits until every TCP connection was closed by its owner and its peer has
// acknowledged all that was written, the end included; TIME-WAIT is not waited
// for. Then it closes the host. Whoever serves sees [net.ErrClosed] from its
// Accept; connections that wait to be accepted are reset; open ones go on, and may
// be dialed.
//
// If ctx ends first, what is left is reset, and the error, which wraps that of ctx,
// says how many connections that were. If the host is closed meanwhile the error is
// [net.ErrClosed]. Shutdown may be called more than once; on a closed host it
// returns nil.
//
// A host does not know which connection of a server is idle. The server does: let
// it go first, and give both one context:
//
//	err := errors.Join(server.Shutdown(ctx), host.Shutdown(ctx))
func (h *Host) Shutdown(ctx context.Context) error {
	return errors.Join(h.stack.Drain(ctx), h.Close())
}
