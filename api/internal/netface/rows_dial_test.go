package netface

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

var dialRows = []row{
	{
		name: "dial: nobody listens",
		body: func(r *run) {
			r.names[portOne(r.farAddr)] = "port 1"
			_, err := r.near.dial(ctx, dialing{}, "tcp", portOne(r.farAddr))
			r.err("Dial", err)
		},
		want: `
			Dial: dial tcp port 1: connect: ECONNREFUSED`,
	},
	{
		name: "dial: from an address in use",
		body: func(r *run) {
			ln, far := r.nearListener(), r.listener()
			_, err := r.near.dial(ctx, dialing{local: addrPort(ln.Addr())}, "tcp", r.call(far.Addr(), "far").String())
			r.err("Dial", err)
		},
		want: `
			Dial: dial tcp listener->far: bind: EADDRINUSE`,
	},
	{
		name: "dial: from an address of another host",
		body: func(r *run) {
			local := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), 0)
			if r.nearAddr.Is6() {
				local = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), 0)
			}
			r.names[local.String()] = "elsewhere"
			_, err := r.near.dial(ctx, dialing{local: local}, "tcp", r.listener().Addr().String())
			r.err("Dial", err)
			r.names[portOne(r.farAddr)] = "port 1"
			_, err = r.near.dial(ctx, dialing{local: local, udp: true}, "udp", portOne(r.farAddr))
			r.err("Dial of UDP", err)
		},
		want: `
			Dial: dial tcp elsewhere->listener: bind: EADDRNOTAVAIL
			Dial of UDP: dial udp elsewhere->port 1: bind: EADDRNOTAVAIL`,
	},
	{
		name: "dial: from an address with any port",
		body: func(r *run) {
			d := dialing{local: netip.AddrPortFrom(r.nearAddr, 0)}
			c, err := r.near.dial(ctx, d, "tcp", r.listener().Addr().String())
			r.err("Dial", err)
			r.note("its address is the one asked for", yes(addrPort(c.LocalAddr()).Addr() == r.nearAddr))
			c.Close()
		},
		want: `
			Dial: ok
			its address is the one asked for: yes`,
	},
	{
		name: "dial: Control",
		body: func(r *run) {
			ln := r.listener()
			for _, network := range []string{"tcp", "udp"} {
				d := dialing{control: func(network, address string) error {
					r.note("Control", network[:3]+", the number of the family is there: "+yes(network != "tcp" && network != "udp")+
						", the address is the one dialled: "+yes(address == ln.Addr().String()))
					return nil
				}}
				c := must(r.near.dial(ctx, d, network, ln.Addr().String()))
				c.Close()
				d.control = func(string, string) error { return errOwn }
				_, err := r.near.dial(ctx, d, network, ln.Addr().String())
				r.err("Dial that it refuses, "+network, err)
			}
		},
		want: `
			Control: tcp, the number of the family is there: yes, the address is the one dialled: yes
			Dial that it refuses, tcp: dial tcp listener: the caller's own error
			Control: udp, the number of the family is there: yes, the address is the one dialled: yes
			Dial that it refuses, udp: dial udp listener: the caller's own error`,
	},
	{
		name: "dial: the context has ended",
		body: func(r *run) {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			_, err := r.near.dial(ended, dialing{}, "tcp", r.listener().Addr().String())
			r.err("Dial", err)
			late, cancel := context.WithDeadline(ctx, time.Unix(1, 0))
			defer cancel()
			_, err = r.near.dial(late, dialing{}, "tcp", r.listener().Addr().String())
			r.dialled("Dial past the deadline", err)
		},
		want: `
			Dial: dial tcp listener: context.Canceled
			Dial past the deadline: dial tcp listener: a deadline's error (timeout)`,
	},
	{
		name: "dial: nobody answers, and one gives up",
		lab:  true,
		body: func(r *run) {
			silent := net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.silent, 9))
			r.call(silent, "silent")
			gone, cancel := context.WithCancel(ctx)
			during(func() {
				_, err := r.near.dial(gone, dialing{}, "tcp", silent.String())
				r.err("Dial that is cancelled", err)
			}, cancel)
			short, cancel := context.WithTimeout(ctx, soon)
			defer cancel()
			_, err := r.near.dial(short, dialing{}, "tcp", silent.String())
			r.dialled("Dial until a deadline", err)
			_, err = r.near.dial(ctx, dialing{timeout: soon}, "tcp", silent.String())
			r.dialled("Dial with a timeout", err)
		},
		want: `
			Dial that is cancelled: dial tcp silent: context.Canceled
			Dial until a deadline: dial tcp silent: a deadline's error (timeout)
			Dial with a timeout: dial tcp silent: a deadline's error (timeout)`,
	},
	{
		name: "dial: nobody answers, ever",
		lab:  true,
		body: func(r *run) {
			silent := net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.silent, 9))
			_, err := r.near.dial(ctx, dialing{}, "tcp", r.call(silent, "silent").String())
			r.err("Dial", err)
		},
		want: `
			Dial: dial tcp silent: connect: ETIMEDOUT (timeout)`,
	},
	{
		name: "dial: nobody on the link has the address",
		lab:  true,
		body: func(r *run) {
			nobody := net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.nobody, 9))
			_, err := r.near.dial(ctx, dialing{}, "tcp", r.call(nobody, "nobody").String())
			r.err("Dial", err)
		},
		want: `
			Dial: dial tcp nobody: connect: EHOSTUNREACH`,
	},
	{
		name: "dial: no route",
		lab:  true,
		body: func(r *run) {
			elsewhere := net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.elsewhere, 9))
			r.call(elsewhere, "elsewhere")
			_, err := r.near.dial(ctx, dialing{}, "tcp", elsewhere.String())
			r.err("Dial", err)
			_, err = r.near.dial(ctx, dialing{}, "udp", elsewhere.String())
			r.err("Dial of UDP", err)
		},
		want: `
			Dial: dial tcp elsewhere: connect: ENETUNREACH
			Dial of UDP: dial udp elsewhere: connect: ENETUNREACH`,
	},
}

// dialled notes the error of a dial that came to an end. Which of the two
// errors of deadlines package net gives is a race there.
func (r *run) dialled(call string, err error) {
	r.err(call, err)
	n := &r.notes[len(r.notes)-1]
	for _, name := range []string{"os.ErrDeadlineExceeded", "context.DeadlineExceeded"} {
		n.result = strings.Replace(n.result, name, "a deadline's error", 1)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(interface{ AddrPort() netip.AddrPort }).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
