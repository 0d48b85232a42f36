package api_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/stack"
)

var wires atomic.Int64

// netstack makes two hosts of package stack on a wire in memory.
func netstack(t testing.TB) (server, client api.Transport, addr netip.Addr) {
	return onWire(t, "10.0.0.1/24", "10.0.0.2/24")
}

func netstack6(t testing.TB) (server, client api.Transport, addr netip.Addr) {
	return onWire(t, "fd00::1/64", "fd00::2/64")
}

func onWire(t testing.TB, a, b string) (server, client api.Transport, addr netip.Addr) {
	hosts := hostsOnWire(t, []string{a}, []string{b})
	return hosts[0], hosts[1], netip.MustParsePrefix(a).Addr()
}

// hostsOnWire makes hosts, each with its addresses.
func hostsOnWire(t testing.TB, prefixes ...[]string) (hosts []*stack.Host) {
	wire := fmt.Sprintf("loopback:api-%d-%d", os.Getpid(), wires.Add(1))
	for _, p := range prefixes {
		ifc := stack.Interface{Device: must1(hal.Open(wire))}
		for _, prefix := range p {
			ifc.Addrs = append(ifc.Addrs, netip.MustParsePrefix(prefix))
		}
		h := must1(stack.New(stack.Config{Name: p[0], Interfaces: []stack.Interface{ifc}}))
		t.Cleanup(func() { h.Close() })
		hosts = append(hosts, h)
	}
	for _, h := range hosts {
		must(h.Ready(ctx))
	}
	return hosts
}

// What only a stack of our own can show: pings, groups, and both families.
func TestStackOnly(t *testing.T) {
	hosts := hostsOnWire(t, []string{"10.0.0.1/24", "fd00::1/64"}, []string{"10.0.0.2/24", "fd00::2/64"})
	server, client := api.New(hosts[0], api.Config{Strict: true}), api.New(hosts[1], api.Config{Strict: true})
	defer server.Exit()
	defer client.Exit()
	t.Run("ping", func(t *testing.T) {
		for network, to := range map[string]string{"icmp4": "10.0.0.1", "icmp6": "fd00::1"} {
			listened := must1(client.Net().ListenPacket(network, ""))
			addr := &net.IPAddr{IP: net.ParseIP(to)}
			ping(t, listened, network, func(p []byte) (int, error) { return listened.WriteTo(p, addr) })
			dialled := must1(client.Net().Dial(network, to))
			ping(t, dialled.(net.PacketConn), network, dialled.Write)
		}
	})
	t.Run("both families", func(t *testing.T) {
		ln := must1(server.Net().Listen("tcp", ":80"))
		defer ln.Close()
		for _, to := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
			c := must1(client.Net().Dial("tcp", to))
			s := must1(ln.Accept())
			if s.LocalAddr().String() != to || s.RemoteAddr().String() != c.LocalAddr().String() {
				t.Errorf("addresses %v and %v, dialled %v from %v", s.LocalAddr(), s.RemoteAddr(), to, c.LocalAddr())
			}
			c.Close()
			s.Close()
		}
	})
	t.Run("group", func(t *testing.T) {
		group := netip.MustParseAddr("239.1.2.3")
		c := must1(server.Net().ListenPacket("udp4", ":5000")).(*api.PacketConn)
		defer c.Close()
		must(c.JoinGroup(group))
		out := must1(client.Net().ListenPacket("udp4", "10.0.0.2:0")).(*api.PacketConn)
		defer out.Close()
		must1(out.WriteToUDPAddrPort([]byte("all"), netip.AddrPortFrom(group, 5000)))
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, from, err := c.ReadFromUDPAddrPort(make([]byte, 10)); n != 3 || err != nil || from != addrPort(out.LocalAddr()) {
			t.Errorf("ReadFrom = %d, %v, %v", n, from, err)
		}
		must(c.LeaveGroup(group))
		if err := c.JoinGroup(netip.MustParseAddr("10.0.0.3")); err == nil {
			t.Error("joined a group that is none")
		}
	})
}

// ping sends an echo request and waits for the reply.
func ping(t *testing.T, c net.PacketConn, network string, send func([]byte) (int, error)) {
	t.Helper()
	defer c.Close()
	request, reply := byte(8), byte(0) // RFC 792
	if network == "icmp6" {
		request, reply = 128, 129 // RFC 4443
	}
	must1(send([]byte{request, 0, 0, 0, 0, 0, 0, 7, 'h', 'i'}))
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 100)
	n, _, err := c.ReadFrom(buf)
	if err != nil || n != 10 || buf[0] != reply || buf[7] != 7 || string(buf[8:n]) != "hi" {
		t.Errorf("%s: %x, %v", network, buf[:n], err)
	}
}
