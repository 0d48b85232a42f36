package main

import "net"

// A peerConn is a datagram socket that talks to whoever sent it the first
// datagram, and hears nobody else.
type peerConn struct {
	net.PacketConn
	peer  net.Addr
	first []byte // the first datagram, until it is read
}

// acceptPeer waits for a first datagram.
func acceptPeer(pc net.PacketConn) (*peerConn, error) {
	b := make([]byte, 64<<10)
	n, from, err := pc.ReadFrom(b)
	if err != nil {
		pc.Close()
		return nil, err
	}
	return &peerConn{PacketConn: pc, peer: from, first: b[:n]}, nil
}

func (c *peerConn) Read(b []byte) (int, error) {
	if c.first != nil {
		n := copy(b, c.first)
		c.first = nil
		return n, nil
	}
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil || from.String() == c.peer.String() {
			return n, err
		}
	}
}

func (c *peerConn) Write(b []byte) (int, error) { return c.WriteTo(b, c.peer) }
func (c *peerConn) RemoteAddr() net.Addr        { return c.peer }
