package netface

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A face is what package net and the net face both offer.
type face interface {
	dial(ctx context.Context, o dialing, network, address string) (net.Conn, error)
	listen(network, address string, backlog int) (net.Listener, error)
	listenPacket(network, address string) (net.PacketConn, error)
	// join makes a socket a member of a group, on the interface of an address,
	// and leave ends that.
	join(c net.PacketConn, group, on netip.Addr) error
	leave(c net.PacketConn, group, on netip.Addr) error
}

// dialing is what both dialers have, as far as bodies use it.
type dialing struct {
	timeout   time.Duration
	local     netip.AddrPort
	udp       bool // local is one of UDP
	keepAlive net.KeepAliveConfig
	control   func(network, address string) error
}

// packageNet is package net. do runs a function where its sockets are to be made.
type packageNet struct{ do func(func() error) error }

func here(f func() error) error { return f() }

func (p packageNet) dial(ctx context.Context, o dialing, network, address string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: o.timeout, KeepAliveConfig: o.keepAlive}
	if o.local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(o.local)
	}
	if o.local.IsValid() && o.udp {
		d.LocalAddr = net.UDPAddrFromAddrPort(o.local)
	}
	if o.control != nil {
		d.Control = func(network, address string, _ syscall.RawConn) error { return o.control(network, address) }
	}
	err = p.do(func() (err error) {
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

func (p packageNet) listenPacket(network, address string) (c net.PacketConn, err error) {
	err = p.do(func() (err error) { c, err = net.ListenPacket(network, address); return err })
	return c, err
}

// ourNet is the net face.
type ourNet struct{ *api.Net }

func (n ourNet) dial(ctx context.Context, o dialing, network, address string) (net.Conn, error) {
	d := api.Dialer{Net: n.Net, Timeout: o.timeout, LocalAddr: o.local, KeepAliveConfig: o.keepAlive}
	if o.control != nil {
		d.Control = func(_ context.Context, network, address string, _ func(api.Option) error) error {
			return o.control(network, address)
		}
	}
	return d.DialContext(ctx, network, address)
}

func (n ourNet) listen(network, address string, backlog int) (net.Listener, error) {
	c := api.ListenConfig{Net: n.Net, Backlog: backlog}
	return c.Listen(ctx, network, address)
}

func (n ourNet) listenPacket(network, address string) (net.PacketConn, error) {
	return n.ListenPacket(network, address)
}

func (n ourNet) join(c net.PacketConn, group, _ netip.Addr) error {
	return c.(*api.PacketConn).JoinGroup(group)
}

func (n ourNet) leave(c net.PacketConn, group, _ netip.Addr) error {
	return c.(*api.PacketConn).LeaveGroup(group)
}

// A world is two ends, which may be one, and addresses around them.
type world struct {
	near, far         face
	nearAddr, farAddr netip.Addr
	ours              bool // the near end is ours

	broadcast netip.Addr // of the link, with IPv4

	// Where a test asks for them; else they are invalid.
	silent    netip.Addr    // known to be there, and never answers
	nobody    netip.Addr    // of the same link; nobody has it
	search    time.Duration // after so long it is known that nobody is there
	elsewhere netip.Addr    // to which there is no route
	vanish    func()        // the far end is there no more

	// The far end routes to these, and says that it does not.
	prohibited, unreachable, unknown netip.Addr
}

var ctx = context.Background()

// kernelHere is the kernel's loopback interface, where it is Linux's: what is
// written down here is what that does.
func kernelHere(t *testing.T, addr string) world {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the kernel is not Linux")
	}
	ip, f := netip.MustParseAddr(addr), packageNet{here}
	ln, err := f.listen("tcp", at(ip, 0), 0)
	if err != nil {
		t.Skipf("the kernel has not got this address: %v", err)
	}
	ln.Close()
	w := world{near: f, far: f, nearAddr: ip, farAddr: ip}
	if ip.Is4() {
		w.broadcast = netip.AddrFrom4([4]byte{127, 255, 255, 255})
	}
	return w
}

var wires atomic.Int64

// onWire makes two hosts on a wire in memory, and what is around them.
func onWire(t testing.TB, near, far string) (w world, hosts [2]*stack.Host) {
	spec := fmt.Sprintf("loopback:netface-%d-%d", os.Getpid(), wires.Add(1))
	return onDevices(t, near, far, must(hal.Open(spec)), must(hal.Open(spec)))
}

// onDevices makes two hosts on two devices that are joined.
func onDevices(t testing.TB, near, far string, nearDev, farDev hal.Device) (w world, hosts [2]*stack.Host) {
	w = world{ours: true}
	hosts[0], w.near, w.nearAddr = ourHost(t, nearDev, near)
	hosts[1], w.far, w.farAddr = ourHost(t, farDev, far)
	w.around()
	for _, h := range hosts {
		if err := h.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return w, hosts
}

// around names addresses near to ours.
func (w *world) around() {
	w.silent, w.nobody, w.search = neighbor(w.nearAddr, silentHost), neighbor(w.nearAddr, 77), 5*time.Second
	w.elsewhere, w.broadcast = netip.MustParseAddr("192.0.2.1"), neighbor(w.nearAddr, 255)
	if w.nearAddr.Is6() {
		w.elsewhere, w.broadcast = netip.MustParseAddr("2001:db8::1"), netip.Addr{}
	}
}

const silentHost = 66

// neighbor is an address that differs in the last byte.
func neighbor(a netip.Addr, last byte) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] = last
	n, _ := netip.AddrFromSlice(b)
	return n
}

// ourHost makes a host and its face. Both end with the test, and without rest.
func ourHost(t testing.TB, dev hal.Device, prefix string, routes ...stack.Route) (*stack.Host, face, netip.Addr) {
	p := netip.MustParsePrefix(prefix)
	h := must(stack.New(stack.Config{Name: prefix, Routes: routes, Interfaces: []stack.Interface{{
		Name: "if0", Device: dev, Addrs: []netip.Prefix{p},
		Neighbors: []stack.Neighbor{{Addr: neighbor(p.Addr(), silentHost), MAC: hal.MAC{2, 0, 0, 0, 0, silentHost}}},
	}}}))
	lib := api.New(h, api.Config{})
	t.Cleanup(func() {
		if err := lib.Exit(); err != nil {
			t.Errorf("Exit: %v", err)
		}
	})
	return h, ourNet{lib.Net()}, p.Addr()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
