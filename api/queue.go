package api

import (
	"net"
	"net/netip"
	"syscall"
)

// A QD is a queue descriptor: a socket of the queue face. Descriptors are
// positive, so that the zero QD is none. There are 1,048,575 at a time. A call with
// the number of a queue that was closed fails with EBADF: a number is given
// again after two million other queues at the earliest, unless nearly as many
// are open as there can be.
type QD int32

// Socket makes a socket. It fails with EPROTONOSUPPORT for a network that is
// none of the constants, and with EMFILE if there are too many.
func (l *LibOS) Socket(n Network) (QD, error) { return l.SocketOn(l.transport, n) }

// SocketOn makes a socket of another transport than the LibOS's own, so that one
// goroutine can wait for the queues of several hosts. That transport stays the
// caller's, who closes it after Exit. A waiter drives the LibOS's own transport
// only: the others get on by themselves, at the price of a switch between
// goroutines.
func (l *LibOS) SocketOn(t Transport, n Network) (QD, error) {
	if n < TCP || n > ICMP6 {
		return 0, &Error{Op: "socket", Err: syscall.EPROTONOSUPPORT}
	}
	return l.newQueue("socket", t, n, nil)
}

func (l *LibOS) newQueue(op string, t Transport, n Network, o Option) (QD, error) {
	s, err := l.newSocket(background, t, n, o)
	if err != nil {
		return 0, l.fail(op, 0, netip.AddrPort{}, err)
	}
	l.mu.Lock()
	qd := QD(0)
	err = syscall.EMFILE
	if l.exiting {
		err = net.ErrClosed
	} else {
		qd = l.adopt(s)
	}
	l.mu.Unlock()
	if qd == 0 {
		_ = s.close()
		return 0, &Error{Op: op, Err: err}
	}
	return qd, nil
}

// adopt gives s a descriptor, or 0 if there is none left. l.mu is held.
func (l *LibOS) adopt(s *socket) QD {
	s.qd = QD(l.queues.add(s))
	return s.qd
}

// Bind gives the socket a local address. Port 0 asks for a free port. A
// wildcard is [netip.IPv6Unspecified], on sockets of both families for both, or
// [netip.IPv4Unspecified]. It fails with EADDRINUSE, with EADDRNOTAVAIL for an
// address of another host, with EAFNOSUPPORT for one of another family than the
// socket's, with EINVAL if the socket is bound already or listens, and with
// EISCONN if it is connected.
func (l *LibOS) Bind(qd QD, addr netip.AddrPort) error {
	s, err := l.socket("bind", qd)
	if err != nil {
		return err
	}
	err = syscall.EINVAL
	if addr.IsValid() {
		err = s.bind(addr)
	}
	return l.fail("bind", qd, addr, err)
}

// Listen makes a TCP socket accept connections, of which up to backlog wait for
// an Accept. One that is not bound is bound to a free port. It fails with
// EADDRINUSE, with EINVAL if the socket is connected, and with EOPNOTSUPP if it
// is none of TCP.
func (l *LibOS) Listen(qd QD, backlog int) error {
	s, err := l.socket("listen", qd)
	if err != nil {
		return err
	}
	return l.fail("listen", qd, netip.AddrPort{}, s.listen(backlog))
}

// Shutdown ends one direction of a connection, or both. After ShutWrite the
// peer's pops find the end of the stream; after ShutRead our own do. It fails
// with ENOTCONN if there is no connection, and with EINVAL if how is none.
func (l *LibOS) Shutdown(qd QD, how Shut) error {
	s, err := l.socket("shutdown", qd)
	if err != nil {
		return err
	}
	return l.fail("shutdown", qd, netip.AddrPort{}, s.shutdown(how))
}

