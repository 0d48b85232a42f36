package stack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net/netip"
	"slices"
	"sync"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack/internal/bridge"
	"github.com/ringtail-net/ringtail/stack/internal/settle"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("bad host configuration")

// Defaults of Config and Limits.
const (
	defaultConns        = 65536
	defaultConnsPerPeer = 4096
	defaultBacklog      = 8 << 20
	defaultBuffer       = 1 << 20
	defaultName         = "host"
)

// validate checks the configuration and fills in its defaults.
func (c *Config) validate() error {
	setDefault(&c.Name, defaultName)
	setDefault(&c.Limits.Conns, defaultConns)
	setDefault(&c.Limits.ConnsPerPeer, defaultConnsPerPeer)
	setDefault(&c.Limits.Backlog, defaultBacklog)
	setDefault(&c.ReadBuffer, defaultBuffer)
	setDefault(&c.WriteBuffer, defaultBuffer)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Limits.Conns < 0 || c.Limits.ConnsPerPeer < 0 || c.Limits.Backlog < 0 || c.ReadBuffer < 0 || c.WriteBuffer < 0 {
		return fmt.Errorf("%w: a limit or a buffer size is negative", ErrConfig)
	}
	c.Interfaces = slices.Clone(c.Interfaces)
	names := map[string]bool{"lo": true}
	for i := range c.Interfaces {
		if err := c.Interfaces[i].validate(names); err != nil {
			return err
		}
	}
	for _, r := range c.Routes {
		if !r.To.IsValid() {
			return fmt.Errorf("%w: a route without a destination", ErrConfig)
		}
		if r.Via.IsValid() && r.Via.Unmap().Is4() != r.To.Addr().Unmap().Is4() {
			return fmt.Errorf("%w: route to %v via %v: one is IPv4, the other IPv6", ErrConfig, r.To, r.Via)
		}
	}
	return nil
}

func (i *Interface) validate(names map[string]bool) error {
	if i.Device == nil {
		return fmt.Errorf("%w: interface %q has no device", ErrConfig, i.Name)
	}
	info := i.Device.Info()
	setDefault(&i.Name, info.Driver+":"+info.Name)
	setDefault(&i.MTU, info.MTU)
	if names[i.Name] {
		return fmt.Errorf("%w: two interfaces are called %q; give them names", ErrConfig, i.Name)
	}
	names[i.Name] = true
	least := bridge.MinMTU
	if i.has6() {
		least = header.IPv6MinimumMTU
	}
	for _, p := range i.Addrs {
		if !p.IsValid() {
			return fmt.Errorf("%w: interface %s: an address is invalid", ErrConfig, i.Name)
		}
		if a := p.Addr(); a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() {
			return fmt.Errorf("%w: interface %s: %v is not an address of a host", ErrConfig, i.Name, a)
		}
	}
	for _, n := range i.Neighbors {
		if !n.Addr.IsValid() || n.Addr.IsMulticast() || n.MAC.IsMulticast() {
			return fmt.Errorf("%w: interface %s: neighbour %v at %v: neither may be a group", ErrConfig, i.Name, n.Addr, n.MAC)
		}
	}
	if i.MTU < least || i.MTU > info.MTU {
		return fmt.Errorf("%w: interface %s: MTU %d: must be from %d to %d, the device's", ErrConfig, i.Name, i.MTU, least, info.MTU)
	}
	return nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// loNIC is the interface of a host to itself; the others count from 2.
const loNIC = 1

// iface is an interface of a host.
type iface struct {
	id   tcpip.NICID
	name string
	dev  hal.Device
	link *bridge.Link

	// What was configured.
	addrs []netip.Prefix
	mtu   int
	has6  bool // there are addresses of IPv6, or will be

	// Guarded by the turn.
	dhcp   *client    // nil: addresses are not asked for
	ra     advertised // by routers
	auto   []autoAddr // of gVisor's making: link-local, and under advertised prefixes
	groups groups
	failed error
}

// build makes the stack and its interfaces.
func (h *Host) build(cfg Config) error {
	takeGVisorLog(cfg.Logger)
	secret := identifierSecret(cfg)
	h.st = newStack(h.stackOptions(cfg, secret), cfg.Sim)
	h.chooseSettler(cfg)
	if err := h.setTCPOptions(cfg); err != nil {
		return err
	}
	if err := h.addLoopback(); err != nil {
		return err
	}
	for i := range cfg.Interfaces {
		if err := h.addInterface(cfg, tcpip.NICID(loNIC+1+i), cfg.Interfaces[i], secret); err != nil {
			return fmt.Errorf("interface %s: %w", cfg.Interfaces[i].Name, err)
		}
	}
	h.readiness.seal()
	if err := h.resolveRoutes(cfg.Routes); err != nil {
		return err
	}
	if cfg.Forward {
		if err := h.forward(); err != nil {
			return err
		}
	}
	h.reconfigure()
	h.settle.Settle()
	h.flush()
	return nil
}

// forward makes a router of the host.
func (h *Host) forward() error {
	for _, p := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
		if err := h.st.SetForwardingDefaultAndAllNICs(p, true); err != nil {
			return errno(err)
		}
	}
	return nil
}

