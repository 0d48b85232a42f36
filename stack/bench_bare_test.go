package stack_test

import (
	"bytes"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/stack/gvisorlink"
	"github.com/ringtail-net/ringtail/stack/internal/settle"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// gVisor without Ringtail, as the yardstick of benchmarks: two stacks, and one
// endpoint of a connection on each.

// bare is one of the two.
type bare struct {
	b     *testing.B
	st    *stack.Stack
	rest  settle.Settler // nil: gVisor's own goroutines process TCP
	ep    tcpip.Endpoint
	wq    waiter.Queue
	ready chan struct{} // there may be something to read
	addr  tcpip.Address
	buf   [64]byte
	out   bytes.Reader
}

// barePair returns the ends of a connection. The link is gVisor's pipe, which
// delivers on the goroutine that writes, or, if wire is set, one of our
// devices, through gvisorlink. With inline set TCP is processed by turn, and the
// stacks have no goroutines.
func barePair(b *testing.B, wire, inline bool) (client, server *bare) {
	var links [2]stack.LinkEndpoint
	if wire {
		da, db, err := loopback.Pair(loopback.Config{})
		if err != nil {
			b.Fatal(err)
		}
		for i, dev := range []hal.Device{da, db} {
			if links[i], err = gvisorlink.New(dev, gvisorlink.Options{CloseDevice: true}); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		links[0], links[1] = pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", 1500)
	}
	client, server = newBare(b, 1, links[0], inline), newBare(b, 2, links[1], inline)
	connect(b, client, server)
	return client, server
}

func newBare(b *testing.B, i byte, link stack.LinkEndpoint, inline bool) *bare {
	n := &bare{b: b, ready: make(chan struct{}, 1), addr: tcpip.AddrFrom4([4]byte{10, 0, 0, i})}
	n.st = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if inline {
		var err error
		if n.rest, err = settle.Inline(n.st); err != nil {
			b.Skip(err) // an unknown gVisor
		}
	}
	n.must(n.st.CreateNIC(1, link))
	n.must(n.st.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: n.addr, PrefixLen: 24},
	}, stack.AddressProperties{}))
	n.st.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	sack := tcpip.TCPSACKEnabled(true) // as our hosts have it
	n.must(n.st.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	b.Cleanup(func() {
		if n.ep != nil {
			n.ep.Abort()
		}
		if n.rest != nil {
			n.rest.Settle()
			n.rest.Close()
		}
		n.st.Close()
		n.st.Wait()
	})
	return n
}

func (n *bare) must(err tcpip.Error) {
	n.b.Helper()
	if err != nil {
		n.b.Fatal(err)
	}
}

// NotifyEvent implements waiter.EventListener. It is called under locks.
func (n *bare) NotifyEvent(waiter.EventMask) {
	select {
	case n.ready <- struct{}{}:
	default:
	}
}

func (n *bare) watch(ep tcpip.Endpoint, wq *waiter.Queue) {
	var e waiter.Entry
	e.Init(n, waiter.ReadableEvents|waiter.WritableEvents)
	wq.EventRegister(&e)
	n.ep = ep
}

// turn lets both stacks come to rest.
func turn(a, b *bare) {
	for range 3 { // a handshake takes three
		a.rest.Settle()
		b.rest.Settle()
	}
}

func connect(b *testing.B, client, server *bare) {
	b.Helper()
	ln, err := server.st.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &server.wq)
	server.must(err)
	defer ln.Close()
	server.watch(ln, &server.wq)
	server.must(ln.Bind(tcpip.FullAddress{Port: 7}))
	server.must(ln.Listen(1))
	ep, err := client.st.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &client.wq)
	client.must(err)
	client.watch(ep, &client.wq)
	if err := ep.Connect(tcpip.FullAddress{Addr: server.addr, Port: 7}); err != nil {
		if _, started := err.(*tcpip.ErrConnectStarted); !started {
			b.Fatal(err)
		}
	}
	if client.rest != nil {
		turn(client, server)
	}
	for {
		accepted, wq, err := ln.Accept(nil)
		if err == nil {
			server.watch(accepted, wq)
			return
		}
		if _, block := err.(*tcpip.ErrWouldBlock); !block || client.rest != nil {
			b.Fatal(err)
		}
		<-server.ready
	}
}

// write sends the buffer. It has room: there is one message under way.
func (n *bare) write() tcpip.Error {
	n.out.Reset(n.buf[:])
	_, err := n.ep.Write(&n.out, tcpip.WriteOptions{})
	return err
}

// read fills the buffer. With inline processing it does not wait: what was sent
// has arrived.
func (n *bare) read() tcpip.Error {
	for got := 0; got < len(n.buf); {
		w := tcpip.SliceWriter(n.buf[got:])
		r, err := n.ep.Read(&w, tcpip.ReadOptions{})
		if _, block := err.(*tcpip.ErrWouldBlock); block && n.rest == nil {
			<-n.ready
			continue
		}
		if err != nil {
			return err
		}
		got += r.Count
	}
	return nil
}
