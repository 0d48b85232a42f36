package api_test

import (
	"net/netip"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
)

var misuseOfPush = []misuse{
	{call: "push", name: "bad descriptor", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.result(w.lib.Push(badQD, w.alloc())) }},
	{call: "push", name: "after close", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.closed()
			return qd, w.result(w.lib.Push(qd, w.alloc()))
		}},
	{call: "push", name: "nothing, TCP", demikernel: syscall.EINVAL, linux: works, ours: works, late: true,
		why: whyPOSIX,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.result(w.lib.Push(qd, api.SGA{}))
		}},
	{call: "push", name: "nothing, UDP", demikernel: syscall.EINVAL, linux: works, ours: works, late: true,
		why: "a datagram may be empty",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, api.SGA{}, w.nothing()))
		}},
	{call: "push", name: "freed memory", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "it is counted too (Stats.Misused); with Config.Strict it panics",
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			s := w.lib.Alloc(5)
			s.Free()
			id, err := w.lib.Push(qd, s)
			if n := w.lib.Stats().Misused; n != 1 {
				w.Errorf("%d misuses were counted", n)
			}
			return qd, w.result(id, err)
		}},
	{call: "push", name: "the same memory twice at once", demikernel: errNone, linux: works, ours: works, late: true,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			s := w.lib.Alloc(5)
			first, second := must1(w.lib.Push(qd, s)), must1(w.lib.Push(qd, s))
			wait(w, w.lib, first)
			return qd, w.result(second, nil)
		}},
	{call: "push", name: "not connected", demikernel: syscall.ENOTCONN, linux: syscall.EPIPE, ours: syscall.ENOTCONN, late: true,
		why: "POSIX has both; this one says more",
		run: func(w *world) (api.QD, error) { return w.push(w.tcp()) }},
	{call: "push", name: "bound, not connected", demikernel: syscall.ENOTCONN, linux: syscall.EPIPE, ours: syscall.ENOTCONN, late: true,
		why: "POSIX has both; this one says more",
		run: func(w *world) (api.QD, error) { return w.push(w.bound(api.TCP)) }},
	{call: "push", name: "listening", demikernel: syscall.ENOTCONN, linux: syscall.EPIPE, ours: syscall.ENOTCONN, late: true,
		why: "POSIX has both; this one says more",
		run: func(w *world) (api.QD, error) { return w.push(w.listening()) }},
	{call: "push", name: "while connecting", demikernel: syscall.ENOTCONN, linux: errWaits, ours: errWaits,
		why: "RFC 9293, 3.10.2: it is sent when the connection is there",
		run: func(w *world) (api.QD, error) {
			qd := w.connecting()
			return qd, w.pending(w.lib.Push(qd, sga(5)))
		}},
	{call: "push", name: "after the connect was refused", demikernel: syscall.EBADF, linux: syscall.EPIPE, ours: syscall.ENOTCONN, late: true,
		why: "it never was connected; the descriptor is good until it is closed",
		run: func(w *world) (api.QD, error) { return w.push(w.refused()) }},
	{call: "push", name: "after Shutdown(ShutWrite)", demikernel: errNone, linux: syscall.EPIPE, ours: syscall.EPIPE, late: true,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			must(w.lib.Shutdown(qd, api.ShutWrite))
			return w.push(qd)
		}},
	{call: "push", name: "after the peer's reset", demikernel: errNone, linux: syscall.EPIPE, ours: syscall.EPIPE, late: true,
		run: func(w *world) (api.QD, error) { return w.push(w.reset()) }},
	{call: "push", name: "after the peer's close", demikernel: errNone, linux: works, ours: works, late: true,
		why: "the peer may still read; if not it resets",
		run: func(w *world) (api.QD, error) { return w.push(w.atEnd()) }},
	{call: "push", name: "UDP, to nobody", demikernel: errNone, linux: syscall.EDESTADDRREQ, ours: syscall.EDESTADDRREQ, late: true,
		run: func(w *world) (api.QD, error) { return w.push(w.bound(api.UDP)) }},

	{call: "pushto", name: "no address", demikernel: errNone, linux: syscall.EDESTADDRREQ, ours: syscall.EINVAL, op: "push",
		why: "an address was meant, and there is none: Push is the call without",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, sga(5), netip.AddrPort{}))
		}},
	{call: "pushto", name: "TCP", demikernel: works, linux: works, ours: works, late: true,
		why: "the address of a stream is its peer's",
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.result(w.lib.PushTo(qd, sga(5), w.nothing()))
		}},
	{call: "pushto", name: "unbound", demikernel: syscall.EOPNOTSUPP, linux: works, ours: works, late: true,
		why: whyMissing + ": it is bound to a free port",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			err := w.result(w.lib.PushTo(qd, sga(5), w.nothing()))
			if w.local(qd).Port() == 0 {
				w.Error("no port was chosen")
			}
			return qd, err
		}},
	{call: "pushto", name: "unbound, and no port left", demikernel: syscall.EOPNOTSUPP, linux: syscall.EAGAIN, page: "send(2)", ours: syscall.EAGAIN, late: true, op: "push",
		why: whyMissing + ": there may be one later",
		run: func(w *world) (api.QD, error) {
			w.usePorts()
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, sga(5), w.nothing()))
		}},
	{call: "pushto", name: "connected, to another", demikernel: errNone, linux: works, ours: works, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			w.done(w.lib.Connect(qd, netip.AddrPortFrom(w.silent, 9)))
			return qd, w.result(w.lib.PushTo(qd, sga(5), w.nothing()))
		}},
	{call: "pushto", name: "longer than a datagram can be", demikernel: errNone, linux: syscall.EMSGSIZE, ours: syscall.EMSGSIZE, late: true, op: "push",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, sga(65508), w.nothing()))
		}},
	{call: "pushto", name: "port 0", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EINVAL, late: true, op: "push",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, sga(5), netip.AddrPortFrom(w.peer, 0)))
		}},
	{call: "pushto", name: "IPv6 address, IPv4 socket", demikernel: errNone, linux: syscall.EAFNOSUPPORT, ours: syscall.EAFNOSUPPORT, late: true, op: "push",
		run: func(w *world) (api.QD, error) {
			qd := must1(w.lib.Socket(api.UDP4))
			return qd, w.result(w.lib.PushTo(qd, sga(5), netip.MustParseAddrPort("[fd00::2]:9")))
		}},
	{call: "pushto", name: "IPv4 address, IPv6 socket", demikernel: errNone, linux: syscall.ENETUNREACH, ours: syscall.EAFNOSUPPORT, late: true, op: "push",
		why: "the same mistake as the line before, so the same number",
		run: func(w *world) (api.QD, error) {
			qd := must1(w.lib.Socket(api.UDP6))
			return qd, w.result(w.lib.PushTo(qd, sga(5), w.nothing()))
		}},
	{call: "pushto", name: "no route", demikernel: errNone, linux: syscall.ENETUNREACH, page: "ip(7)", ours: syscall.ENETUNREACH, late: true, op: "push",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, sga(5), netip.MustParseAddrPort("192.0.2.1:9")))
		}},
	{call: "pushto", name: "zone that is no interface", demikernel: errNone, linux: syscall.ENETUNREACH, ours: syscall.ENETUNREACH, late: true, op: "push",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, sga(5), nowhere))
		}},
	{call: "pushto", name: "broadcast", demikernel: errNone, linux: syscall.EACCES, ours: syscall.EACCES, late: true, op: "push",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.result(w.lib.PushTo(qd, sga(5), w.broadcast()))
		}},
	{call: "pushto", name: "wildcard", demikernel: errNone, linux: works, ours: works, late: true, op: "push",
		why: "it is the host itself",
		run: func(w *world) (api.QD, error) {
			to, qd := w.udp(), w.udp()
			must(w.lib.Bind(to, netip.MustParseAddrPort("127.0.0.1:0")))
			err := w.result(w.lib.PushTo(qd, sga(5), netip.AddrPortFrom(netip.IPv4Unspecified(), w.local(to).Port())))
			w.done(w.lib.Pop(to))
			w.late = true
			return qd, err
		}},
}