func (h *Host) stackOptions(cfg Config, secret []byte) stack.Options {
	has6 := slices.ContainsFunc(cfg.Interfaces, func(i Interface) bool { return i.has6() })
	h.acks.on, h.acks.ready = cfg.Acked && !cfg.Foreign, &h.ready
	opts := stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol, arp.NewProtocolWithOptions(arp.Options{DADConfigs: probes}),
			ipv6.NewProtocolWithOptions(ipv6.Options{
				AutoGenLinkLocal: has6,
				NDPDisp:          ndp{h},
				NDPConfigs:       ipv6.NDPConfigurations{AutoGenAddressConflictRetries: idRetries},
				DADConfigs:       stack.DefaultDADConfigurations(),
				OpaqueIIDOpts: ipv6.OpaqueInterfaceIdentifierOptions{
					NICNameFromID: func(id tcpip.NICID, name string) string { return name },
					SecretKey:     secret,
				},
			}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			h.acks.protocol(), udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		HandleLocal: true,
		Clock:       stackClock{h.clock},
		NUDDisp:     &h.neighbors,
	}
	if cfg.Sim != nil {
		opts.RandSource = &lockedSource{s: rand.NewSource(int64(cfg.Sim.Seed))}
		opts.SecureRNG = &lockedReader{r: rand.New(rand.NewSource(int64(cfg.Sim.Seed) ^ 0x5eed))}
	}
	return opts
}

// identifierSecret makes the addresses that a host makes itself stable for it and
// its devices and opaque (RFC 7217), and so never those of the kernel when both
// share a MAC.
func identifierSecret(cfg Config) []byte {
	sum := sha256.New()
	fmt.Fprintln(sum, "ringtail link-local", cfg.Name)
	for _, i := range cfg.Interfaces {
		fmt.Fprintln(sum, i.Name, i.Device.Info().MAC)
	}
	return sum.Sum(nil)
}

// chooseSettler prefers inline processing and falls back to the barrier, which
// is exact as well, where gVisor is not the tested one.
func (h *Host) chooseSettler(cfg Config) {
	if cfg.Foreign {
		h.settle = unsettled{}
		h.ready.added = h.rouse
		return
	}
	if cfg.Barrier {
		h.settle = settle.Barrier(h.st)
		return
	}
	if version, tested := settle.Version(); !tested {
		h.log.Warn("this version of gVisor was not tested with inline processing of TCP; the slower barrier is used",
			"gvisor", version, "tested", settle.Tested)
		h.settle = settle.Barrier(h.st)
		return
	}
	s, err := settle.Inline(h.st)
	if err != nil {
		h.log.Warn("TCP is not processed inline; the slower barrier is used", "err", err)
		s = settle.Barrier(h.st)
	}
	h.settle = s
}

// unsettled leaves TCP to gVisor's own goroutines (Config.Foreign).
type unsettled struct{}

func (unsettled) Settle()      {}
func (unsettled) Close()       {}
func (unsettled) Name() string { return "foreign" }

