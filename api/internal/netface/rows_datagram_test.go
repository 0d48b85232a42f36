package netface

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// datagrams are the methods of both kinds of UDP sockets.
type datagrams interface {
	net.Conn
	net.PacketConn
	ReadFromUDP([]byte) (int, *net.UDPAddr, error)
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	WriteToUDP([]byte, *net.UDPAddr) (int, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
}

func (r *run) udp() (near, far datagrams) {
	r.Helper()
	a, b := r.sockets()
	return a.(datagrams), b.(datagrams)
}

func (r *run) udpTo() (near, far datagrams) {
	r.Helper()
	a, b := r.connected()
	return a.(datagrams), b.(datagrams)
}

// readFrom notes a read of a datagram of up to four bytes.
func (r *run) readFrom(c net.PacketConn, call string) {
	n, from, err := c.ReadFrom(make([]byte, 4))
	if err != nil {
		r.n(call, int64(n), err)
		if from != nil {
			r.Errorf("%s: failed, with an address: %#v", call, from)
		}
		return
	}
	r.n(call+", from "+r.address(from), int64(n), err)
}

// waits notes whether a read waits.
func (r *run) waits(c net.Conn, call string) {
	check(c.SetReadDeadline(time.Now().Add(soon)))
	n, err := c.Read(make([]byte, 4))
	check(c.SetReadDeadline(time.Time{}))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.note(call, "waits")
		return
	}
	r.n(call, int64(n), err)
}

