package api_test

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// setting is a case of setting an option of a new socket.
func setting(n api.Network, o api.Option) func(*world) (api.QD, error) {
	return func(w *world) (api.QD, error) {
		qd := must1(w.lib.Socket(n))
		return qd, w.lib.SetOption(qd, o)
	}
}

const whyKind = "this queue has no such option"

var misuseOfOptions = []misuse{
	{call: "setoption", name: "bad descriptor", demikernel: errNone, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.lib.SetOption(badQD, api.NoDelay(true)) }},
	{call: "setoption", name: "after close", demikernel: errNone, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.closed()
			return qd, w.lib.SetOption(qd, api.NoDelay(true))
		}},
	{call: "setoption", name: "no option", demikernel: syscall.EINVAL, linux: syscall.EFAULT, page: "setsockopt(2)", ours: syscall.EINVAL,
		why: "no pointer is at fault", run: setting(api.TCP, nil)},
	{call: "setoption", name: "TTL 0", demikernel: syscall.EOPNOTSUPP, linux: syscall.EINVAL, ours: syscall.EINVAL,
		why: whyMissing, run: setting(api.UDP, api.TTL(0))},
	{call: "setoption", name: "TTL 256", demikernel: syscall.EOPNOTSUPP, linux: syscall.EINVAL, ours: syscall.EINVAL,
		why: whyMissing, run: setting(api.UDP, api.TTL(256))},
	{call: "setoption", name: "MulticastTTL 256", demikernel: syscall.EOPNOTSUPP, linux: syscall.EINVAL, ours: syscall.EINVAL,
		why: whyMissing, run: setting(api.UDP, api.MulticastTTL(256))},
	{call: "setoption", name: "MaxSegment 1", demikernel: syscall.EOPNOTSUPP, linux: syscall.EINVAL, ours: syscall.EINVAL,
		why: whyMissing, run: setting(api.TCP, api.MaxSegment(1))},
	{call: "setoption", name: "MaxSegment 65536", demikernel: syscall.EOPNOTSUPP, linux: syscall.EINVAL, ours: syscall.EINVAL,
		why: whyMissing, run: setting(api.TCP, api.MaxSegment(65536))},
	{call: "setoption", name: "unknown congestion control", demikernel: syscall.EOPNOTSUPP, linux: syscall.ENOENT, ours: syscall.ENOENT,
		why: whyMissing, run: setting(api.TCP, api.Congestion("nope"))},
	{call: "setoption", name: "negative keep-alive time", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: setting(api.TCP, api.KeepAlive{On: true, Idle: -time.Second})},
	{call: "setoption", name: "negative keep-alive interval", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: setting(api.TCP, api.KeepAlive{On: true, Interval: -time.Second})},
	{call: "setoption", name: "negative keep-alive count", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: setting(api.TCP, api.KeepAlive{On: true, Count: -1})},
	{call: "setoption", name: "128 keep-alive probes", demikernel: errNone, linux: syscall.EINVAL, ours: works,
		why: "the bound of 127 is Linux's own",
		run: setting(api.TCP, api.KeepAlive{On: true, Count: 128})},
	{call: "setoption", name: "negative buffer", demikernel: syscall.ENOPROTOOPT, linux: works, ours: works,
		why: "sizes are wishes, brought into range", run: setting(api.TCP, api.ReadBuffer(-1))},
	{call: "setoption", name: "NoDelay, UDP", demikernel: syscall.EOPNOTSUPP, linux: syscall.ENOPROTOOPT, ours: syscall.ENOPROTOOPT,
		why: whyKind, run: setting(api.UDP, api.NoDelay(true))},
	{call: "setoption", name: "MaxSegment, UDP", demikernel: syscall.EOPNOTSUPP, linux: syscall.ENOPROTOOPT, ours: syscall.ENOPROTOOPT,
		why: whyKind, run: setting(api.UDP, api.MaxSegment(1000))},
	{call: "setoption", name: "MulticastTTL, TCP", demikernel: syscall.EOPNOTSUPP, linux: syscall.EINVAL, ours: syscall.ENOPROTOOPT,
		why: whyKind, run: setting(api.TCP, api.MulticastTTL(1))},
	{call: "setoption", name: "Broadcast, TCP", demikernel: syscall.EOPNOTSUPP, linux: works, ours: syscall.ENOPROTOOPT,
		why: whyKind, run: setting(api.TCP, api.Broadcast(true))},
	{call: "setoption", name: "RACK", demikernel: errNone, linux: errNone, ours: syscall.ENOPROTOOPT,
		why: "it is for a whole host (stack.Config), and can be asked for only",
		run: setting(api.TCP, api.RACK(true))},

	{call: "option", name: "bad descriptor", demikernel: errNone, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.Option(badQD, api.NoDelay(true))
			return badQD, err
		}},
	{call: "option", name: "no option", demikernel: syscall.EINVAL, linux: syscall.EFAULT, page: "setsockopt(2)", ours: syscall.EINVAL,
		why: "no pointer is at fault",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			_, err := w.lib.Option(qd, nil)
			return qd, err
		}},
	{call: "option", name: "NoDelay, UDP", demikernel: syscall.EOPNOTSUPP, linux: syscall.EOPNOTSUPP, ours: syscall.ENOPROTOOPT,
		why: "as with setoption",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			_, err := w.lib.Option(qd, api.NoDelay(true))
			return qd, err
		}},
}