func (h *Host) setTCPOptions(cfg Config) error {
	recovery := tcpip.TCPRecovery(0)
	if cfg.RACK {
		recovery = tcpip.TCPRACKLossDetection
	}
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: cfg.ReadBuffer, Max: max(tcp.MaxBufferSize, cfg.ReadBuffer)}
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: cfg.WriteBuffer, Max: max(tcp.MaxBufferSize, cfg.WriteBuffer)}
	for _, o := range []tcpip.SettableTransportProtocolOption{&recovery, &sack, &moderate, &rcv, &snd} {
		if err := h.st.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("TCP option %T: %w", o, errno(err))
		}
	}
	return nil
}

func (h *Host) addLoopback() error {
	if err := h.st.CreateNICWithOptions(loNIC, loopback.New(), stack.NICOptions{Name: "lo"}); err != nil {
		return errno(err)
	}
	// There is nobody to ask whether an address is taken, and the interface
	// would take its own question for another's.
	ep, err := h.st.GetNetworkEndpoint(loNIC, ipv6.ProtocolNumber)
	if err != nil {
		return errno(err)
	}
	ep.(stack.DuplicateAddressDetector).SetDADConfigurations(stack.DADConfigurations{})
	for _, p := range []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")} {
		if err := h.st.AddProtocolAddress(loNIC, protocolAddress(p), stack.AddressProperties{}); err != nil {
			return errno(err)
		}
	}
	return nil
}

func (h *Host) addInterface(cfg Config, id tcpip.NICID, i Interface, secret []byte) error {
	link, err := bridge.New(i.Device, bridge.Options{
		MTU: i.MTU, Backlog: cfg.Limits.Backlog, Admit: h.admit, Reasons: []string{dropConnections, dropUnresolved},
	})
	if err != nil {
		return err
	}
	f := &iface{id: id, name: i.Name, dev: i.Device, link: link, addrs: i.Addrs, mtu: i.MTU, has6: i.has6()}
	h.interfaces = append(h.interfaces, f)
	// What is ours is told to a shared device before any address answers.
	if err := h.steer(f); err != nil {
		return err
	}
	var ep stack.LinkEndpoint = link
	if cfg.Foreign {
		ep = foreignLink{link, h}
	}
	h.expect(f, i)
	if err := h.st.CreateNICWithOptions(id, ep, stack.NICOptions{Name: i.Name, Disabled: i.SLAAC}); err != nil {
		return errno(err)
	}
	if i.SLAAC {
		if err := h.hearRouters(id); err != nil {
			return err
		}
	}
	if err := h.addAddresses(f, i); err != nil {
		return err
	}
	if i.DHCP {
		f.dhcp = h.newClient(f, cfg, secret)
	}
	return nil
}

// expect notes what an interface needs to be ready.
func (h *Host) expect(f *iface, i Interface) {
	for _, p := range i.Addrs {
		if p.Addr().Is6() {
			h.readiness.expect(want{nic: f.id, what: wantAddress, addr: p.Addr()})
		}
	}
	if f.has6 {
		h.readiness.expect(want{nic: f.id, what: wantLinkLocal})
	}
	if i.SLAAC {
		h.readiness.expect(want{nic: f.id, what: wantAdvertised})
	}
	if i.DHCP {
		h.readiness.expect(want{nic: f.id, what: wantLease})
	}
}

// addAddresses gives an interface what was configured.
func (h *Host) addAddresses(f *iface, i Interface) error {
	for _, p := range i.Addrs {
		if err := h.st.AddProtocolAddress(f.id, protocolAddress(p), stack.AddressProperties{}); err != nil {
			return fmt.Errorf("address %v: %w", p, errno(err))
		}
	}
	for _, n := range i.Neighbors {
		if err := h.st.AddStaticNeighbor(f.id, protocolOf(n.Addr), address(n.Addr), tcpip.LinkAddress(n.MAC[:])); err != nil {
			return fmt.Errorf("neighbour %v: %w", n.Addr, errno(err))
		}
	}
	return nil
}

// gVisor draws from its random sources under different locks.
type lockedSource struct {
	mu sync.Mutex
	s  rand.Source
}

func (l *lockedSource) Int63() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.s.Int63()
}

func (l *lockedSource) Seed(seed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.s.Seed(seed)
}

type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}
