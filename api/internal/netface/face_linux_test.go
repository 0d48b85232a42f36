package netface

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen sets the backlog, which package net does not let one do, by listening
// once more.
func (p packageNet) listen(network, address string, backlog int) (ln net.Listener, err error) {
	err = p.do(func() (err error) {
		var c net.ListenConfig
		ln, err = c.Listen(context.Background(), network, address)
		return err
	})
	if err != nil || backlog == 0 {
		return ln, err
	}
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { check(unix.Listen(int(fd), backlog)) })
	}
	return ln, err
}

func (p packageNet) join(c net.PacketConn, group, on netip.Addr) error {
	return p.member(c, unix.IP_ADD_MEMBERSHIP, group, on)
}

func (p packageNet) leave(c net.PacketConn, group, on netip.Addr) error {
	return p.member(c, unix.IP_DROP_MEMBERSHIP, group, on)
}

func (p packageNet) member(c net.PacketConn, option int, group, on netip.Addr) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) {
		m := &unix.IPMreq{Multiaddr: group.As4(), Interface: on.As4()}
		done = unix.SetsockoptIPMreq(int(fd), unix.IPPROTO_IP, option, m)
		if done == nil { // what is sent goes there too
			done = unix.SetsockoptInet4Addr(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, on.As4())
		}
	})
	if err == nil {
		err = done
	}
	return err
}
