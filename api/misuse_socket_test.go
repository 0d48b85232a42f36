package api_test

import (
	"math"
	"net/netip"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
)

// Reasons that more than one case has.
const (
	whyMissing = "Demikernel lacks it"
	whyPOSIX   = "as POSIX has it"
	whyFamily  = "the family has a number of its own"
)

// nowhere is an address of a link that our host has not.
var nowhere = netip.MustParseAddrPort("[fe80::1%nosuch]:9")

// badQD was never a descriptor.
const badQD api.QD = 12345

var misuseOfSockets = []misuse{
	{call: "socket", name: "unknown network", demikernel: syscall.EOPNOTSUPP, linux: syscall.EPROTONOSUPPORT, ours: syscall.EPROTONOSUPPORT,
		why: "it is not a question of the operation",
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.Socket(99)
			return 0, err
		}},

	{call: "bind", name: "bad descriptor", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.lib.Bind(badQD, w.free()) }},
	{call: "bind", name: "descriptor 0", demikernel: syscall.EBADF, linux: errNone, ours: syscall.EBADF,
		why: "0 is never a descriptor here",
		run: func(w *world) (api.QD, error) { return 0, w.lib.Bind(0, w.free()) }},
	{call: "bind", name: "after close", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.closed()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "no address", demikernel: syscall.EINVAL, linux: syscall.EINVAL, page: "bind(2)", ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.lib.Bind(qd, netip.AddrPort{})
		}},
	{call: "bind", name: "twice", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd := w.bound(api.TCP)
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "UDP twice", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd := w.bound(api.UDP)
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "address in use", demikernel: syscall.EADDRINUSE, linux: syscall.EADDRINUSE, ours: syscall.EADDRINUSE,
		run: func(w *world) (api.QD, error) { return w.rebind(api.TCP, w.addr, w.addr) }},
	{call: "bind", name: "UDP address in use", demikernel: syscall.EADDRINUSE, linux: syscall.EADDRINUSE, ours: syscall.EADDRINUSE,
		run: func(w *world) (api.QD, error) { return w.rebind(api.UDP, w.addr, w.addr) }},
	{call: "bind", name: "wildcard over an address in use", demikernel: syscall.EOPNOTSUPP, linux: syscall.EADDRINUSE, ours: syscall.EADDRINUSE,
		why: whyMissing + " (the wildcard of TCP)",
		run: func(w *world) (api.QD, error) { return w.rebind(api.TCP, w.addr, netip.IPv4Unspecified()) }},
	{call: "bind", name: "address under a wildcard in use", demikernel: errNone, linux: syscall.EADDRINUSE, ours: syscall.EADDRINUSE,
		run: func(w *world) (api.QD, error) { return w.rebind(api.TCP, netip.IPv4Unspecified(), w.addr) }},
	{call: "bind", name: "IPv4 under the wildcard of both families", demikernel: errNone, linux: syscall.EADDRINUSE, ours: syscall.EADDRINUSE,
		run: func(w *world) (api.QD, error) { return w.rebind(api.TCP, netip.IPv6Unspecified(), w.addr) }},
	{call: "bind", name: "IPv4 beside IPv6 only", demikernel: errNone, linux: works, ours: works,
		run: func(w *world) (api.QD, error) {
			six := w.tcp6()
			must(w.lib.Bind(six, netip.AddrPortFrom(netip.IPv6Unspecified(), 0)))
			qd := w.tcp4()
			return qd, w.lib.Bind(qd, netip.AddrPortFrom(netip.IPv4Unspecified(), w.local(six).Port()))
		}},
	{call: "bind", name: "address of another host", demikernel: syscall.EADDRNOTAVAIL, linux: syscall.EADDRNOTAVAIL, ours: syscall.EADDRNOTAVAIL,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.lib.Bind(qd, netip.AddrPortFrom(w.peer, 0))
		}},
	{call: "bind", name: "port 0", demikernel: syscall.EOPNOTSUPP, linux: works, ours: works,
		why: whyMissing,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			err := w.lib.Bind(qd, w.free())
			if w.local(qd).Port() == 0 {
				w.Error("no port was chosen")
			}
			return qd, err
		}},
	{call: "bind", name: "port 0, and none left", demikernel: syscall.EOPNOTSUPP, linux: syscall.EADDRINUSE, page: "bind(2)", ours: syscall.EADDRINUSE,
		why: whyMissing,
		run: func(w *world) (api.QD, error) {
			w.usePorts()
			qd := w.tcp()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "wildcard", demikernel: syscall.EOPNOTSUPP, linux: works, ours: works,
		why: whyMissing,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.lib.Bind(qd, netip.MustParseAddrPort("0.0.0.0:80"))
		}},
	{call: "bind", name: "port below 1024, unprivileged", demikernel: errNone, linux: syscall.EACCES, page: "bind(2)", ours: works,
		why: "the ports of a host in this process are this process's",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.lib.Bind(qd, netip.AddrPortFrom(w.addr, 80))
		}},
	{call: "bind", name: "IPv6 address, IPv4 socket", demikernel: syscall.EOPNOTSUPP, linux: syscall.EAFNOSUPPORT, ours: syscall.EAFNOSUPPORT,
		why: whyFamily,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp4()
			return qd, w.lib.Bind(qd, netip.MustParseAddrPort("[fd00::1]:0"))
		}},
	{call: "bind", name: "IPv4 address, IPv6 socket", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EAFNOSUPPORT,
		why: "the same mistake as the line before, so the same number",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp6()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "zone that is no interface", demikernel: errNone, linux: syscall.ENODEV, ours: syscall.ENODEV,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.lib.Bind(qd, nowhere)
		}},
	{call: "bind", name: "while connecting", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd := w.connecting()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "connected", demikernel: syscall.EISCONN, linux: syscall.EINVAL, ours: syscall.EISCONN,
		why: "POSIX has both; this one says more",
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "accepted", demikernel: syscall.EISCONN, linux: syscall.EINVAL, ours: syscall.EISCONN,
		why: "POSIX has both; this one says more",
		run: func(w *world) (api.QD, error) {
			qd := w.accepted()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "listening", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd := w.listening()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "bind", name: "while an accept waits", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd := w.accepting()
			return qd, w.lib.Bind(qd, w.free())
		}},
}