var datagramRows = []row{
	{
		name: "datagram: nobody listens",
		body: func(r *run) {
			r.names[portOne(r.farAddr)] = "port 1"
			near := must(r.near.dial(ctx, dialing{}, "udp", portOne(r.farAddr)))
			defer near.Close()
			r.bound(near)
			r.call(near.LocalAddr(), "near")
			r.write(near, "Write")
			r.asking(near, func() { r.read(near, "Read") })
			r.untilFails(near, "Write in the end")
			unconnected := must(r.near.listenPacket("udp", at(r.nearAddr, 0))).(datagrams)
			defer unconnected.Close()
			must(unconnected.WriteToUDPAddrPort(nil, netip.AddrPortFrom(r.farAddr, 1)))
			r.waits(unconnected, "Read of a socket that is not connected")
		},
		want: `
			Write: 1, ok
			Read: 0, read udp near->port 1: read: ECONNREFUSED
			Write in the end: 0, write udp near->port 1: write: ECONNREFUSED
			Read of a socket that is not connected: waits`,
	},
	{
		name: "datagram: nobody listens, and something has come",
		body: func(r *run) {
			near, far := r.udpTo()
			must(far.WriteTo([]byte("x"), near.LocalAddr()))
			r.waitForDatagram(near, far)
			check(far.Close())
			must(near.Write([]byte("y")))
			for { // until the answer is there
				if n, err := near.Write(nil); err != nil {
					r.n("Write", int64(n), err)
					break
				}
				time.Sleep(time.Millisecond)
			}
			r.read(near, "Read of what came before")
		},
		want: `
			Write: 0, write udp near->far: write: ECONNREFUSED
			Read of what came before: 1, ok`,
	},
	{
		name: "datagram: to nobody",
		body: func(r *run) {
			near, far := r.udp()
			n, err := near.Write([]byte("x"))
			r.n("Write", int64(n), err)
			n, err = near.WriteTo([]byte("x"), nil)
			r.n("WriteTo nil", int64(n), err)
			n, err = near.WriteTo([]byte("x"), (*net.UDPAddr)(nil))
			r.n("WriteTo a nil UDPAddr", int64(n), err)
			n, err = near.WriteToUDP([]byte("x"), nil)
			r.n("WriteToUDP nil", int64(n), err)
			_, err = near.WriteToUDPAddrPort([]byte("x"), netip.AddrPort{})
			r.note("WriteToUDPAddrPort of none fails", yes(err != nil))
			n, err = near.WriteTo([]byte("x"), (*net.IPAddr)(nil))
			r.n("WriteTo a nil IPAddr", int64(n), err)
			to := addrPort(far.LocalAddr())
			n, err = near.WriteTo([]byte("x"), net.TCPAddrFromAddrPort(to))
			r.n("WriteTo a TCPAddr", int64(n), err)
			r.names[netip.AddrPortFrom(r.farAddr, 0).String()] = "port 0"
			n, err = near.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(r.farAddr, 0))
			r.n("WriteTo port 0", int64(n), err)
			r.note("RemoteAddr", r.address(near.RemoteAddr()))
		},
		want: `
			Write: 0, write udp near->nil: write: EDESTADDRREQ
			WriteTo nil: 0, write udp near->nil: EINVAL
			WriteTo a nil UDPAddr: 0, write udp near->nil: "missing address"
			WriteToUDP nil: 0, write udp near->nil: "missing address"
			WriteToUDPAddrPort of none fails: yes
			WriteTo a nil IPAddr: 0, write udp near-><nil>: EINVAL
			WriteTo a TCPAddr: 0, write udp near->far: EINVAL
			WriteTo port 0: 0, write udp near->port 0: sendto: EINVAL
			RemoteAddr: nil`,
		ours: `
			WriteTo a TCPAddr: 1, ok`,
		why: "any address that says its AddrPort will do",
	},
	{
		name: "datagram: WriteTo, connected",
		body: func(r *run) {
			near, far := r.udpTo()
			n, err := near.WriteTo([]byte("x"), far.LocalAddr())
			r.n("WriteTo the peer", int64(n), err)
			n, err = near.WriteToUDPAddrPort([]byte("x"), addrPort(far.LocalAddr()))
			r.n("WriteToUDPAddrPort", int64(n), err)
			n, err = near.WriteTo([]byte("x"), nil)
			r.n("WriteTo nil", int64(n), err)
			n, err = near.WriteToUDP([]byte("x"), nil)
			r.n("WriteToUDP nil", int64(n), err)
			r.state(near)
		},
		want: `
			WriteTo the peer: 0, write udp near->far: net.ErrWriteToConnected
			WriteToUDPAddrPort: 0, write udp near->far: net.ErrWriteToConnected
			WriteTo nil: 0, write udp near->nil: EINVAL
			WriteToUDP nil: 0, write udp near->nil: net.ErrWriteToConnected
			then Read: waits
			then Write: 1, ok
			then Close: ok`,
	},
	{
		name: "datagram: sizes",
		body: func(r *run) {
			near, far := r.udp()
			sent := 0
			for _, size := range []int{0, 4, 10, 4, 65507} {
				sent += must(far.WriteTo(make([]byte, size), near.LocalAddr()))
			}
			r.readFrom(near, "ReadFrom of an empty one")
			n, _, err := near.ReadFrom(nil)
			r.n("ReadFrom into nothing, which takes the next", int64(n), err)
			r.readFrom(near, "ReadFrom of one that is too long")
			n, err = near.Read(nil)
			r.n("Read into nothing, which takes nothing", int64(n), err)
			r.read(near, "Read")
			n, _, err = near.ReadFrom(make([]byte, 1<<16))
			r.n("ReadFrom of the longest", int64(n), err)
			n, err = near.WriteTo(make([]byte, 1<<16), far.LocalAddr())
			r.n("WriteTo of one that is too long", int64(n), err)
			n, err = near.WriteTo(nil, far.LocalAddr())
			r.n("WriteTo of an empty one", int64(n), err)
			r.readFrom(far, "ReadFrom of the far end")
		},
		want: `
			ReadFrom of an empty one, from far: 0, ok
			ReadFrom into nothing, which takes the next: 0, ok
			ReadFrom of one that is too long, from far: 4, ok
			Read into nothing, which takes nothing: 0, ok
			Read: 4, ok
			ReadFrom of the longest: 65507, ok
			WriteTo of one that is too long: 0, write udp near->far: sendto: EMSGSIZE
			WriteTo of an empty one: 0, ok
			ReadFrom of the far end, from near: 0, ok`,
	},
	{
		name: "datagram: another family",
		body: func(r *run) {
			near, _ := r.udp()
			other := netip.MustParseAddrPort("[::1]:9")
			if r.nearAddr.Is6() {
				other = netip.MustParseAddrPort("127.0.0.1:9")
			}
			_, err := near.WriteToUDPAddrPort(nil, other)
			r.note("WriteTo fails", yes(err != nil))
			_, err = near.WriteTo(nil, net.UDPAddrFromAddrPort(other))
			r.note("WriteTo a UDPAddr fails", yes(err != nil))
		},
		want: `
			WriteTo fails: yes
			WriteTo a UDPAddr fails: yes`,
	},
	{
		name: "datagram: to this host",
		body: func(r *run) {
			network, any := "udp4", netip.IPv4Unspecified()
			if r.nearAddr.Is6() {
				network, any = "udp6", netip.IPv6Unspecified()
			}
			to := must(r.near.listenPacket(network, ":0"))
			from := must(r.near.listenPacket(network, ":0")).(datagrams)
			defer to.Close()
			defer from.Close()
			r.bound(to, from)
			port := addrPort(to.LocalAddr()).Port()
			n, err := from.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(any, port))
			r.n("WriteTo the unspecified address", int64(n), err)
			n, _, err = to.ReadFrom(make([]byte, 4))
			r.n("ReadFrom", int64(n), err)
			n, err = from.WriteTo([]byte("y"), &net.UDPAddr{Port: int(port)})
			r.n("WriteTo no address", int64(n), err)
			n, _, err = to.ReadFrom(make([]byte, 4))
			r.n("ReadFrom of it", int64(n), err)
		},
		want: `
			WriteTo the unspecified address: 1, ok
			ReadFrom: 1, ok
			WriteTo no address: 1, ok
			ReadFrom of it: 1, ok`,
	},
	{
		name: "datagram: IPv4 on a socket of both families",
		body: func(r *run) {
			both := must(r.near.listenPacket("udp", ":0")).(datagrams)
			defer both.Close()
			r.bound(both)
			from := must(r.near.listenPacket("udp4", "127.0.0.1:0"))
			defer from.Close()
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addrPort(both.LocalAddr()).Port())
			must(from.WriteTo(nil, net.UDPAddrFromAddrPort(to)))
			_, addr, err := both.ReadFromUDPAddrPort(make([]byte, 4))
			r.err("ReadFromUDPAddrPort", err)
			r.note("the sender is in the clothes of IPv6", yes(addr.Addr().Is4In6()))
			r.note("the same address", yes(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()) == addrPort(from.LocalAddr())))
			must(from.WriteTo(nil, net.UDPAddrFromAddrPort(to)))
			_, a, err := both.ReadFrom(nil)
			r.err("ReadFrom", err)
			r.note("the same text", yes(a.String() == from.LocalAddr().String()))
			n, err := both.WriteToUDPAddrPort([]byte("x"), addr)
			r.n("WriteTo the sender", int64(n), err)
			n, err = both.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(netip.AddrFrom16(addr.Addr().As16()), addr.Port()))
			r.n("WriteTo it in the clothes of IPv6", int64(n), err)
		},
		want: `
			ReadFromUDPAddrPort: ok
			the sender is in the clothes of IPv6: yes
			the same address: yes
			ReadFrom: ok
			the same text: yes
			WriteTo the sender: 1, ok
			WriteTo it in the clothes of IPv6: 1, ok`,
		ours: `
			the sender is in the clothes of IPv6: no`,
		why: "addresses that can be compared are worth more; both forms can be sent to",
	},
	{
		name: "datagram: from somebody else",
		body: func(r *run) {
			near, far := r.udpTo()
			other := must(r.far.listenPacket("udp", at(r.farAddr, 0)))
			defer other.Close()
			must(other.WriteTo([]byte("other"), near.LocalAddr()))
			must(far.WriteTo([]byte("x"), near.LocalAddr()))
			r.readFrom(near, "ReadFrom")
			r.waits(near, "Read")
		},
		want: `
			ReadFrom, from far: 1, ok
			Read: waits`,
	},
	{
		name: "datagram: deadlines",
		body: func(r *run) {
			near, far := r.udp()
			must(far.WriteTo([]byte("x"), near.LocalAddr()))
			check(near.SetDeadline(time.Unix(1, 0)))
			r.readFrom(near, "ReadFrom, though there is something")
			n, err := near.WriteTo([]byte("x"), far.LocalAddr())
			r.n("WriteTo", int64(n), err)
			n, err = near.Read(nil)
			r.n("Read into nothing", int64(n), err)
			check(near.SetDeadline(time.Time{}))
			r.readFrom(near, "ReadFrom without")
			check(near.SetReadDeadline(time.Now().Add(5 * time.Millisecond)))
			r.readFrom(near, "ReadFrom meanwhile")
			check(near.SetReadDeadline(time.Now().Add(time.Hour)))
			during(func() { r.readFrom(near, "ReadFrom, one that is set meanwhile") }, func() { check(near.SetReadDeadline(time.Unix(1, 0))) })
			check(near.SetReadDeadline(time.Time{}))
			r.state(near)
		},
		want: `
			ReadFrom, though there is something: 0, read udp near->nil: os.ErrDeadlineExceeded (timeout)
			WriteTo: 0, write udp near->far: os.ErrDeadlineExceeded (timeout)
			Read into nothing: 0, ok
			ReadFrom without, from far: 1, ok
			ReadFrom meanwhile: 0, read udp near->nil: os.ErrDeadlineExceeded (timeout)
			ReadFrom, one that is set meanwhile: 0, read udp near->nil: os.ErrDeadlineExceeded (timeout)
			then Read: waits
			then Write: 0, write udp near->nil: write: EDESTADDRREQ
			then Close: ok`,
	},
	{
		name: "datagram: closed",
		body: func(r *run) {
			near, far := r.udp()
			during(func() { r.readFrom(near, "ReadFrom meanwhile") }, func() { check(near.Close()) })
			r.err("Close", near.Close())
			r.readFrom(near, "ReadFrom")
			r.read(near, "Read")
			n, err := near.Read(nil)
			r.n("Read into nothing", int64(n), err)
			_, _, err = near.ReadFromUDP(nil)
			r.err("ReadFromUDP", err)
			_, _, err = near.ReadFromUDPAddrPort(nil)
			r.err("ReadFromUDPAddrPort", err)
			n, err = near.WriteTo(nil, far.LocalAddr())
			r.n("WriteTo", int64(n), err)
			r.write(near, "Write")
			for call, f := range ordered(
				"SetDeadline", func() error { return near.SetDeadline(time.Time{}) },
				"SetReadDeadline", func() error { return near.SetReadDeadline(time.Now()) },
				"SetWriteDeadline", func() error { return near.SetWriteDeadline(time.Now().Add(time.Hour)) },
				"SetReadBuffer", func() error { return near.SetReadBuffer(1 << 20) },
				"SetWriteBuffer", func() error { return near.SetWriteBuffer(1 << 20) },
			) {
				r.err(call, f())
			}
			r.note("LocalAddr", r.address(near.LocalAddr()))
			r.err("ListenPacket on an address of before", unlessTaken(func() error {
				c := must(r.near.listenPacket("udp", at(r.nearAddr, 0)))
				check(c.Close())
				again, err := r.near.listenPacket("udp", c.LocalAddr().String())
				if err == nil {
					again.Close()
				}
				return err
			}))
		},
		want: `
			ReadFrom meanwhile: 0, read udp near->nil: net.ErrClosed
			Close: close udp near->nil: net.ErrClosed
			ReadFrom: 0, read udp near->nil: net.ErrClosed
			Read: 0, read udp near->nil: net.ErrClosed
			Read into nothing: 0, read udp near->nil: net.ErrClosed
			ReadFromUDP: read udp near->nil: net.ErrClosed
			ReadFromUDPAddrPort: read udp near->nil: net.ErrClosed
			WriteTo: 0, write udp near->far: net.ErrClosed
			Write: 0, write udp near->nil: net.ErrClosed
			SetDeadline: set udp near: net.ErrClosed
			SetReadDeadline: set udp near: net.ErrClosed
			SetWriteDeadline: set udp near: net.ErrClosed
			SetReadBuffer: set udp near: net.ErrClosed
			SetWriteBuffer: set udp near: net.ErrClosed
			LocalAddr: near
			ListenPacket on an address of before: ok`,
	},
	{
		name: "datagram: no route",
		lab:  true,
		body: func(r *run) {
			near, _ := r.udp()
			elsewhere := net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.elsewhere, 9))
			n, err := near.WriteTo([]byte("x"), r.call(elsewhere, "elsewhere"))
			r.n("WriteTo", int64(n), err)
			r.state(near)
		},
		want: `
			WriteTo: 0, write udp near->elsewhere: sendto: ENETUNREACH
			then Read: waits
			then Write: 0, write udp near->nil: write: EDESTADDRREQ
			then Close: ok`,
	},
	{
		name: "datagram: nobody on the link has the address",
		lab:  true,
		body: func(r *run) {
			nobody := net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.nobody, 9))
			near := must(r.near.dial(ctx, dialing{}, "udp", r.call(nobody, "nobody").String()))
			defer near.Close()
			r.call(near.LocalAddr(), "near")
			r.write(near, "Write")
			check(near.SetReadDeadline(time.Now().Add(r.search)))
			r.read(near, "Read")
			r.state(near)
		},
		want: `
			Write: 1, ok
			Read: 0, read udp near->nobody: os.ErrDeadlineExceeded (timeout)
			then Read: waits
			then Write: 1, ok
			then Close: ok`,
	},
}

// asking does something that waits for an answer to a datagram. Answers may be
// lost, and to many questions there is none.
func (r *run) asking(c net.Conn, what func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		what()
	}()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case <-done:
			return
		case <-time.After(soon):
			c.Write(nil) // it may get the answer itself
		}
	}
	<-done
}

// waitForDatagram waits until what far has sent to near has arrived: datagrams
// stay in order here, so near's own are answered after it.
func (r *run) waitForDatagram(near, far datagrams) {
	must(near.Write([]byte("?")))
	must(far.Read(make([]byte, 1)))
}
