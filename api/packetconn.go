package api

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// A PacketConn is a UDP or ICMP socket, connected (by Dial) or not, with the
// methods of [net.UDPConn] but for those of file descriptors and control
// messages. A datagram that is longer than the buffer of a read is cut. All
// methods may be called at once. Broadcast is allowed.
//
// Addresses of senders are in their own form: those of IPv4 are not in the
// clothes of IPv6, also on sockets of both.
type PacketConn struct {
	endpoint
	connected bool
}

var (
	_ net.PacketConn = (*PacketConn)(nil)
	_ net.Conn       = (*PacketConn)(nil)
)

func newPacketConn(s *socket, local, peer netip.AddrPort) *PacketConn {
	c := &PacketConn{connected: peer.IsValid()}
	c.init(s, local, peer)
	return c
}

// RemoteAddr returns the address of the peer, a [*net.UDPAddr], or nil.
func (c *PacketConn) RemoteAddr() net.Addr { return c.peer }

// Read reads a datagram into p. As in package net it does nothing if p is empty;
// ReadFrom would take a datagram away.
func (c *PacketConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.check("read")
	}
	n, _, err := c.read(p, "read")
	return n, err
}

// ReadFrom reads a datagram into p; the address is a [*net.UDPAddr].
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.read(p, "recvfrom")
	if err != nil {
		return n, nil, err
	}
	return n, netAddr(c.s.net, from), nil
}

// ReadFromUDP is ReadFrom with the type that its address has.
func (c *PacketConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.read(p, "recvfrom")
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromUDPAddrPort is ReadFrom without the allocation of an address.
func (c *PacketConn) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	return c.read(p, "recvfrom")
}

func (c *PacketConn) read(p []byte, call string) (int, netip.AddrPort, error) {
	rd := c.s.call(KindRead)
	defer rd.free()
	rd.buffer(p)
	err := c.run(&c.rd, rd)
	return rd.op.N, unmap(rd.op.From), c.fail("read", call, err)
}

// Write sends p as one datagram to the peer of a connected socket.
func (c *PacketConn) Write(p []byte) (int, error) {
	return c.write(p, netip.AddrPort{}, "write")
}

// WriteTo sends p as one datagram. The address is a [*net.UDPAddr], a
// [*net.IPAddr], or any with a method AddrPort.
func (c *PacketConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	if udp, ok := addr.(*net.UDPAddr); ok {
		return c.WriteToUDP(p, udp)
	}
	to, ok := addrPort(addr)
	if !ok {
		return 0, opError("write", "", c.network, c.local, addr, asItIs{syscall.EINVAL})
	}
	return c.WriteToUDPAddrPort(p, to)
}

// WriteToUDP is WriteTo for one type of address.
func (c *PacketConn) WriteToUDP(p []byte, addr *net.UDPAddr) (int, error) {
	to := unmap(addr.AddrPort())
	if addr != nil && len(addr.IP) == 0 { // this host, as in package net
		to = unspecified(c.s.net, to.Port(), listening)[0]
	}
	return c.WriteToUDPAddrPort(p, to)
}

// WriteToUDPAddrPort is WriteTo without the allocation of an address.
func (c *PacketConn) WriteToUDPAddrPort(p []byte, addr netip.AddrPort) (int, error) {
	if c.connected {
		return 0, opError("write", "sendto", c.network, c.local, netAddr(c.s.net, addr), net.ErrWriteToConnected)
	}
	if !addr.IsValid() {
		return 0, opError("write", "sendto", c.network, c.local, nil, errMissingAddress)
	}
	return c.write(p, addr, "sendto")
}

var errMissingAddress = errors.New("missing address")

func (c *PacketConn) write(p []byte, addr netip.AddrPort, call string) (int, error) {
	wr := c.s.call(KindWrite)
	defer wr.free()
	wr.buffer(p)
	wr.op.Addr = addr
	err := c.run(&c.wd, wr)
	if err == nil {
		return wr.op.N, nil
	}
	to := c.peer
	if addr.IsValid() {
		to = netAddr(c.s.net, addr)
	}
	return wr.op.N, opError("write", call, c.network, c.local, to, err)
}

// JoinGroup makes the socket receive what is sent to a multicast group: see
// [LibOS.Join].
func (c *PacketConn) JoinGroup(group netip.Addr) error { return c.membership(KindJoin, group) }

// LeaveGroup ends a membership.
func (c *PacketConn) LeaveGroup(group netip.Addr) error { return c.membership(KindLeave, group) }

func (c *PacketConn) membership(kind Kind, group netip.Addr) error {
	if err := c.check("set"); err != nil {
		return err
	}
	err := error(syscall.EINVAL)
	if group.IsMulticast() {
		err = c.s.membership(kind, group)
	}
	return c.fail("set", "setsockopt", err)
}
