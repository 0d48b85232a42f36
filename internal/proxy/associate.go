package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
)

// An association carries the datagrams of one SOCKS client, as long as the
// connection it was asked for on is there. Towards the world they have one port of
// the host, to which anybody may answer.
//
// Nobody but the client's address is served, and of that only the port that was
// named in the request, or that sent first. Datagrams in fragments are dropped, as
// RFC 1928 lets those do who cannot put them together.
type association struct {
	p      *Proxy
	count  *counters
	inner  packetConn // towards the client
	outer  packetConn // at the host
	client netip.Addr

	mu        sync.Mutex
	port      uint16 // of the client; 0: not known yet
	names     map[string]netip.AddrPort
	resolving sync.WaitGroup
	busy      int // names that are being resolved
}

// Bounds of an association.
const (
	knownNames = 256
	busyNames  = 16
)

// associate serves UDP ASSOCIATE.
func (s *stream) associate(from destination) error {
	a := &association{p: s.p, count: s.count, port: from.port, names: map[string]netip.AddrPort{}}
	if err := a.open(s.client); err != nil {
		return s.refuse(replyFailure, err)
	}
	defer s.p.forget(a)
	ctx, cancel := context.WithCancel(s.p.dialing)
	var both sync.WaitGroup
	defer a.resolving.Wait() // last: nobody begins to resolve any more
	defer both.Wait()
	defer cancel()
	defer a.Close()
	for _, carry := range []func(){func() { a.outward(ctx) }, a.inward} {
		both.Go(func() {
			carry()
			s.client.Close() // it is of no use without both
		})
	}
	local := a.inner.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := s.client.Write(appendReply(nil, replyGranted, local)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, s.client)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (a *association) open(client net.Conn) error {
	peer, ok := client.RemoteAddr().(*net.TCPAddr)
	local, ok2 := client.LocalAddr().(*net.TCPAddr)
	if !ok || !ok2 {
		return errors.New("socks: the client has no IP address")
	}
	a.client = peer.AddrPort().Addr().Unmap()
	at := netip.AddrPortFrom(local.AddrPort().Addr().Unmap(), 0)
	inner, err := a.p.cfg.Kernel.ListenPacket("udp", at.String())
	if err != nil {
		return err
	}
	outer, err := a.p.cfg.Host.ListenPacket("udp", ":0")
	if err != nil {
		inner.Close()
		return err
	}
	a.inner, a.outer = inner.(packetConn), outer.(packetConn)
	if !a.p.keep(a) {
		a.Close()
		return net.ErrClosed
	}
	return nil
}

// Close is what Proxy.stop calls: the rest follows from it.
func (a *association) Close() error { return errors.Join(a.inner.Close(), a.outer.Close()) }

// outward passes on what the client sends.
func (a *association) outward(ctx context.Context) {
	b := make([]byte, largestDatagram)
	for {
		n, from, err := a.inner.ReadFromUDPAddrPort(b)
		if isEcho(err) {
			continue
		}
		if err != nil {
			return
		}
		if !a.send(ctx, from, b[:n]) {
			a.count.dropped.Add(1)
		}
	}
}

func (a *association) send(ctx context.Context, from netip.AddrPort, b []byte) bool {
	to, payload, err := parseDatagram(b)
	if err != nil || !a.isClient(from) {
		return false
	}
	if to.ip.IsValid() {
		return a.write(payload, netip.AddrPortFrom(to.ip, to.port))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if addr, ok := a.names[to.String()]; ok {
		return a.write(payload, addr)
	}
	if a.busy >= busyNames {
		return false
	}
	a.busy++
	payload = bytes.Clone(payload)
	a.resolving.Go(func() {
		if addr, ok := a.resolve(ctx, to.String()); !ok || !a.write(payload, addr) {
			a.count.dropped.Add(1)
		}
	})
	return true
}

// isClient reports whether an address is the client's.
func (a *association) isClient(from netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if from.Addr().Unmap() != a.client {
		return false
	}
	if a.port == 0 {
		a.port = from.Port()
	}
	return a.port == from.Port()
}

func (a *association) write(payload []byte, to netip.AddrPort) bool {
	n, err := a.outer.WriteToUDPAddrPort(payload, to)
	a.count.toTarget.Add(uint64(n))
	return err == nil
}

// resolve asks the host's network for the address of a name, by connecting a
// datagram socket, which sends nothing.
func (a *association) resolve(ctx context.Context, name string) (addr netip.AddrPort, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, a.p.cfg.Patience)
	defer cancel()
	conn, err := a.p.cfg.Host.DialContext(ctx, "udp", name)
	if err == nil {
		var u *net.UDPAddr
		if u, ok = conn.RemoteAddr().(*net.UDPAddr); ok {
			addr = u.AddrPort()
		}
		conn.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy--
	if ok {
		if len(a.names) >= knownNames {
			clear(a.names)
		}
		a.names[name] = addr
	}
	return addr, ok
}

// longestHeader is that of a datagram from an IPv6 address.
const longestHeader = 3 + 1 + 16 + 2

// inward passes on what comes from the world.
func (a *association) inward() {
	b := make([]byte, longestHeader+largestDatagram)
	for {
		n, from, err := a.outer.ReadFromUDPAddrPort(b[longestHeader:])
		if isEcho(err) {
			continue
		}
		if err != nil {
			return
		}
		head := appendAddress([]byte{0, 0, 0}, from)
		m := b[longestHeader-len(head) : longestHeader+n]
		copy(m, head)
		a.mu.Lock()
		client := netip.AddrPortFrom(a.client, a.port)
		a.mu.Unlock()
		if n, err = a.inner.WriteToUDPAddrPort(m, client); err != nil {
			a.count.dropped.Add(1)
			continue
		}
		a.count.toClient.Add(uint64(n - len(head)))
	}
}

// parseDatagram takes a client's datagram apart.
func parseDatagram(b []byte) (to destination, payload []byte, err error) {
	if len(b) < 4 || b[2] != 0 { // a fragment
		return to, nil, replyFailure
	}
	r := bytes.NewReader(b[4:])
	if to, err = readDestination(r, b[3]); err != nil {
		return to, nil, err
	}
	return to, b[len(b)-r.Len():], nil
}
