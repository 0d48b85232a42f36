package api

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Net is the net face: the functions of package net, on the sockets of a
// transport. What it returns can be given to anything written for package net:
//
//	http.Serve(listener, handler)
//	&http.Transport{DialContext: n.DialContext}
//	grpc.WithContextDialer(…)
//
// Errors are those of package net: a [*net.OpError] around a [*os.SyscallError]
// around a syscall.Errno, [net.ErrClosed], [os.ErrDeadlineExceeded], or what
// errors.Is takes for the error of a context. Deadlines are kept by the
// transport's clock. All methods are safe for concurrent use.
//
// Networks are "tcp", "udp" and "icmp", with a 4 or a 6 behind them or, for the
// first two, nothing. Hosts are literal addresses, or names of which n knows as
// much as its [Names] say. An empty host, or an unspecified one, is every local
// address to a listener and the loopback address to a dialer. Ports are numbers,
// or "http" and a few other names. An ICMP socket sends and receives echo
// messages; its addresses have no port, or the echo identifier as one.
type Net struct {
	lib   *LibOS
	names atomic.Pointer[Names]
}

// Dial connects to an address. It is Dialer{Net: n}.Dial.
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return n.DialContext(background, network, address)
}

// DialContext is Dial until ctx ends. Once connected, ctx means nothing.
func (n *Net) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := Dialer{Net: n}
	return d.DialContext(ctx, network, address)
}

// Listen listens for connections; network is one of the TCP ones. The listener
// is a [*Listener].
func (n *Net) Listen(network, address string) (net.Listener, error) {
	c := ListenConfig{Net: n}
	return c.Listen(background, network, address)
}

// ListenPacket opens a datagram socket; network is one of the UDP or ICMP ones.
// The connection is a [*PacketConn].
func (n *Net) ListenPacket(network, address string) (net.PacketConn, error) {
	c := ListenConfig{Net: n}
	return c.ListenPacket(background, network, address)
}

// A Dialer connects, with options. Like [net.Dialer], but for the Net it needs.
type Dialer struct {
	Net *Net // required

	// Timeout bounds a dial, the lookup of the name and all its addresses
	// together. Zero or below: no bound but that of the context and the transport.
	Timeout time.Duration

	// FallbackDelay is how long a dial of "tcp" gives the addresses of one
	// family, IPv6 most often, before it tries those of the other family as
	// well (RFC 8305). Zero: 300 ms. Negative: until they have failed.
	FallbackDelay time.Duration

	// LocalAddr, if valid, is where to dial from; port 0 is any.
	LocalAddr netip.AddrPort

	// KeepAlive is how long a TCP connection is idle before it is probed, and
	// KeepAliveConfig all that there is to probes, as in package net: zero is
	// 15 seconds, and 15 between probes; a negative KeepAlive is none; if
	// KeepAliveConfig is enabled KeepAlive counts for nothing.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig

	// Options are set on the socket before it is bound and connected.
	Options []Option

	// Control, if set, is called for every address that is tried, after
	// Options and before the socket is bound and connected: with the network
	// as the address has it ("tcp4", "udp6"; "icmp4") and with the address,
	// which a name has been resolved to. It may look at them, set options by
	// set, and refuse: its error is that of the attempt. set is good until
	// Control returns.
	//
	// There is no syscall.RawConn, here or on connections: a socket of a host
	// has no file descriptor, and whatever is done to one is done by options.
	Control func(ctx context.Context, network, address string, set func(Option) error) error
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(background, network, address)
}

// DialContext connects to an address until ctx ends or the Timeout is over. The
// connection is a [*Conn] or a [*PacketConn].
//
// Of a name with several addresses it takes the first that answers: those of one
// family after another, each with its share of the time that is left, and the
// two families side by side (see FallbackDelay). If none answers the error is
// that of the first. When DialContext returns no other attempt is under way.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	end := d.end(ctx)
	nw, addrs, err := d.Net.resolve(ctx, end, network, address, dialing)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	c, err := d.dialAny(ctx, end, nw, addrs)
	if err != nil {
		return nil, err
	}
	return d.Net.conn(c.s, unmap(c.r.Local), unmap(c.r.Peer), keepAlive(d.KeepAlive, d.KeepAliveConfig)), nil
}

// connect makes a socket and connects it until end, if that is not zero. Its
// errors are leaves, or say which call failed.
func (d *Dialer) connect(ctx context.Context, end time.Time, nw Network, addr netip.AddrPort) (*socket, Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, Result{}, err
	}
	limit := deadline{timers: d.Net.lib.timers}
	limit.set(end)
	defer limit.set(time.Time{})
	s, err := d.Net.lib.newSocket(ctx, d.Net.lib.transport, nw, nil)
	if err != nil {
		return nil, Result{}, callError("socket", err)
	}
	connected := false
	defer func() { // also if Control panics
		if !connected {
			_ = s.close()
		}
	}()
	if err := d.prepare(ctx, s, addr); err != nil {
		return nil, Result{}, err
	}
	c := s.call(KindConnect)
	defer c.free()
	c.op.Addr = addr
	if err := limit.begin(c); err != nil {
		return nil, Result{}, err
	}
	c.run(ctx)
	limit.end(c)
	connected = c.op.Err == nil
	return s, c.op.Result, c.op.Err
}

