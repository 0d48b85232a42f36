package netface

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

var listenRows = []row{
	{
		name: "listen: an address in use",
		body: func(r *run) {
			ln := r.nearListener()
			_, err := r.near.listen("tcp", ln.Addr().String(), 0)
			r.err("Listen", err)
			near, _ := r.sockets()
			_, err = r.near.listenPacket("udp", near.LocalAddr().String())
			r.err("ListenPacket", err)
		},
		want: `
			Listen: listen tcp listener: bind: EADDRINUSE
			ListenPacket: listen udp near: bind: EADDRINUSE`,
	},
	{
		name: "listen: an address of another host",
		body: func(r *run) {
			a := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), 80)
			if r.nearAddr.Is6() {
				a = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), 80)
			}
			r.names[a.String()] = "elsewhere"
			_, err := r.near.listen("tcp", a.String(), 0)
			r.err("Listen", err)
			_, err = r.near.listenPacket("udp", a.String())
			r.err("ListenPacket", err)
		},
		want: `
			Listen: listen tcp elsewhere: bind: EADDRNOTAVAIL
			ListenPacket: listen udp elsewhere: bind: EADDRNOTAVAIL`,
	},
	{
		name: "listen: the wrong network",
		body: func(r *run) {
			_, err := r.near.listen("udp", at(r.nearAddr, 0), 0)
			r.note("Listen of UDP fails", yes(err != nil))
			_, err = r.near.listenPacket("tcp", at(r.nearAddr, 0))
			r.note("ListenPacket of TCP fails", yes(err != nil))
		},
		want: `
			Listen of UDP fails: yes
			ListenPacket of TCP fails: yes`,
	},
	{
		name: "listen: where connections have been",
		body: func(r *run) {
			r.err("Listen", unlessTaken(func() error {
				ln := must(r.near.listen("tcp", at(r.nearAddr, 0), 0))
				c := must(r.far.dial(ctx, dialing{}, "tcp", ln.Addr().String()))
				must(ln.Accept()).Close() // ours is the end that waits in TIME-WAIT
				c.Close()
				check(ln.Close())
				again, err := r.near.listen("tcp", ln.Addr().String(), 0)
				if err == nil {
					again.Close()
				}
				return err
			}))
		},
		want: `
			Listen: ok`,
	},
}

// unlessTaken lets a test have an address that it has had: somebody else may take
// it in between, but hardly each of five times.
func unlessTaken(f func() error) (err error) {
	for range 5 {
		if err = f(); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return err
}

type deadliner interface{ SetDeadline(time.Time) error }

var acceptRows = []row{
	{
		name: "accept: past the deadline",
		body: func(r *run) {
			ln := r.nearListener()
			check(ln.(deadliner).SetDeadline(time.Now().Add(time.Millisecond)))
			_, err := ln.Accept()
			r.err("Accept", err)
			c := must(r.far.dial(ctx, dialing{}, "tcp", ln.Addr().String()))
			defer c.Close()
			_, err = ln.Accept()
			r.err("Accept of one that waits", err)
			check(ln.(deadliner).SetDeadline(time.Time{}))
			a, err := ln.Accept()
			r.err("Accept without", err)
			a.Close()
		},
		want: `
			Accept: accept tcp listener: os.ErrDeadlineExceeded (timeout)
			Accept of one that waits: accept tcp listener: os.ErrDeadlineExceeded (timeout)
			Accept without: ok`,
	},
	{
		name: "accept: a deadline that is set meanwhile",
		body: func(r *run) {
			ln := r.nearListener()
			during(func() {
				_, err := ln.Accept()
				r.err("Accept", err)
			}, func() { check(ln.(deadliner).SetDeadline(time.Unix(1, 0))) })
		},
		want: `
			Accept: accept tcp listener: os.ErrDeadlineExceeded (timeout)`,
	},
	{
		name: "accept: closed",
		body: func(r *run) {
			ln := r.nearListener()
			during(func() {
				_, err := ln.Accept()
				r.err("Accept meanwhile", err)
			}, func() { check(ln.Close()) })
			_, err := ln.Accept()
			r.err("Accept", err)
			r.err("Close", ln.Close())
			r.err("SetDeadline", ln.(deadliner).SetDeadline(time.Time{}))
			r.note("Addr", r.address(ln.Addr()))
			_, err = r.far.dial(ctx, dialing{}, "tcp", ln.Addr().String())
			r.err("Dial", err)
		},
		want: `
			Accept meanwhile: accept tcp listener: net.ErrClosed
			Accept: accept tcp listener: net.ErrClosed
			Close: close tcp listener: net.ErrClosed
			SetDeadline: net.ErrClosed
			Addr: listener
			Dial: dial tcp listener: connect: ECONNREFUSED`,
		ours: `
			SetDeadline: set tcp listener: net.ErrClosed`,
		why: "it says which listener, as the same call of a connection does",
	},
	{
		name: "accept: closed, and connections wait",
		body: func(r *run) {
			ln := r.nearListener()
			c := must(r.far.dial(ctx, dialing{}, "tcp", ln.Addr().String()))
			r.Cleanup(func() { c.Close() })
			r.call(c.LocalAddr(), "far")
			check(ln.Close())
			r.read(c, "Read of one")
			r.state(c)
		},
		want: `
			Read of one: 0, read tcp far->listener: read: ECONNRESET
			then Read: 0, EOF
			then Write: 0, write tcp far->listener: write: EPIPE
			then Close: ok`,
	},
	{
		name: "accept: the peer has gone",
		body: func(r *run) {
			ln := r.nearListener()
			for _, leave := range []func(net.Conn){reset, func(c net.Conn) { c.Close() }} {
				c := must(r.far.dial(ctx, dialing{}, "tcp", ln.Addr().String()))
				r.call(c.LocalAddr(), "far")
				leave(c)
			}
			a, err := ln.Accept()
			r.err("Accept of one that was reset", err)
			r.call(a.LocalAddr(), "near")
			r.call(a.RemoteAddr(), "far")
			r.read(a, "Read")
			r.state(a)
			a, err = ln.Accept()
			r.err("Accept of one that was closed", err)
			r.read(a, "Read of the other")
			a.Close()
		},
		want: `
			Accept of one that was reset: ok
			Read: 0, read tcp near->far: read: ECONNRESET
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok
			Accept of one that was closed: ok
			Read of the other: 0, EOF`,
	},
}
