package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// packetConn is a packet connection of either network.
type packetConn interface {
	net.PacketConn
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
}

// largestDatagram is more than UDP can carry.
const largestDatagram = 64 << 10

// queued is how many datagrams wait in a flow: while its target is dialed, above
// all.
const queued = 16

// datagrams is a UDP route: each client has a flow of its own to the target, which
// answers to that flow.
type datagrams struct {
	p     *Proxy
	pc    packetConn
	to    Network
	count *counters

	mu    sync.Mutex
	flows map[netip.AddrPort]*flow
}

// A flow is the datagrams between one client and the target.
type flow struct {
	d      *datagrams
	client netip.AddrPort
	queue  chan []byte
}

func (d *datagrams) run() error {
	d.flows = map[netip.AddrPort]*flow{}
	b := make([]byte, largestDatagram)
	for {
		n, from, err := d.pc.ReadFromUDPAddrPort(b)
		switch {
		case isEcho(err):
		case err != nil:
			return err
		case !d.send(from, b[:n]):
			d.count.dropped.Add(1)
		}
	}
}

// isEcho reports whether an error of a read or a write is about a datagram that was
// sent before: an ICMP error.
func isEcho(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// send hands a datagram of a client to its flow.
func (d *datagrams) send(client netip.AddrPort, b []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.flows[client]
	if f == nil {
		if !d.p.tryTake() {
			return false
		}
		f = &flow{d: d, client: client, queue: make(chan []byte, queued)}
		d.flows[client] = f
		d.count.begin()
		d.p.running.Go(f.run)
	}
	select {
	case f.queue <- append([]byte(nil), b...):
		return true
	default:
		return false
	}
}

// run is a flow from its first datagram to its silence.
func (f *flow) run() {
	d := f.d
	err := f.pass()
	d.mu.Lock()
	delete(d.flows, f.client)
	d.count.dropped.Add(uint64(len(f.queue)))
	d.mu.Unlock()
	d.count.end(err)
	d.p.give()
	if err != nil {
		d.p.cfg.Logger.Debug("flow failed", "kind", d.count.kind, "client", f.client, "err", err)
	}
}

func (f *flow) pass() error {
	p := f.d.p
	ctx, cancel := context.WithTimeout(p.dialing, p.cfg.Patience)
	conn, err := f.d.to.DialContext(ctx, "udp", f.d.count.target)
	cancel()
	if err != nil {
		return err
	}
	if !p.keep(conn) {
		conn.Close()
		return nil
	}
	defer p.forget(conn)
	answers := make(chan error, 1)
	go func() { answers <- f.answer(conn) }()
	for {
		select {
		case b := <-f.queue:
			conn.SetReadDeadline(p.deadline(p.cfg.Idle)) // fails only once conn is closed
			n, err := conn.Write(b)
			if isEcho(err) {
				n, err = conn.Write(b)
			}
			f.d.count.toTarget.Add(uint64(n))
			if err != nil {
				f.d.count.dropped.Add(1)
			}
		case err := <-answers:
			conn.Close()
			return err
		}
	}
}

// answer passes on what the target says, until nobody has said anything for a
// while.
func (f *flow) answer(conn net.Conn) error {
	p := f.d.p
	b := make([]byte, largestDatagram)
	conn.SetReadDeadline(p.deadline(p.cfg.Idle))
	for {
		n, err := conn.Read(b)
		switch {
		case err == nil:
			conn.SetReadDeadline(p.deadline(p.cfg.Idle))
			if n, err = f.d.pc.WriteToUDPAddrPort(b[:n], f.client); err != nil {
				f.d.count.dropped.Add(1)
			}
			f.d.count.toClient.Add(uint64(n))
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return nil
		case !isEcho(err):
			return err
		}
	}
}