// Close ends the queue. Its pending ops end, their completions with ECANCELED,
// and the descriptor is void: a second Close fails with EBADF. Bytes that were
// pushed and completed are still sent, in the background. With a [Linger] above
// zero Close waits until the peer has acknowledged them, as long as that says;
// Exit ends the wait. Who must not wait calls [LibOS.AsyncClose].
//
// A connection that is closed while bytes lie there that nobody has popped is
// reset (RFC 2525, section 2.17), as on Linux, and what was still to be sent is
// lost. Who wants to be sure that it arrives shuts ShutWrite, pops up to EOF, and
// then closes.
func (l *LibOS) Close(qd QD) error {
	s, err := l.disown(qd)
	if err != nil {
		return err
	}
	err = s.close()
	if err == net.ErrClosed { // the transport was closed meanwhile
		err = nil
	}
	return l.fail("close", qd, netip.AddrPort{}, err)
}

// disown voids a descriptor.
func (l *LibOS) disown(qd QD) (*socket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.queues.remove(uint64(uint32(qd)))
	if !ok {
		return nil, &Error{Op: "close", QD: qd, Err: syscall.EBADF}
	}
	return s, nil
}

// socket finds the socket of a descriptor.
func (l *LibOS) socket(op string, qd QD) (*socket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exiting {
		return nil, &Error{Op: op, QD: qd, Err: net.ErrClosed}
	}
	s, ok := l.queues.get(uint64(uint32(qd)))
	if !ok {
		return nil, &Error{Op: op, QD: qd, Err: syscall.EBADF}
	}
	return s, nil
}

// SetOption sets a socket option. It fails with ENOPROTOOPT if the transport,
// or this kind of socket, has none of its type, and with EINVAL if o is nil or
// its value out of range.
func (l *LibOS) SetOption(qd QD, o Option) error {
	s, err := l.socket("setoption", qd)
	if err != nil {
		return err
	}
	return l.fail("setoption", qd, netip.AddrPort{}, s.setOption(o))
}

// Option returns the present value of the option that has o's type; the value
// of o does not matter. It fails as [LibOS.SetOption].
func (l *LibOS) Option(qd QD, o Option) (Option, error) {
	s, err := l.socket("option", qd)
	if err != nil {
		return nil, err
	}
	o, err = s.option(o)
	return o, l.fail("option", qd, netip.AddrPort{}, err)
}

// LocalAddr returns the local address: the one of Bind, or that which the
// transport chose. A queue that is not bound yet has the wildcard and port 0.
func (l *LibOS) LocalAddr(qd QD) (netip.AddrPort, error) {
	local, _, err := l.name("localaddr", qd)
	return local, err
}

// PeerAddr returns the address of the other end. It fails with ENOTCONN if
// there is none.
func (l *LibOS) PeerAddr(qd QD) (netip.AddrPort, error) {
	_, peer, err := l.name("peeraddr", qd)
	if err == nil && !peer.IsValid() {
		err = &Error{Op: "peeraddr", QD: qd, Err: syscall.ENOTCONN}
	}
	return peer, err
}

func (l *LibOS) name(op string, qd QD) (local, peer netip.AddrPort, err error) {
	s, err := l.socket(op, qd)
	if err != nil {
		return local, peer, err
	}
	local, peer, err = s.name()
	return local, peer, l.fail(op, qd, netip.AddrPort{}, err)
}

// Join makes a datagram socket receive what is sent to a multicast group; Leave
// ends that. The zone of an IPv6 group names the interface, as in "ff02::fb%eth0";
// without a zone, and for IPv4, it is the host's first. Join fails with ENODEV if
// there is no such interface, with EINVAL if group is none, with EADDRINUSE if the
// socket is a member, and with EPROTO on a TCP socket.
func (l *LibOS) Join(qd QD, group netip.Addr) error {
	return l.membership("join", qd, KindJoin, group)
}

// Leave ends a membership; group is the same as for [LibOS.Join]. It fails with
// EADDRNOTAVAIL if there is none.
func (l *LibOS) Leave(qd QD, group netip.Addr) error {
	return l.membership("leave", qd, KindLeave, group)
}

func (l *LibOS) membership(op string, qd QD, kind Kind, group netip.Addr) error {
	s, err := l.socket(op, qd)
	if err != nil {
		return err
	}
	err = syscall.EINVAL
	if group.IsMulticast() {
		err = s.membership(kind, group)
	}
	return l.fail(op, qd, netip.AddrPortFrom(group, 0), err)
}
