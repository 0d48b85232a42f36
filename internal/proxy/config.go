package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// A Network is where a proxy listens and dials: the net face of a host, or [Kernel].
// Its packet connections have the AddrPort methods of [net.UDPConn].
type Network interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// Kernel is the operating system's network.
var Kernel Network = kernel{}

type kernel struct{}

func (kernel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (kernel) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

func (kernel) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}

// Config says what a proxy does. Only Host is required.
type Config struct {
	// Host is the network to be reached. Kernel is where the programs are that
	// reach it, or are reached; nil: [Kernel].
	Host, Kernel Network

	// Forward are ports of the kernel that lead to the host's network, Publish
	// ports of the host that lead to the kernel's.
	Forward, Publish []Route

	// Socks are addresses of the kernel to serve SOCKS at. Connections and
	// datagrams leave by the host, which also resolves the names in requests.
	Socks []string

	// User and Password, if one is not empty, are asked of SOCKS clients (RFC
	// 1929). They travel in the clear.
	User, Password string

	// Public lets it listen on addresses of the kernel that are no loopback
	// addresses.
	Public bool

	// MaxFlows is how many connections, UDP flows and UDP associations there
	// are at a time. Connections beyond wait to be served; datagrams that would
	// begin a flow are dropped, and counted. Zero: 1024.
	MaxFlows int

	// Idle is how long a UDP flow may be silent before it ends. Zero: a minute.
	Idle time.Duration

	// Patience is how long a dial may take, and a SOCKS client with its request.
	// Zero: 15 seconds.
	Patience time.Duration

	// Now is the time that both networks' deadlines are set by. Nil: [time.Now].
	Now func() time.Time

	// Logger gets a line for each connection that fails, at the debug level.
	// Nil: silence.
	Logger *slog.Logger
}

// ErrConfig is wrapped by errors of [New] that are about the Config alone.
var ErrConfig = errors.New("bad proxy configuration")

// validate checks the configuration and fills in its defaults.
func (c *Config) validate() error {
	if c.Kernel == nil {
		c.Kernel = Kernel
	}
	if c.MaxFlows == 0 {
		c.MaxFlows = 1024
	}
	if c.Idle == 0 {
		c.Idle = time.Minute
	}
	if c.Patience == 0 {
		c.Patience = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Host == nil:
		return fmt.Errorf("%w: there is no host", ErrConfig)
	case len(c.Forward)+len(c.Publish)+len(c.Socks) == 0:
		return fmt.Errorf("%w: nothing to do: name a port to forward or to publish, or an address for SOCKS", ErrConfig)
	case c.MaxFlows < 0 || c.Idle < 0 || c.Patience < 0:
		return fmt.Errorf("%w: a limit or a time is negative", ErrConfig)
	case len(c.User) > 255 || len(c.Password) > 255:
		return fmt.Errorf("%w: user and password have at most 255 bytes each (RFC 1929)", ErrConfig)
	case c.Password != "" && c.User == "":
		return fmt.Errorf("%w: a password without a user", ErrConfig)
	}
	return c.validatePrivacy()
}

// validatePrivacy looks that nobody outside of this machine reaches the host by
// accident.
func (c *Config) validatePrivacy() error {
	if c.Public {
		return nil
	}
	var all []string
	for _, r := range c.Forward {
		all = append(all, r.Listen)
	}
	for _, address := range append(all, c.Socks...) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		a, err := netip.ParseAddr(host)
		if host != "localhost" && (err != nil || !a.IsLoopback()) {
			return fmt.Errorf("%w: %s is no loopback address: everybody who reaches it could use the host; say --public if that is meant", ErrConfig, address)
		}
	}
	return nil
}
