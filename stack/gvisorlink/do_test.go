package gvisorlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	ringtail "github.com/ringtail-net/ringtail/stack"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// host runs a Ringtail host on a device, until the test ends, and returns its
// net face too.
func host(t *testing.T, dev hal.Device, addr string, cfg ringtail.Config) (*ringtail.Host, *api.Net) {
	t.Helper()
	cfg.Interfaces = []ringtail.Interface{{Device: dev, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}}
	h, err := ringtail.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, api.New(h, api.Config{Strict: true}).Net()
}

// TestDo changes the routes of a host under its feet.
func TestDo(t *testing.T) {
	da, db := cable(t, loopback.Config{})
	a, net4 := host(t, da, "10.0.0.1/24", ringtail.Config{})
	_, far := host(t, db, "192.0.2.1/24", ringtail.Config{})
	l, err := far.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l)

	if c, err := net4.Dial("tcp", "192.0.2.1:7"); err == nil {
		c.Close()
		t.Fatal("there is a route before Do")
	}
	if err := Do(a, func(st *stack.Stack) {
		st.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: nic(t, st)})
		addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFrom4([4]byte{192, 0, 2, 2}), PrefixLen: 24}}
		if err := st.AddProtocolAddress(nic(t, st), addr, stack.AddressProperties{PEB: stack.FirstPrimaryEndpoint}); err != nil {
			t.Errorf("AddProtocolAddress: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	c, err := net4.Dial("tcp", "192.0.2.1:7")
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c, 64<<10)

	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Do(a, func(*stack.Stack) { t.Error("called on a closed host") }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Do on a closed host: %v", err)
	}
}

// nic returns the number of a host's only interface to the outside.
func nic(t *testing.T, st *stack.Stack) tcpip.NICID {
	for id, info := range st.NICInfo() {
		if !info.Flags.Loopback {
			return id
		}
	}
	t.Error("the host has no interface")
	return 0
}

// TestForeign has gVisor's own goroutines at work in a host: a forwarder that
// answers for every port, and connections that it dials itself, beside the
// host's own sockets.
func TestForeign(t *testing.T) {
	for name, c := range map[string]loopback.Config{
		"super-frames": {},
		"eight frames": {NoGSO: true, Frames: 8},
	} {
		// With one P a processor runs after whoever woke it has gone to sleep.
		for _, procs := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, procs=%d", name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				foreign(t, c)
			})
		}
	}
}

func foreign(t *testing.T, wire loopback.Config) {
	da, db := cable(t, wire)
	_, peer := host(t, da, "10.0.0.1/24", ringtail.Config{Name: "peer"})
	h, own := host(t, db, "10.0.0.2/24", ringtail.Config{Name: "foreign", Foreign: true})
	st := forward(t, h)
	for _, l := range []*api.Net{own, peer} {
		l, err := l.Listen("tcp", ":7")
		if err != nil {
			t.Fatal(err)
		}
		serve(t, l)
	}
	for name, dial := range map[string]func() (net.Conn, error){
		"to the host's listener": func() (net.Conn, error) { return peer.Dial("tcp", "10.0.0.2:7") },
		"to the forwarder":       func() (net.Conn, error) { return peer.Dial("tcp", "10.0.0.2:4711") },
		"from the host":          func() (net.Conn, error) { return own.Dial("tcp", "10.0.0.1:7") },
		"from gVisor's stack": func() (net.Conn, error) {
			at := tcpip.FullAddress{Addr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), Port: 7}
			return gonet.DialTCP(st, at, ipv4.ProtocolNumber)
		},
	} {
		c, err := dial()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pingPong(t, c)
		exchange(t, c, 1<<20)
	}
}

// forward has a host accept connections to any port and echo.
func forward(t *testing.T, h *ringtail.Host) (st *stack.Stack) {
	t.Helper()
	err := Do(h, func(s *stack.Stack) {
		st = s
		f := tcp.NewForwarder(st, 0, 16, func(r *tcp.ForwarderRequest) {
			var wq waiter.Queue
			ep, err := r.CreateEndpoint(&wq)
			r.Complete(err != nil)
			if err != nil {
				t.Errorf("CreateEndpoint: %v", err)
				return
			}
			echo(gonet.NewTCPConn(&wq, ep))
		})
		st.SetTransportProtocolHandler(tcp.ProtocolNumber, f.HandlePacket)
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}
