package netface

import (
	"net"
	"net/netip"
	"time"
)

// farRows are about a peer that vanishes.
var farRows = []row{
	{
		name: "vanished: keep-alive",
		lab:  true,
		body: func(r *run) {
			near, _ := r.pairWith(dialing{keepAlive: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}})
			r.vanish()
			r.read(near, "Read")
			r.state(near)
		},
		want: `
			Read: 0, read tcp near->far: read: ETIMEDOUT (timeout)
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "vanished: something is sent",
		lab:  true,
		body: func(r *run) {
			near, _ := r.pair()
			r.vanish()
			r.write(near, "Write")
			r.read(near, "Read")
			r.state(near)
		},
		want: `
			Write: 1, ok
			Read: 0, read tcp near->far: read: ETIMEDOUT (timeout)
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
}

// routerRows are about what a router says.
var routerRows = []row{
	{
		name:   "routed: the router says no",
		router: true,
		body: func(r *run) {
			for _, to := range []struct {
				name string
				addr netip.Addr
			}{{"prohibited", r.prohibited}, {"unreachable", r.unreachable}, {"unknown", r.unknown}} {
				at := netip.AddrPortFrom(to.addr, 9)
				r.names[at.String()] = to.name
				_, err := r.near.dial(ctx, dialing{}, "tcp", at.String())
				r.err("Dial, "+to.name, err)
				c := must(r.near.dial(ctx, dialing{}, "udp", at.String()))
				r.call(c.LocalAddr(), "near")
				r.write(c, "Write of UDP, "+to.name)
				r.waits(c, "Read of UDP, "+to.name)
				c.Close()
			}
		},
		want: `
			Dial, prohibited: dial tcp prohibited: connect: EHOSTUNREACH
			Write of UDP, prohibited: 1, ok
			Read of UDP, prohibited: 0, read udp near->prohibited: read: EHOSTUNREACH
			Dial, unreachable: dial tcp unreachable: connect: EHOSTUNREACH
			Write of UDP, unreachable: 1, ok
			Read of UDP, unreachable: waits
			Dial, unknown: dial tcp unknown: connect: ENETUNREACH
			Write of UDP, unknown: 1, ok
			Read of UDP, unknown: waits`,
		ours: `
			Read of UDP, prohibited: waits`,
		why: "gVisor tells datagram sockets of closed ports alone (docs/upstream/gvisor-datagram-errors.md)",
	},
}