// peerAddr is a case of asking for the peer of a socket.
func peerAddr(of func(*world) api.QD) func(*world) (api.QD, error) {
	return func(w *world) (api.QD, error) {
		qd := of(w)
		_, err := w.lib.PeerAddr(qd)
		return qd, err
	}
}

// group is a case of joining or leaving a group.
func group(n api.Network, call func(*api.LibOS, api.QD, netip.Addr) error, addr string) func(*world) (api.QD, error) {
	return func(w *world) (api.QD, error) {
		qd := must1(w.lib.Socket(n))
		return qd, call(w.lib, qd, netip.MustParseAddr(addr))
	}
}

var misuseOfNames = []misuse{
	{call: "localaddr", name: "bad descriptor", demikernel: errNone, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.LocalAddr(badQD)
			return badQD, err
		}},
	{call: "localaddr", name: "unbound", demikernel: errNone, linux: works, ours: works,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			a, err := w.lib.LocalAddr(qd)
			if a != netip.AddrPortFrom(netip.IPv6Unspecified(), 0) {
				w.Errorf("it is %v", a)
			}
			return qd, err
		}},
	{call: "peeraddr", name: "bad descriptor", demikernel: errNone, linux: syscall.EBADF, ours: syscall.EBADF,
		run: peerAddr(func(*world) api.QD { return badQD })},
	{call: "peeraddr", name: "not connected", demikernel: syscall.ENOTCONN, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN,
		run: peerAddr((*world).tcp)},
	{call: "peeraddr", name: "UDP, not connected", demikernel: syscall.EOPNOTSUPP, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN,
		why: whyMissing, run: peerAddr((*world).udp)},
	{call: "peeraddr", name: "listening", demikernel: syscall.ENOTCONN, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN,
		run: peerAddr((*world).listening)},
	{call: "peeraddr", name: "while connecting", demikernel: syscall.ENOTCONN, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN,
		run: peerAddr((*world).connecting)},
	{call: "peeraddr", name: "after the peer's reset", demikernel: errNone, linux: syscall.ENOTCONN, ours: syscall.ENOTCONN,
		run: peerAddr((*world).reset)},

	{call: "join", name: "bad descriptor", demikernel: errNone, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.lib.Join(badQD, netip.MustParseAddr("239.1.2.3")) }},
	{call: "join", name: "address that is no group", demikernel: errNone, linux: syscall.EINVAL, ours: syscall.EINVAL,
		run: group(api.UDP4, (*api.LibOS).Join, "10.0.0.9")},
	{call: "join", name: "twice", demikernel: errNone, linux: syscall.EADDRINUSE, ours: syscall.EADDRINUSE,
		run: func(w *world) (api.QD, error) {
			qd, addr := w.udp(), netip.MustParseAddr("239.1.2.3")
			must(w.lib.Join(qd, addr))
			return qd, w.lib.Join(qd, addr)
		}},
	{call: "join", name: "IPv6 group, IPv4 socket", demikernel: errNone, linux: syscall.ENOPROTOOPT, ours: syscall.EAFNOSUPPORT,
		why: whyFamily, run: group(api.UDP4, (*api.LibOS).Join, "ff02::1234")},
	{call: "join", name: "zone that is no interface", demikernel: errNone, linux: syscall.ENODEV, ours: syscall.ENODEV,
		run: group(api.UDP, (*api.LibOS).Join, "ff02::1234%nosuch")},
	{call: "join", name: "host without an interface", demikernel: errNone, linux: syscall.ENODEV, ours: syscall.ENODEV,
		run: func(w *world) (api.QD, error) {
			lone := api.New(must1(stack.New(stack.Config{})), api.Config{})
			defer lone.Exit()
			qd := must1(lone.Socket(api.UDP4))
			return qd, lone.Join(qd, netip.MustParseAddr("239.1.2.3"))
		}},
	{call: "join", name: "TCP", demikernel: errNone, linux: syscall.EPROTO, ours: syscall.EPROTO,
		run: group(api.TCP4, (*api.LibOS).Join, "239.1.2.3")},
	{call: "leave", name: "group that was not joined", demikernel: errNone, linux: syscall.EADDRNOTAVAIL, ours: syscall.EADDRNOTAVAIL,
		run: group(api.UDP4, (*api.LibOS).Leave, "239.1.2.3")},
	{call: "leave", name: "zone that is no interface", demikernel: errNone, linux: syscall.EADDRNOTAVAIL, ours: syscall.EADDRNOTAVAIL,
		run: group(api.UDP, (*api.LibOS).Leave, "ff02::1234%nosuch")},
	{call: "leave", name: "address that is no group", demikernel: errNone, linux: syscall.EADDRNOTAVAIL, ours: syscall.EINVAL,
		why: "as with join", run: group(api.UDP4, (*api.LibOS).Leave, "10.0.0.9")},
}
