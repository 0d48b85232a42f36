package api_test

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
)

var misuseOfConnect = []misuse{
	{call: "connect", name: "bad descriptor", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.result(w.lib.Connect(badQD, w.nothing())) }},
	{call: "connect", name: "after close", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.closed()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "no address", demikernel: syscall.EINVAL, linux: syscall.EINVAL, page: "connect(3p)", ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, netip.AddrPort{}))
		}},
	{call: "connect", name: "listening", demikernel: syscall.EOPNOTSUPP, linux: syscall.EISCONN, ours: syscall.EOPNOTSUPP, late: true,
		why: "as POSIX has it: a listener is not connected",
		run: func(w *world) (api.QD, error) {
			qd := w.listening()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "while an accept waits", demikernel: syscall.EOPNOTSUPP, linux: syscall.EISCONN, ours: syscall.EOPNOTSUPP, late: true,
		why: "as with one that listens",
		run: func(w *world) (api.QD, error) {
			qd := w.accepting()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "while connecting", demikernel: syscall.EINPROGRESS, linux: syscall.EALREADY, ours: syscall.EALREADY, late: true,
		why: "as POSIX has it: EINPROGRESS is the answer to the first",
		run: func(w *world) (api.QD, error) {
			qd := w.connecting()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "again after one that was cancelled, while the handshake goes on", demikernel: errNone, linux: syscall.EALREADY, ours: syscall.EALREADY, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			w.cancel(w.lib.Connect(qd, netip.AddrPortFrom(w.silent, 9)))
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "again after one that was cancelled, and has succeeded since", demikernel: errNone, linux: works, ours: works, late: true,
		why: "it is told once; from then on it is EISCONN",
		run: func(w *world) (api.QD, error) {
			ln := must1(w.far.Listen("tcp4", netip.AddrPortFrom(w.peer, 0).String()))
			defer ln.Close()
			for {
				qd, to := w.tcp(), addrPort(ln.Addr())
				cancelled := w.cancel(w.lib.Connect(qd, to))
				must(must1(ln.Accept()).Close()) // so it has succeeded
				if cancelled {
					err := w.result(w.lib.Connect(qd, to))
					if again := w.before(w.lib.Connect(qd, to)); !errors.Is(again, syscall.EISCONN) {
						w.Errorf("once more: %v", again)
					}
					w.late = true
					return qd, err
				}
			}
		}},
	{call: "connect", name: "connected", demikernel: syscall.EISCONN, linux: syscall.EISCONN, ours: syscall.EISCONN, late: true,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "accepted", demikernel: syscall.EISCONN, linux: syscall.EISCONN, ours: syscall.EISCONN, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.accepted()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "refused", demikernel: syscall.ECONNREFUSED, linux: syscall.ECONNREFUSED, ours: syscall.ECONNREFUSED, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "again after it was refused", demikernel: syscall.EBADF, linux: syscall.ECONNABORTED, ours: syscall.ECONNABORTED, late: true,
		why: "POSIX leaves the state open; the descriptor is good until it is closed",
		run: func(w *world) (api.QD, error) {
			qd := w.refused()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "no route", demikernel: errNone, linux: syscall.ENETUNREACH, page: "connect(2)", ours: syscall.ENETUNREACH, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, netip.MustParseAddrPort("192.0.2.1:80")))
		}},
	{call: "connect", name: "nobody on the link", demikernel: errNone, linux: syscall.EHOSTUNREACH, page: "ip(7)", ours: syscall.EHOSTUNREACH, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, netip.AddrPortFrom(w.nobody, 80)))
		}},
	{call: "connect", name: "IPv6 address, IPv4 socket", demikernel: errNone, linux: syscall.EAFNOSUPPORT, ours: syscall.EAFNOSUPPORT, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp4()
			return qd, w.result(w.lib.Connect(qd, netip.MustParseAddrPort("[fd00::2]:80")))
		}},
	{call: "connect", name: "IPv4 address, IPv6 socket", demikernel: errNone, linux: syscall.ENETUNREACH, ours: syscall.EAFNOSUPPORT, late: true,
		why: "the same mistake as the line before, so the same number",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp6()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "zone that is no interface", demikernel: errNone, linux: syscall.ENETUNREACH, ours: syscall.ENETUNREACH, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, nowhere))
		}},
	{call: "connect", name: "port 0", demikernel: errNone, linux: syscall.ECONNREFUSED, ours: syscall.ECONNREFUSED, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, netip.AddrPortFrom(w.peer, 0)))
		}},
	{call: "connect", name: "no port left", demikernel: errNone, linux: syscall.EADDRNOTAVAIL, page: "connect(2)", ours: syscall.EADDRNOTAVAIL, late: true,
		run: func(w *world) (api.QD, error) {
			w.usePorts()
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "TCP, to a group", demikernel: errNone, linux: syscall.ENETUNREACH, ours: syscall.ENETUNREACH, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, netip.MustParseAddrPort("239.1.2.3:80")))
		}},
	{call: "connect", name: "TCP, to an IPv6 group", demikernel: errNone, linux: syscall.ENETUNREACH, ours: syscall.ENETUNREACH, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, netip.MustParseAddrPort("[ff02::1]:80")))
		}},
	{call: "connect", name: "TCP, to the broadcast address", demikernel: errNone, linux: syscall.ENETUNREACH, ours: syscall.ENETUNREACH, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.result(w.lib.Connect(qd, w.broadcast()))
		}},
	{call: "connect", name: "UDP, to the broadcast address", demikernel: errNone, linux: syscall.EACCES, ours: syscall.EACCES, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.Connect(qd, w.broadcast()))
		}},
	{call: "connect", name: "wildcard", demikernel: errNone, linux: works, ours: works, late: true,
		why: "it is the host itself",
		run: func(w *world) (api.QD, error) { return w.connectSelf("127.0.0.1", "0.0.0.0") }},
	{call: "connect", name: "IPv6 wildcard", demikernel: errNone, linux: works, ours: works, late: true,
		why: "it is the host itself",
		run: func(w *world) (api.QD, error) { return w.connectSelf("::1", "::") }},
	{call: "connect", name: "UDP", demikernel: syscall.EINVAL, linux: works, ours: works, late: true,
		why: whyMissing,
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "connect", name: "UDP again", demikernel: syscall.EBADF, linux: works, ours: works, late: true,
		why: whyMissing + ": the new peer replaces the old one",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			w.done(w.lib.Connect(qd, w.nothing()))
			to := netip.AddrPortFrom(w.silent, 2)
			err := w.result(w.lib.Connect(qd, to))
			if peer := must1(w.lib.PeerAddr(qd)); peer != to {
				w.Errorf("the peer is %v", peer)
			}
			return qd, err
		}},
}

// connectSelf connects to a listener of ours at one address by way of another.
func (w *world) connectSelf(at, to string) (api.QD, error) {
	ln, qd := w.tcp(), w.tcp()
	must(w.lib.Bind(ln, netip.AddrPortFrom(netip.MustParseAddr(at), 0)))
	must(w.lib.Listen(ln, 8))
	addr := w.local(ln)
	err := w.result(w.lib.Connect(qd, netip.AddrPortFrom(netip.MustParseAddr(to), addr.Port())))
	if peer := must1(w.lib.PeerAddr(qd)); peer != addr {
		w.Errorf("connected to %v, want %v", peer, addr)
	}
	return qd, err
}

// broadcast is an address of all stations on our link.
func (w *world) broadcast() netip.AddrPort {
	all := w.addr.As4()
	all[3] = 255
	return netip.AddrPortFrom(netip.AddrFrom4(all), 9)
}
