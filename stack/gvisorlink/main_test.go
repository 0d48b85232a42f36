package gvisorlink

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits before it gives up: a guard, not a measure.
const patience = 2 * time.Minute

// embedder is a program with a gVisor stack of its own.
type embedder struct {
	st   *stack.Stack
	link stack.LinkEndpoint
	addr tcpip.Address
}

// embed runs a plain stack on a device, until the test ends.
func embed(t *testing.T, dev hal.Device, addr string, opt Options) *embedder {
	t.Helper()
	link, err := New(dev, opt)
	if err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix(addr)
	e := &embedder{link: link, addr: tcpip.AddrFromSlice(prefix.Addr().AsSlice()), st: stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4},
	})}
	t.Cleanup(func() {
		e.st.Close()
		e.st.Wait()
	})
	if err := e.st.CreateNIC(1, link); err != nil {
		t.Fatal(err)
	}
	if err := e.st.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: e.addr, PrefixLen: prefix.Bits()},
	}, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	e.st.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return e
}

func (e *embedder) at(port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: 1, Addr: e.addr, Port: port}
}

// listen serves every connection to a port with echo, until the test ends.
func (e *embedder) listen(t *testing.T, port uint16) {
	t.Helper()
	l, err := gonet.ListenTCP(e.st, e.at(port), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l)
}

// serve serves every connection with echo, until the test ends.
func serve(t *testing.T, l net.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			echo(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// echo sends back what it gets until the peer's stream ends.
func echo(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.Copy(c, c)
}

// exchange sends data to an echo server and checks what comes back, up to the
// end of the stream.
func exchange(t *testing.T, c net.Conn, size int) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-sent); err != nil {
		t.Errorf("after %d of %d bytes: %v", len(got), size, err)
	} else if !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back for %d, and not the same", len(got), size)
	}
}

// pingPong sends single bytes to an echo server, each after the one before has
// come back. Whatever waits for something else to happen, and be it the peer's
// retransmission, shows in the sum.
func pingPong(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	b := []byte{1}
	for i := range 500 {
		if _, err := c.Write(b); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
}