// push pushes a few bytes.
func (w *world) push(qd api.QD) (api.QD, error) {
	return qd, w.result(w.lib.Push(qd, sga(5)))
}

var misuseOfPop = []misuse{
	{call: "pop", name: "bad descriptor", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return w.pop(badQD) }},
	{call: "pop", name: "after close", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return w.pop(w.closed()) }},
	{call: "pop", name: "size 0", demikernel: syscall.EINVAL, linux: works, ours: syscall.EINVAL,
		why: "nothing is what the end of a stream looks like",
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.result(w.lib.PopN(qd, 0))
		}},
	{call: "pop", name: "size negative", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "sizes of C have no sign",
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.result(w.lib.PopN(qd, -1))
		}},
	{call: "pop", name: "size huge", demikernel: syscall.EINVAL, linux: works, ours: works, late: true,
		why: "it is a bound: what is there is allocated, no more",
		run: func(w *world) (api.QD, error) {
			qd, c := w.connected()
			must1(c.Write([]byte("hello")))
			return qd, w.result(w.lib.PopN(qd, 1<<40))
		}},
	{call: "pop", name: "not connected", demikernel: syscall.ENOTCONN, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN, late: true,
		run: func(w *world) (api.QD, error) { return w.pop(w.tcp()) }},
	{call: "pop", name: "listening", demikernel: syscall.ENOTCONN, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN, late: true,
		run: func(w *world) (api.QD, error) { return w.pop(w.listening()) }},
	{call: "pop", name: "while connecting", demikernel: syscall.ENOTCONN, linux: errWaits, ours: errWaits,
		why: "RFC 9293, 3.10.3: it is served when the connection is there",
		run: func(w *world) (api.QD, error) {
			qd := w.connecting()
			return qd, w.pending(w.lib.Pop(qd))
		}},
	{call: "pop", name: "unbound UDP", demikernel: syscall.EDESTADDRREQ, linux: errWaits, ours: errWaits,
		why: "whatever binds it later brings datagrams",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.pending(w.lib.Pop(qd))
		}},
	{call: "pop", name: "after Shutdown(ShutRead)", demikernel: errNone, linux: errEOF, ours: errEOF, late: true,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			must(w.lib.Shutdown(qd, api.ShutRead))
			return w.pop(qd)
		}},
	{call: "pop", name: "after the end of the stream", demikernel: errNone, linux: errEOF, ours: errEOF, late: true,
		run: func(w *world) (api.QD, error) { return w.pop(w.atEnd()) }},
	{call: "pop", name: "the peer resets", demikernel: errNone, linux: syscall.ECONNRESET, ours: syscall.ECONNRESET, late: true,
		run: func(w *world) (api.QD, error) {
			qd, c := w.connected()
			must(c.(interface{ SetLinger(int) error }).SetLinger(0))
			c.Close()
			return w.pop(qd)
		}},
	{call: "pop", name: "again after the peer's reset", demikernel: errNone, linux: errEOF, ours: errEOF, late: true,
		run: func(w *world) (api.QD, error) { return w.pop(w.reset()) }},
	{call: "pop", name: "after the connect was refused", demikernel: syscall.EBADF, linux: errEOF, ours: syscall.ENOTCONN, late: true,
		why: "a stream that never began has no end",
		run: func(w *world) (api.QD, error) { return w.pop(w.refused()) }},
	{call: "pop", name: "with as many ops open as MaxOps allows", demikernel: syscall.EAGAIN, linux: errNone, ours: syscall.ENOBUFS,
		why: "to try again does not help; to take completions does",
		run: func(w *world) (api.QD, error) {
			lib := api.New(&stub{hold: true}, api.Config{Strict: true, MaxOps: 1})
			defer lib.Exit()
			qd := must1(lib.Socket(api.UDP))
			must1(lib.Pop(qd))
			_, err := lib.Pop(qd)
			return qd, err
		}},
	{call: "pop", name: "UDP, the peer's port is closed", demikernel: errNone, linux: syscall.ECONNREFUSED, ours: syscall.ECONNREFUSED, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			w.done(w.lib.Connect(qd, w.nothing()))
			w.done(w.lib.Push(qd, sga(5)))
			return w.pop(qd)
		}},

	{call: "shutdown", name: "bad descriptor", demikernel: errNone, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.lib.Shutdown(badQD, api.ShutWrite) }},
	{call: "shutdown", name: "no direction", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "Linux has no number for none",
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.lib.Shutdown(qd, 0)
		}},
	{call: "shutdown", name: "unknown direction", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			return qd, w.lib.Shutdown(qd, 4)
		}},
	{call: "shutdown", name: "not connected", demikernel: errNone, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			return qd, w.lib.Shutdown(qd, api.ShutWrite)
		}},
	{call: "shutdown", name: "UDP, not connected", demikernel: errNone, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN,
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			return qd, w.lib.Shutdown(qd, api.ShutWrite)
		}},
	{call: "shutdown", name: "twice", demikernel: errNone, linux: works, ours: works,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			must(w.lib.Shutdown(qd, api.ShutWrite))
			return qd, w.lib.Shutdown(qd, api.ShutWrite)
		}},
	{call: "shutdown", name: "accept of a listener that was shut down", op: "accept", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EINVAL, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.listening()
			must(w.lib.Shutdown(qd, api.ShutRead))
			return qd, w.result(w.lib.Accept(qd))
		}},
}

// pop pops.
func (w *world) pop(qd api.QD) (api.QD, error) { return qd, w.result(w.lib.Pop(qd)) }
