package api_test

import (
	"math"

	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"golang.org/x/sys/unix"
)

var (
	linkOfNone  = &unix.SockaddrInet6{Port: 9, Addr: [16]byte{0: 0xfe, 1: 0x80, 15: 1}, ZoneId: noInterface}
	any4        = &unix.SockaddrInet4{}
	loBroadcast = &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 255, 255, 255}}
)

// kernelMisuse has the measurements, by the ids of the table.
var kernelMisuse = map[string]func(*kernelCase) error{
	"socket/unknown network": func(*kernelCase) error {
		_, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 99)
		return err
	},

	"bind/bad descriptor":        func(*kernelCase) error { return unix.Bind(badFD, lo(0)) },
	"bind/after close":           func(*kernelCase) error { return unix.Bind(badFD, lo(0)) },
	"bind/twice":                 func(k *kernelCase) error { return unix.Bind(k.bound(unix.SOCK_STREAM), lo(0)) },
	"bind/UDP twice":             func(k *kernelCase) error { return unix.Bind(k.bound(unix.SOCK_DGRAM), lo(0)) },
	"bind/while an accept waits": func(k *kernelCase) error { return unix.Bind(k.accepting(), lo(0)) },
	"bind/while connecting":      func(k *kernelCase) error { return unix.Bind(k.connecting(), lo(0)) },
	"bind/connected":             func(k *kernelCase) error { return unix.Bind(k.near(), lo(0)) },
	"bind/accepted":              func(k *kernelCase) error { return unix.Bind(k.accepted(), lo(0)) },
	"bind/listening":             func(k *kernelCase) error { return unix.Bind(k.listening(), lo(0)) },
	"bind/port 0":                func(k *kernelCase) error { return unix.Bind(k.tcp(), lo(0)) },
	"bind/wildcard":              func(k *kernelCase) error { return unix.Bind(k.tcp(), any4) },
	"bind/address in use":        func(k *kernelCase) error { return k.rebind(k.tcp(), k.tcp(), lo(0), lo(0)) },
	"bind/UDP address in use": func(k *kernelCase) error {
		return k.rebind(k.udp(), k.udp(), lo(0), lo(0))
	},
	"bind/wildcard over an address in use": func(k *kernelCase) error {
		return k.rebind(k.tcp(), k.tcp(), lo(0), &unix.SockaddrInet4{})
	},
	"bind/address under a wildcard in use": func(k *kernelCase) error {
		return k.rebind(k.tcp(), k.tcp(), any4, lo(0))
	},
	"bind/IPv4 under the wildcard of both families": func(k *kernelCase) error {
		return k.rebind(k.six(unix.SOCK_STREAM, false), k.tcp(), &unix.SockaddrInet6{}, lo(0))
	},
	"bind/IPv4 beside IPv6 only": func(k *kernelCase) error {
		return k.rebind(k.six(unix.SOCK_STREAM, true), k.tcp(), &unix.SockaddrInet6{}, &unix.SockaddrInet4{})
	},
	"bind/address of another host": func(k *kernelCase) error {
		return unix.Bind(k.tcp(), &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}})
	},
	"bind/zone that is no interface": func(k *kernelCase) error { return unix.Bind(k.six(unix.SOCK_STREAM, true), linkOfNone) },
	"bind/IPv6 address, IPv4 socket": func(k *kernelCase) error { return unix.Bind(k.tcp(), mapped(0)) },
	"bind/IPv4 address, IPv6 socket": func(k *kernelCase) error { return unix.Bind(k.six(unix.SOCK_STREAM, true), mapped(0)) },

	"listen/bad descriptor":        func(*kernelCase) error { return unix.Listen(badFD, 8) },
	"listen/after close":           func(*kernelCase) error { return unix.Listen(badFD, 8) },
	"listen/unbound":               func(k *kernelCase) error { return unix.Listen(k.tcp(), 8) },
	"listen/twice":                 func(k *kernelCase) error { return unix.Listen(k.listening(), 8) },
	"listen/while an accept waits": func(k *kernelCase) error { return unix.Listen(k.accepting(), 8) },
	"listen/while connecting":      func(k *kernelCase) error { return unix.Listen(k.connecting(), 8) },
	"listen/connected":             func(k *kernelCase) error { return unix.Listen(k.near(), 8) },
	"listen/UDP":                   func(k *kernelCase) error { return unix.Listen(k.bound(unix.SOCK_DGRAM), 8) },
	"listen/address of another listener, both with ReuseAddr": func(k *kernelCase) error {
		a, b := k.tcp(), k.tcp()
		for _, fd := range []int{a, b} {
			k.must(k.setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		}
		k.must(k.rebind(a, b, lo(0), lo(0)))
		k.must(unix.Listen(a, 8))
		return unix.Listen(b, 8)
	},
	"listen/backlog 0":        func(k *kernelCase) error { return k.listen(0) },
	"listen/backlog negative": func(k *kernelCase) error { return k.listen(-1) },
	"listen/backlog huge":     func(k *kernelCase) error { return k.listen(math.MaxInt32) },

	"accept/bad descriptor":       func(k *kernelCase) error { return k.accept(badFD) },
	"accept/after close":          func(k *kernelCase) error { return k.accept(badFD) },
	"accept/unbound":              func(k *kernelCase) error { return k.accept(k.tcp()) },
	"accept/bound, not listening": func(k *kernelCase) error { return k.accept(k.bound(unix.SOCK_STREAM)) },
	"accept/while connecting":     func(k *kernelCase) error { return k.accept(k.connecting()) },
	"accept/connected":            func(k *kernelCase) error { return k.accept(k.near()) },
	"accept/UDP":                  func(k *kernelCase) error { return k.accept(k.bound(unix.SOCK_DGRAM)) },
	"accept/nobody comes":         func(k *kernelCase) error { return k.accept(k.listening()) },

	"connect/bad descriptor":        func(*kernelCase) error { return unix.Connect(badFD, lo(1)) },
	"connect/after close":           func(*kernelCase) error { return unix.Connect(badFD, lo(1)) },
	"connect/listening":             func(k *kernelCase) error { return unix.Connect(k.listening(), lo(1)) },
	"connect/while an accept waits": func(k *kernelCase) error { return unix.Connect(k.accepting(), lo(1)) },
	"connect/while connecting":      func(k *kernelCase) error { return unix.Connect(k.connecting(), lo(1)) },
	"connect/again after one that was cancelled, while the handshake goes on": func(k *kernelCase) error {
		return unix.Connect(k.connecting(), lo(1))
	},
	"connect/again after one that was cancelled, and has succeeded since": func(k *kernelCase) error {
		ln, fd := k.listening(), k.tcp()
		to := lo(k.port(ln))
		if err := unix.Connect(fd, to); err != unix.EINPROGRESS {
			k.Fatal(err)
		}
		k.ready(fd, unix.POLLOUT)
		err := unix.Connect(fd, to)
		if again := unix.Connect(fd, to); again != unix.EISCONN {
			k.Errorf("once more: %v", again)
		}
		return err
	},
	"connect/connected": func(k *kernelCase) error { return unix.Connect(k.near(), lo(1)) },
	"connect/accepted":  func(k *kernelCase) error { return unix.Connect(k.accepted(), lo(1)) },
	"connect/refused":   func(k *kernelCase) error { return k.connect(k.tcp(), k.nothing(unix.SOCK_STREAM)) },
	"connect/again after it was refused": func(k *kernelCase) error {
		return k.connect(k.refused(), k.nothing(unix.SOCK_STREAM))
	},
	"connect/IPv6 address, IPv4 socket": func(k *kernelCase) error { return k.connect(k.tcp(), mapped(1)) },
	"connect/IPv4 address, IPv6 socket": func(k *kernelCase) error { return k.connect(k.six(unix.SOCK_STREAM, true), mapped(1)) },
	"connect/zone that is no interface": func(k *kernelCase) error { return unix.Connect(k.six(unix.SOCK_STREAM, true), linkOfNone) },
	"connect/port 0":                    func(k *kernelCase) error { return k.connect(k.tcp(), lo(0)) },
	"connect/TCP, to a group": func(k *kernelCase) error {
		return unix.Connect(k.tcp(), &unix.SockaddrInet4{Port: 80, Addr: [4]byte{239, 1, 2, 3}})
	},
	"connect/UDP": func(k *kernelCase) error { return k.connect(k.udp(), lo(1)) },
	"connect/TCP, to an IPv6 group": func(k *kernelCase) error {
		return unix.Connect(k.six(unix.SOCK_STREAM, true), &unix.SockaddrInet6{Port: 80, Addr: [16]byte{0: 0xff, 1: 2, 15: 1}})
	},
	"connect/TCP, to the broadcast address": func(k *kernelCase) error { return unix.Connect(k.tcp(), loBroadcast) },
	"connect/UDP, to the broadcast address": func(k *kernelCase) error { return unix.Connect(k.udp(), loBroadcast) },
	"connect/wildcard": func(k *kernelCase) error {
		return k.connect(k.tcp(), &unix.SockaddrInet4{Port: k.port(k.listening())})
	},
	"connect/IPv6 wildcard": func(k *kernelCase) error {
		ln := k.six(unix.SOCK_STREAM, true)
		k.must(unix.Bind(ln, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}))
		k.must(unix.Listen(ln, 8))
		return k.connect(k.six(unix.SOCK_STREAM, true), &unix.SockaddrInet6{Port: k.port(ln)})
	},
	"connect/UDP again": func(k *kernelCase) error {
		fd := k.udp()
		k.must(k.connect(fd, lo(1)))
		return k.connect(fd, lo(2))
	},

	"push/bad descriptor": func(k *kernelCase) error { return k.send(badFD, 5, nil) },
	"push/after close":    func(k *kernelCase) error { return k.send(badFD, 5, nil) },
	"push/nothing, TCP":   func(k *kernelCase) error { return k.send(k.near(), 0, nil) },
	"push/nothing, UDP":   func(k *kernelCase) error { return k.send(k.udp(), 0, k.nothing(unix.SOCK_DGRAM)) },
	"push/the same memory twice at once": func(k *kernelCase) error {
		fd := k.near()
		k.must(k.send(fd, 5, nil))
		return k.send(fd, 5, nil)
	},
	"push/not connected":        func(k *kernelCase) error { return k.send(k.tcp(), 5, nil) },
	"push/bound, not connected": func(k *kernelCase) error { return k.send(k.bound(unix.SOCK_STREAM), 5, nil) },
	"push/listening":            func(k *kernelCase) error { return k.send(k.listening(), 5, nil) },
	"push/while connecting":     func(k *kernelCase) error { return k.send(k.connecting(), 5, nil) },
	"push/after the connect was refused": func(k *kernelCase) error {
		return k.send(k.refused(), 5, nil)
	},
	"push/after Shutdown(ShutWrite)": func(k *kernelCase) error {
		fd := k.near()
		k.must(unix.Shutdown(fd, unix.SHUT_WR))
		return k.send(fd, 5, nil)
	},
	"push/after the peer's reset": func(k *kernelCase) error { return k.send(k.told(true), 5, nil) },
	"push/after the peer's close": func(k *kernelCase) error { return k.send(k.told(false), 5, nil) },
	"push/UDP, to nobody":         func(k *kernelCase) error { return k.send(k.bound(unix.SOCK_DGRAM), 5, nil) },

	"pushto/no address": func(k *kernelCase) error { return k.send(k.udp(), 5, nil) },
	"pushto/TCP":        func(k *kernelCase) error { return k.send(k.near(), 5, lo(1)) },
	"pushto/unbound":    func(k *kernelCase) error { return k.send(k.udp(), 5, k.nothing(unix.SOCK_DGRAM)) },
	"pushto/connected, to another": func(k *kernelCase) error {
		fd := k.udp()
		k.must(k.connect(fd, lo(1)))
		return k.send(fd, 5, lo(2))
	},
	"pushto/longer than a datagram can be": func(k *kernelCase) error { return k.send(k.udp(), 65508, lo(1)) },
	"pushto/port 0":                        func(k *kernelCase) error { return k.send(k.udp(), 5, lo(0)) },
	"pushto/IPv6 address, IPv4 socket":     func(k *kernelCase) error { return k.send(k.udp(), 5, mapped(1)) },
	"pushto/IPv4 address, IPv6 socket":     func(k *kernelCase) error { return k.send(k.six(unix.SOCK_DGRAM, true), 5, mapped(1)) },
	"pushto/zone that is no interface":     func(k *kernelCase) error { return k.send(k.six(unix.SOCK_DGRAM, true), 5, linkOfNone) },
	"pushto/broadcast": func(k *kernelCase) error {
		return k.send(k.udp(), 5, loBroadcast)
	},
	"pushto/wildcard": func(k *kernelCase) error {
		return k.send(k.udp(), 5, &unix.SockaddrInet4{Port: k.port(k.bound(unix.SOCK_DGRAM))})
	},

	"pop/bad descriptor": func(k *kernelCase) error { return k.read(badFD) },
	"pop/after close":    func(k *kernelCase) error { return k.read(badFD) },
	"pop/size 0": func(k *kernelCase) error {
		near, far := k.pair()
		k.must(k.send(far, 5, nil))
		k.ready(near, unix.POLLIN)
		_, _, err := unix.Recvfrom(near, nil, 0)
		return err
	},
	"pop/size huge": func(k *kernelCase) error {
		near, far := k.pair()
		k.must(k.send(far, 5, nil))
		k.ready(near, unix.POLLIN)
		_, _, err := unix.Recvfrom(near, make([]byte, 1<<26), 0)
		return err
	},
	"pop/not connected":                 func(k *kernelCase) error { return k.read(k.tcp()) },
	"pop/listening":                     func(k *kernelCase) error { return k.read(k.listening()) },
	"pop/while connecting":              func(k *kernelCase) error { return k.read(k.connecting()) },
	"pop/unbound UDP":                   func(k *kernelCase) error { return k.read(k.udp()) },
	"pop/after the end of the stream":   func(k *kernelCase) error { return k.read(k.told(false)) },
	"pop/the peer resets":               func(k *kernelCase) error { return k.read(k.hangup(true)) },
	"pop/again after the peer's reset":  func(k *kernelCase) error { return k.read(k.told(true)) },
	"pop/after the connect was refused": func(k *kernelCase) error { return k.read(k.refused()) },
	"pop/after Shutdown(ShutRead)": func(k *kernelCase) error {
		fd := k.near()
		k.must(unix.Shutdown(fd, unix.SHUT_RD))
		return k.read(fd)
	},
	"pop/UDP, the peer's port is closed": func(k *kernelCase) error {
		closed := k.udp()
		k.must(unix.Bind(closed, lo(0)))
		fd := k.udp()
		k.must(k.connect(fd, lo(k.port(closed))))
		k.must(unix.Connect(closed, lo(1))) // it takes nothing from fd any more
		k.must(k.send(fd, 5, nil))
		k.ready(fd, unix.POLLIN)
		return k.read(fd)
	},

	"shutdown/bad descriptor":     func(*kernelCase) error { return unix.Shutdown(badFD, unix.SHUT_WR) },
	"shutdown/unknown direction":  func(k *kernelCase) error { return unix.Shutdown(k.near(), 4) },
	"shutdown/not connected":      func(k *kernelCase) error { return unix.Shutdown(k.tcp(), unix.SHUT_WR) },
	"shutdown/UDP, not connected": func(k *kernelCase) error { return unix.Shutdown(k.udp(), unix.SHUT_WR) },
	"shutdown/twice": func(k *kernelCase) error {
		fd := k.near()
		k.must(unix.Shutdown(fd, unix.SHUT_WR))
		return unix.Shutdown(fd, unix.SHUT_WR)
	},
	"shutdown/accept of a listener that was shut down": func(k *kernelCase) error {
		fd := k.listening()
		k.must(unix.Shutdown(fd, unix.SHUT_RD))
		return k.accept(fd)
	},

	"close/bad descriptor": func(*kernelCase) error { return unix.Close(badFD) },
	"close/twice":          func(*kernelCase) error { return unix.Close(badFD) },
	"close/with ops pending": func(k *kernelCase) error {
		fd, err := unix.Dup(k.near()) // nothing can be pending on sockets that do not block
		k.must(err)
		return unix.Close(fd)
	},

	"setoption/bad descriptor": func(k *kernelCase) error { return k.setInt(badFD, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) },
	"setoption/after close":    func(k *kernelCase) error { return k.setInt(badFD, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) },
	"setoption/TTL 0":          func(k *kernelCase) error { return k.setInt(k.udp(), unix.IPPROTO_IP, unix.IP_TTL, 0) },
	"setoption/TTL 256":        func(k *kernelCase) error { return k.setInt(k.udp(), unix.IPPROTO_IP, unix.IP_TTL, 256) },
	"setoption/MulticastTTL 256": func(k *kernelCase) error {
		return k.setInt(k.udp(), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 256)
	},
	"setoption/MaxSegment 1":     func(k *kernelCase) error { return k.setInt(k.tcp(), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1) },
	"setoption/MaxSegment 65536": func(k *kernelCase) error { return k.setInt(k.tcp(), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 65536) },
	"setoption/unknown congestion control": func(k *kernelCase) error {
		return unix.SetsockoptString(k.tcp(), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "nope")
	},
	"setoption/negative keep-alive time":     func(k *kernelCase) error { return k.setInt(k.tcp(), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, -1) },
	"setoption/negative keep-alive interval": func(k *kernelCase) error { return k.setInt(k.tcp(), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, -1) },
	"setoption/negative keep-alive count":    func(k *kernelCase) error { return k.setInt(k.tcp(), unix.IPPROTO_TCP, unix.TCP_KEEPCNT, -1) },
	"setoption/128 keep-alive probes":        func(k *kernelCase) error { return k.setInt(k.tcp(), unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 128) },
	"setoption/negative buffer":              func(k *kernelCase) error { return k.setInt(k.tcp(), unix.SOL_SOCKET, unix.SO_RCVBUF, -1) },
	"setoption/NoDelay, UDP":                 func(k *kernelCase) error { return k.setInt(k.udp(), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) },
	"setoption/MaxSegment, UDP":              func(k *kernelCase) error { return k.setInt(k.udp(), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1000) },
	"setoption/Broadcast, TCP":               func(k *kernelCase) error { return k.setInt(k.tcp(), unix.SOL_SOCKET, unix.SO_BROADCAST, 1) },
	"setoption/MulticastTTL, TCP":            func(k *kernelCase) error { return k.setInt(k.tcp(), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1) },
	"option/bad descriptor": func(*kernelCase) error {
		_, err := unix.GetsockoptInt(badFD, unix.IPPROTO_TCP, unix.TCP_NODELAY)
		return err
	},
	"option/NoDelay, UDP": func(k *kernelCase) error {
		_, err := unix.GetsockoptInt(k.udp(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
		return err
	},

	"localaddr/bad descriptor": func(*kernelCase) error {
		_, err := unix.Getsockname(badFD)
		return err
	},
	"localaddr/unbound": func(k *kernelCase) error {
		_, err := unix.Getsockname(k.tcp())
		return err
	},
	"peeraddr/bad descriptor":         func(k *kernelCase) error { return k.peer(badFD) },
	"peeraddr/not connected":          func(k *kernelCase) error { return k.peer(k.tcp()) },
	"peeraddr/UDP, not connected":     func(k *kernelCase) error { return k.peer(k.udp()) },
	"peeraddr/listening":              func(k *kernelCase) error { return k.peer(k.listening()) },
	"peeraddr/while connecting":       func(k *kernelCase) error { return k.peer(k.connecting()) },
	"peeraddr/after the peer's reset": func(k *kernelCase) error { return k.peer(k.told(true)) },

	"join/bad descriptor":           func(k *kernelCase) error { return k.join(badFD, 239, 1, 2, 3) },
	"join/address that is no group": func(k *kernelCase) error { return k.join(k.udp(), 10, 0, 0, 9) },
	"join/TCP":                      func(k *kernelCase) error { return k.join(k.tcp(), 239, 1, 2, 3) },
	"join/twice": func(k *kernelCase) error {
		fd := k.udp()
		k.must(k.join(fd, 239, 1, 2, 3))
		return k.join(fd, 239, 1, 2, 3)
	},
	"join/IPv6 group, IPv4 socket": func(k *kernelCase) error {
		return unix.SetsockoptIPv6Mreq(k.udp(), unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, groupAt(1))
	},
	"join/zone that is no interface": func(k *kernelCase) error {
		return unix.SetsockoptIPv6Mreq(k.six(unix.SOCK_DGRAM, true), unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, groupAt(noInterface))
	},
	"join/host without an interface": func(k *kernelCase) error {
		testenv.Need(k, "tap", netlab.Available())
		return netlab.New(k).Namespace("lone").Do(func() error {
			return unix.SetsockoptIPMreq(k.udp(), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreq{Multiaddr: [4]byte{239, 1, 2, 3}})
		})
	},
	"leave/zone that is no interface": func(k *kernelCase) error {
		return unix.SetsockoptIPv6Mreq(k.six(unix.SOCK_DGRAM, true), unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, groupAt(noInterface))
	},
	"leave/group that was not joined": func(k *kernelCase) error { return k.leave(k.udp(), 239, 1, 2, 3) },
	"leave/address that is no group":  func(k *kernelCase) error { return k.leave(k.udp(), 10, 0, 0, 9) },
}

// noInterface is an index that no interface has.
const noInterface = 1 << 30

// groupAt is an IPv6 group on an interface.
func groupAt(index uint32) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: [16]byte{0: 0xff, 1: 2, 15: 9}, Interface: index}
}

// listen listens, and lets one come.
func (k *kernelCase) listen(backlog int) error {
	fd := k.bound(unix.SOCK_STREAM)
	if err := unix.Listen(fd, backlog); err != nil {
		return err
	}
	k.must(k.connect(k.tcp(), lo(k.port(fd))))
	k.ready(fd, unix.POLLIN)
	return k.accept(fd)
}

func (k *kernelCase) peer(fd int) error {
	_, err := unix.Getpeername(fd)
	return err
}

func (k *kernelCase) join(fd int, a, b, c, d byte) error {
	return unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, group4(a, b, c, d))
}

func (k *kernelCase) leave(fd int, a, b, c, d byte) error {
	return unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, unix.IP_DROP_MEMBERSHIP, group4(a, b, c, d))
}
