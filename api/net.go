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
	// together. Zero: no bound but that of the context and the transport.
	Timeout time.Duration

	// FallbackDelay is how long a dial of "tcp" gives the addresses of one
	// family, IPv6 most often, before it tries those of the other family as
	// well (RFC 8305). Zero: 300 ms. Negative: until they have failed.
	FallbackDelay time.Duration

	// LocalAddr, if valid, is where to dial from; port 0 is any.
	LocalAddr netip.AddrPort

	// KeepAlive is set on TCP connections. As in package net, zero is on, every
	// 15 seconds; negative is off.
	KeepAlive time.Duration
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
	return d.Net.conn(c.s, unmap(c.r.Local), unmap(c.r.Peer), d.KeepAlive), nil
}

// connect makes a socket and connects it until end, if that is not zero. Its
// errors are leaves.
func (d *Dialer) connect(ctx context.Context, end time.Time, nw Network, addr netip.AddrPort) (*socket, Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, Result{}, err
	}
	limit := deadline{timers: d.Net.lib.timers}
	limit.set(end)
	defer limit.set(time.Time{})
	lib := d.Net.lib
	s, err := lib.newSocket(ctx, lib.transport, nw, nil)
	if err != nil {
		return nil, Result{}, err
	}
	if d.LocalAddr.IsValid() {
		err = s.bind(d.LocalAddr)
	}
	var r Result
	if err == nil {
		c := s.call(KindConnect)
		c.op.Addr = addr
		if err = limit.begin(c); err == nil {
			c.run(ctx)
			limit.end(c)
			r, err = c.op.Result, c.op.Err
		}
		c.free()
	}
	if err != nil {
		_ = s.close()
		return nil, Result{}, err
	}
	return s, r, nil
}

// conn wraps a connected socket.
func (n *Net) conn(s *socket, local, peer netip.AddrPort, keepAlive time.Duration) net.Conn {
	if !s.net.Stream() {
		return newPacketConn(s, local, peer)
	}
	if keepAlive >= 0 {
		if keepAlive == 0 {
			keepAlive = 15 * time.Second
		}
		// A transport without keep-alives is as good: nobody asked for them.
		_ = s.setOption(KeepAlive{On: true, Idle: keepAlive, Interval: keepAlive})
	}
	return newConn(s, local, peer)
}

// A ListenConfig listens, with options. Like [net.ListenConfig], but for the Net
// it needs.
type ListenConfig struct {
	Net *Net // required

	// Backlog is how many connections may wait for an Accept. Zero: 4096.
	Backlog int

	// KeepAlive is set on accepted connections. As in package net, zero is on,
	// every 15 seconds; negative is off.
	KeepAlive time.Duration

	// Options are set on the socket before it is bound.
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
	return newListener(s, local, c.KeepAlive), nil
}

// ListenPacket is as [Net.ListenPacket]. ctx bounds the call, not the
// connection's life.
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
	if stream {
		// As package net does: connections in TIME-WAIT are no reason to
		// refuse. A transport may do without.
		_ = s.setOption(ReuseAddr(true))
	}
	call := "setsockopt"
	for i := 0; i < len(c.Options) && err == nil; i++ {
		err = s.setOption(c.Options[i])
	}
	local := addrs[0]
	if err == nil {
		call, err = "bind", s.bind(local)
	}
	if err == nil {
		local, _, err = s.name()
	}
	if err != nil {
		_ = s.close()
		return nil, netip.AddrPort{}, opError("listen", call, network, nil, netAddr(nw, addrs[0]), err)
	}
	return s, local, nil
}
