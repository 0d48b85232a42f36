package api_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack"
)

// A lan is a wire with three hosts: a client and two servers. All of it is in a
// bubble, whose time goes on when everybody waits: what takes time takes exactly
// that much.
type lan struct {
	*testing.T
	client        *api.Net // 10.0.0.2 and fd00::2
	first, second *api.Net // 10.0.0.53 and fd00::53, with server; 10.0.0.54 and fd00::54
	server        *nameServer
	begin         time.Time
	sockets       func() int // of the client
}

// A lanConfig is what a lan can have else.
type lanConfig struct {
	zone   zone
	only   string     // "4" or "6": the client has no other addresses
	client api.Config // without Servers the first server is asked
	forge  func(l *lan, query, reply []byte, to net.Addr)
}

var (
	firstServer  = netip.MustParseAddrPort("10.0.0.53:53")
	secondServer = netip.MustParseAddrPort("10.0.0.54:53")
	noServer     = netip.MustParseAddrPort("192.0.2.1:53") // packets to there are lost
)

// onLAN runs a test on a lan.
func onLAN(t *testing.T, c lanConfig, test func(l *lan)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lan{T: t}
		wire := fmt.Sprintf("loopback:lan-%d-%d", os.Getpid(), wires.Add(1))
		first := lanHost(t, wire, nil, "10.0.0.53/24", "fd00::53/64")
		second := lanHost(t, wire, nil, "10.0.0.54/24", "fd00::54/64")
		gateways, addrs := []string{"10.0.0.54", "fd00::54"}, []string{"10.0.0.2/24", "fd00::2/64"}
		switch c.only {
		case "4":
			gateways, addrs = gateways[:1], addrs[:1]
		case "6":
			gateways, addrs = gateways[1:], addrs[1:]
		}
		client := lanHost(t, wire, gateways, addrs...)
		l.sockets = func() int { return client.Stats().Sockets }
		if len(c.client.Names.Servers) == 0 {
			c.client.Names.Servers = []netip.AddrPort{firstServer}
			if c.only == "6" {
				c.client.Names.Servers[0] = netip.MustParseAddrPort("[fd00::53]:53")
			}
		}
		for i, h := range []*stack.Host{first, second, client} {
			config := api.Config{Strict: true}
			if h == client {
				config = c.client
				config.Strict = true
			}
			lib := api.New(h, config)
			t.Cleanup(func() { lib.Exit() })
			must(h.Ready(ctx))
			*[]**api.Net{&l.first, &l.second, &l.client}[i] = lib.Net()
		}
		var forge func(query, reply []byte, to net.Addr)
		if c.forge != nil {
			forge = func(query, reply []byte, to net.Addr) { c.forge(l, query, reply, to) }
		}
		l.server = serveNames(t, l.first, c.zone, forge)
		l.begin = time.Now()
		test(l)
		if n := l.sockets(); n != 0 {
			t.Errorf("the client has %d sockets left", n)
		}
	})
}

// lanHost makes a host with default routes: the gateways are hosts, which forward
// nothing.
func lanHost(t *testing.T, wire string, gateways []string, addrs ...string) *stack.Host {
	c := stack.Config{Name: addrs[0]}
	ifc := stack.Interface{Device: must1(hal.Open(wire))}
	for _, a := range addrs {
		ifc.Addrs = append(ifc.Addrs, netip.MustParsePrefix(a))
	}
	c.Interfaces = []stack.Interface{ifc}
	for _, g := range gateways {
		via := netip.MustParseAddr(g)
		all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if via.Is4() {
			all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		c.Routes = append(c.Routes, stack.Route{To: all, Via: via})
	}
	h := must1(stack.New(c))
	t.Cleanup(func() { h.Close() })
	return h
}

// address returns the address that the client dials for a name.
func (l *lan) address(network, name string) string {
	l.Helper()
	a, err := addressOf(l.client, network, name)
	if err != nil {
		l.Errorf("%s of %s: %v", network, name, err)
	}
	return a
}

// addressOf returns the address that n dials for a name: that of a connected
// datagram socket, which needs no peer.
func addressOf(n *api.Net, network, name string) (string, error) {
	c, err := n.Dial(network, net.JoinHostPort(name, "9"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	return addrPort(c.RemoteAddr()).Addr().String(), nil
}

// asked checks what the server was asked since the last call.
func (l *lan) asked(what string, want ...string) {
	l.Helper()
	synctest.Wait() // what was sent has arrived
	if got := l.server.queries(); !slices.Equal(got, want) {
		l.Errorf("%s: the server was asked\n%q, want\n%q", what, got, want)
	}
}

// took checks how much time has passed since the last call, or the beginning.
func (l *lan) took(what string, want time.Duration) {
	l.Helper()
	if d := time.Since(l.begin); d != want {
		l.Errorf("%s: %v have passed, want %v", what, d, want)
	}
	l.begin = time.Now()
}
