package netface

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

var group = netip.MustParseAddr("239.7.7.7")

// membership skips where memberships are not built for package net.
func membership(t *testing.T, w world) {
	t.Helper()
	if !w.nearAddr.Is4() {
		t.Skip("for IPv4 only")
	}
}

// Every member gets what is sent to the group, also on a port that they share,
// until it leaves.
func testMulticast(t *testing.T, w world) {
	membership(t, w)
	first := open(t, w.far, "udp4", at(group, 0))
	port := addrPort(first.LocalAddr()).Port()
	second := open(t, w.far, "udp4", at(group, port))
	from := open(t, w.near, "udp4", at(w.nearAddr, 0))
	check(w.far.join(first, group, w.farAddr))
	check(w.far.join(second, group, w.farAddr))
	check(w.near.join(from, group, w.nearAddr)) // the sender is a member, on another port
	send := func() { must(from.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(group, port))) }
	send()
	for i, c := range []datagrams{first, second} {
		if n, addr, err := c.ReadFromUDPAddrPort(make([]byte, 9)); n != 1 || err != nil || addr != addrPort(from.LocalAddr()) {
			t.Errorf("member %d: %d from %v, %v", i, n, addr, err)
		}
	}
	check(w.far.leave(first, group, w.farAddr))
	check(w.far.leave(second, group, w.farAddr))
	check(w.near.leave(from, group, w.nearAddr)) // on Linux one member of a host is one for all
	send()
	check(first.SetReadDeadline(time.Now().Add(soon)))
	if n, err := first.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after leaving: %d, %v", n, err)
	}
}

func testMulticastErrors(t *testing.T, w world) {
	membership(t, w)
	c := open(t, w.near, "udp4", at(w.nearAddr, 0))
	for _, m := range []struct {
		what string
		err  error
		want error
	}{
		{"leave of one that was not joined", w.near.leave(c, group, w.nearAddr), syscall.EADDRNOTAVAIL},
		{"join", w.near.join(c, group, w.nearAddr), nil},
		{"join again", w.near.join(c, group, w.nearAddr), syscall.EADDRINUSE},
		{"join of no group", w.near.join(c, netip.MustParseAddr("10.0.0.9"), w.nearAddr), syscall.EINVAL},
		{"leave", w.near.leave(c, group, w.nearAddr), nil},
		{"leave again", w.near.leave(c, group, w.nearAddr), syscall.EADDRNOTAVAIL},
		{"join once more", w.near.join(c, group, w.nearAddr), nil},
		{"close", c.Close(), nil},
		{"join, closed", w.near.join(c, group, w.nearAddr), os.ErrClosed},
	} {
		if m.want == os.ErrClosed && m.err != nil {
			continue // package net and os have different words for it
		}
		if !errors.Is(m.err, m.want) {
			t.Errorf("%s: %v, want %v", m.what, m.err, m.want)
		}
	}
}

// A socket that is bound to a group's address is bound to its port of every
// address, as package net has it, and others can be.
func testGroupAddress(t *testing.T, w world) {
	membership(t, w)
	c := open(t, w.near, "udp4", at(group, 0))
	local := addrPort(c.LocalAddr())
	if !local.Addr().IsUnspecified() || local.Port() == 0 {
		t.Errorf("the address is %v", local)
	}
	from := open(t, w.far, "udp4", at(w.farAddr, 0))
	must(from.WriteToUDPAddrPort([]byte("one"), netip.AddrPortFrom(w.nearAddr, local.Port())))
	if n, err := c.Read(make([]byte, 9)); n != 3 || err != nil {
		t.Errorf("Read of what was sent to an address: %d, %v", n, err)
	}
	if other, err := w.near.listenPacket("udp4", at(w.nearAddr, local.Port())); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a socket that does not share: %v", err)
		if err == nil {
			other.Close()
		}
	}
}