// prepare does what comes before the connect.
func (d *Dialer) prepare(ctx context.Context, s *socket, addr netip.AddrPort) error {
	set := func(o Option) error { return callError("setsockopt", s.setOption(o)) }
	if err := s.setUp(d.Options); err != nil {
		return err
	}
	if d.Control != nil {
		if err := d.Control(ctx, s.net.of(addr.Addr()), addr.String(), set); err != nil {
			return asItIs{err}
		}
	}
	if d.LocalAddr.IsValid() {
		return callError("bind", s.bind(d.LocalAddr))
	}
	return nil
}

// of names the network of one family.
func (n Network) of(ip netip.Addr) string {
	name := n.String()
	switch {
	case n != TCP && n != UDP:
		return name
	case ip.Is4():
		return name + "4"
	}
	return name + "6"
}

// setUp sets what package net sets on every socket, and then options. What is
// only a custom a transport may do without.
func (s *socket) setUp(options []Option) error {
	if !s.net.Stream() {
		_ = s.setOption(Broadcast(true))
	}
	for _, o := range options {
		if err := s.setOption(o); err != nil {
			return callError("setsockopt", err)
		}
	}
	return nil
}

// keepAlive makes one of the two ways to say how a connection is kept alive.
func keepAlive(idle time.Duration, c net.KeepAliveConfig) net.KeepAliveConfig {
	if !c.Enable && idle >= 0 {
		return net.KeepAliveConfig{Enable: true, Idle: idle}
	}
	return c
}

// conn wraps a connected socket.
func (n *Net) conn(s *socket, local, peer netip.AddrPort, keepAlive net.KeepAliveConfig) net.Conn {
	if !s.net.Stream() {
		return newPacketConn(s, local, peer)
	}
	if keepAlive.Enable {
		// A transport without keep-alives is as good: nobody asked for them.
		_ = s.setOption(keepAliveOption(keepAlive))
	}
	return newConn(s, local, peer)
}

// A ListenConfig listens, with options. Like [net.ListenConfig], but for the Net
// it needs.
type ListenConfig struct {
	Net *Net // required

	// Backlog is how many connections may wait for an Accept. Zero: 4096.
	Backlog int

	// KeepAlive and KeepAliveConfig are for accepted connections: see [Dialer].
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig

	// Options are set on the socket before it is bound. There is no Control:
	// who listens knows the address, and has no more to say than options do.
	Options []Option
}

// Listen is as [Net.Listen]. ctx bounds the call, not the listener's life.
func (c *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	s, local, err := c.open(ctx, network, address, true)
	if err != nil {
		return nil, err
	}
	backlog := c.Backlog
	if backlog <= 0 {
		backlog = 4096
	}
	if err = s.listen(backlog); err == nil {
		local, _, err = s.name() // some transports bind only now
	}
	if err != nil {
		_ = s.close()
		return nil, opError("listen", "listen", network, nil, netAddr(s.net, local), err)
	}
	return newListener(s, local, keepAlive(c.KeepAlive, c.KeepAliveConfig)), nil
}

// ListenPacket is as [Net.ListenPacket]. ctx bounds the call, not the
// connection's life. As in package net, listening on a multicast address is
// listening on its port of every address, which others may do too; the group is
// joined by [PacketConn.JoinGroup].
func (c *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	s, local, err := c.open(ctx, network, address, false)
	if err != nil {
		return nil, err
	}
	return newPacketConn(s, local, netip.AddrPort{}), nil
}

// open makes a socket and binds it.
func (c *ListenConfig) open(ctx context.Context, network, address string, stream bool) (*socket, netip.AddrPort, error) {
	nw, addrs, err := c.Net.resolve(ctx, earlier(ctx, time.Time{}), network, address, listening)
	if err == nil && nw.Stream() != stream {
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, netip.AddrPort{}, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	s, err := c.Net.lib.newSocket(ctx, c.Net.lib.transport, nw, nil)
	if err != nil {
		return nil, netip.AddrPort{}, opError("listen", "socket", network, nil, netAddr(nw, addrs[0]), err)
	}
	local := addrs[0]
	if stream || local.Addr().IsMulticast() {
		// As package net does: connections in TIME-WAIT are no reason to
		// refuse, nor are other members of a group. A transport may do without.
		_ = s.setOption(ReuseAddr(true))
	}
	if !stream && local.Addr().IsMulticast() {
		local = netip.AddrPortFrom(anyOf(local.Addr()), local.Port())
	}
	if err = s.setUp(c.Options); err == nil {
		err = callError("bind", s.bind(local))
	}
	if err == nil {
		local, _, err = s.name()
	}
	if err != nil {
		_ = s.close()
		return nil, netip.AddrPort{}, opError("listen", "getsockname", network, nil, netAddr(nw, addrs[0]), err)
	}
	return s, local, nil
}

// anyOf is the unspecified address of ip's family.
func anyOf(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