// rebind binds a socket to one address and then another to a second one, of the
// same port.
func (w *world) rebind(n api.Network, first, second netip.Addr) (api.QD, error) {
	holder := must1(w.lib.Socket(n))
	must(w.lib.Bind(holder, netip.AddrPortFrom(first, 0)))
	qd := must1(w.lib.Socket(n))
	return qd, w.lib.Bind(qd, netip.AddrPortFrom(second, w.local(holder).Port()))
}

var misuseOfListeners = []misuse{
	{call: "listen", name: "bad descriptor", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.lib.Listen(badQD, 8) }},
	{call: "listen", name: "after close", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.closed()
			return qd, w.lib.Listen(qd, 8)
		}},
	{call: "listen", name: "unbound", demikernel: syscall.EDESTADDRREQ, linux: works, ours: works,
		why: whyMissing + ": a free port of all addresses is chosen",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			err := w.lib.Listen(qd, 8)
			return qd, w.canAccept(qd, err)
		}},
	{call: "listen", name: "unbound, and no port left", demikernel: syscall.EDESTADDRREQ, linux: syscall.EADDRINUSE, page: "listen(2)", ours: syscall.EADDRINUSE,
		why: whyMissing,
		run: func(w *world) (api.QD, error) {
			w.usePorts()
			qd := w.tcp()
			return qd, w.lib.Listen(qd, 8)
		}},
	{call: "listen", name: "twice", demikernel: syscall.EADDRINUSE, linux: works, ours: works,
		why: "the second call changes the backlog",
		run: func(w *world) (api.QD, error) {
			qd := w.listening()
			err := w.lib.Listen(qd, 4)
			return qd, w.canAccept(qd, err)
		}},
	{call: "listen", name: "while an accept waits", demikernel: syscall.EADDRINUSE, linux: works, ours: works,
		why: "the second call changes the backlog",
		run: func(w *world) (api.QD, error) {
			qd := w.accepting()
			return qd, w.lib.Listen(qd, 4)
		}},
	{call: "listen", name: "while connecting", demikernel: syscall.EADDRINUSE, linux: syscall.EINVAL, ours: syscall.EINVAL,
		why: whyPOSIX,
		run: func(w *world) (api.QD, error) {
			qd := w.connecting()
			return qd, w.lib.Listen(qd, 8)
		}},
	{call: "listen", name: "connected", demikernel: syscall.EISCONN, linux: syscall.EINVAL, ours: syscall.EINVAL,
		why: whyPOSIX,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.lib.Listen(qd, 8)
		}},
	{call: "listen", name: "UDP", demikernel: syscall.EOPNOTSUPP, linux: syscall.EOPNOTSUPP, ours: syscall.EOPNOTSUPP,
		run: func(w *world) (api.QD, error) {
			qd := w.bound(api.UDP)
			return qd, w.lib.Listen(qd, 8)
		}},
	{call: "listen", name: "address of another listener, both with ReuseAddr", demikernel: errNone, linux: syscall.EADDRINUSE, ours: syscall.EADDRINUSE,
		run: func(w *world) (api.QD, error) {
			var qds [2]api.QD
			addr := w.free()
			for i := range qds {
				qds[i] = w.tcp()
				must(w.lib.SetOption(qds[i], api.ReuseAddr(true)))
				must(w.lib.Bind(qds[i], addr))
				addr = w.local(qds[i])
			}
			must(w.lib.Listen(qds[0], 8))
			return qds[1], w.lib.Listen(qds[1], 8)
		}},
	{call: "listen", name: "backlog 0", demikernel: syscall.EINVAL, linux: works, ours: works,
		why: whyPOSIX + ": one connection may wait",
		run: func(w *world) (api.QD, error) { return w.listen(0) }},
	{call: "listen", name: "backlog negative", demikernel: syscall.EINVAL, linux: works, ours: works,
		why: whyPOSIX + ": the same as 0",
		run: func(w *world) (api.QD, error) { return w.listen(-1) }},
	{call: "listen", name: "backlog huge", demikernel: syscall.EINVAL, linux: works, ours: works,
		why: "it is a bound, not a wish",
		run: func(w *world) (api.QD, error) { return w.listen(math.MaxInt32) }},

	{call: "accept", name: "bad descriptor", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.result(w.lib.Accept(badQD)) }},
	{call: "accept", name: "after close", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.closed()
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "accept", name: "unbound", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "accept", name: "bound, not listening", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.bound(api.TCP)
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "accept", name: "while connecting", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.connecting()
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "accept", name: "connected", demikernel: syscall.EINVAL, linux: syscall.EINVAL, ours: syscall.EINVAL, late: true,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "accept", name: "UDP", demikernel: errNone, linux: syscall.EOPNOTSUPP, ours: syscall.EOPNOTSUPP, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.bound(api.UDP)
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "accept", name: "nobody comes", demikernel: errWaits, linux: errWaits, ours: errWaits, late: false,
		run: func(w *world) (api.QD, error) {
			qd := w.listening()
			return qd, w.pending(w.lib.Accept(qd))
		}},
}

// accepting returns a listener with an accept that waits.
func (w *world) accepting() api.QD {
	qd := w.listening()
	must1(w.lib.Accept(qd))
	return qd
}

// listen binds a socket, listens, and lets one come.
func (w *world) listen(backlog int) (api.QD, error) {
	qd := w.bound(api.TCP)
	err := w.lib.Listen(qd, backlog)
	return qd, w.canAccept(qd, err)
}

// canAccept lets a connection wait for the Accept, if there is no error.
func (w *world) canAccept(qd api.QD, err error) error {
	if err != nil {
		return err
	}
	at := netip.AddrPortFrom(w.addr, w.local(qd).Port())
	c := must1(w.far.Dial("tcp4", at.String()))
	defer c.Close()
	w.done(w.lib.Accept(qd))
	return nil
}
