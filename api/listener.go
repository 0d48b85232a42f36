package api

import (
	"net"
	"net/netip"
	"time"
)

// A Listener accepts TCP connections. Several goroutines may accept at once.
type Listener struct {
	e         endpoint
	keepAlive net.KeepAliveConfig
}

var _ net.Listener = (*Listener)(nil)

func newListener(s *socket, local netip.AddrPort, keepAlive net.KeepAliveConfig) *Listener {
	l := &Listener{keepAlive: keepAlive}
	l.e.init(s, local, netip.AddrPort{})
	return l
}

// Accept waits for the next connection. It is a [*Conn].
func (l *Listener) Accept() (net.Conn, error) {
	s := l.e.s
	c := s.call(KindAccept)
	defer c.free()
	if err := l.e.run(&l.e.rd, c); err != nil {
		return nil, l.e.failHere("accept", "accept", err)
	}
	accepted := &socket{lib: s.lib, t: s.t, h: c.op.NewSock, net: s.net}
	return s.lib.net.conn(accepted, unmap(c.op.Local), unmap(c.op.Peer), l.keepAlive), nil
}

// Close ends the listener, and pending accepts with [net.ErrClosed].
// Connections that were accepted live on; those still in the backlog are reset.
func (l *Listener) Close() error { return l.e.failHere("close", "close", l.e.close()) }

// Addr returns the address, a [*net.TCPAddr].
func (l *Listener) Addr() net.Addr { return l.e.local }

// SetDeadline bounds pending and future accepts; the zero time is no bound.
func (l *Listener) SetDeadline(t time.Time) error { return l.e.SetReadDeadline(t) }
