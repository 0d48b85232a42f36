package rig

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// kernel is package net itself.
func kernel() End {
	return End{Dial: new(net.Dialer).DialContext, Listen: net.Listen, ListenPacket: net.ListenPacket, IP: "127.0.0.1"}
}

// wires tells the wires of this process apart.
var wires atomic.Int64

// wire opens two hosts on a wire in memory. The faults are those of the link.
func wire(t *testing.T, faults, server, client string) (End, End) {
	hal := fmt.Sprintf("loopback:interop-%d-%d", os.Getpid(), wires.Add(1))
	a := Open(t, ringtail.Config{HAL: hal, Name: "server", Faults: faults, Seed: 1}, server)
	b := Open(t, ringtail.Config{HAL: hal, Name: "client"}, client)
	for _, end := range []End{a, b} {
		if err := end.Host.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

// Open opens a host until the test ends. By then the program must have closed
// all its sockets. An IPv6 address takes a second: wait with Host.Ready.
func Open(t testing.TB, c ringtail.Config, addr string) End {
	t.Helper()
	prefix := netip.MustParsePrefix(addr)
	c.Addrs = []netip.Prefix{prefix}
	host, err := ringtail.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		noSockets(t, host)
		if err := host.Close(); err != nil {
			t.Errorf("closing host %s: %v", c.Name, err)
		}
	})
	if s := host.Stats().Settle; s != "inline" {
		t.Errorf("host %s: TCP settles by %q, want inline: is gVisor the version that the root module pins?", c.Name, s)
	}
	n := host.Net()
	return End{Dial: n.DialContext, Listen: n.Listen, ListenPacket: n.ListenPacket, IP: prefix.Addr().String(), Host: host}
}

// noSockets waits until the host has no socket. Programs close some of theirs in
// the background.
func noSockets(t testing.TB, host *ringtail.Host) {
	t.Helper()
	for guard := time.Now().Add(Patience); ; time.Sleep(time.Millisecond) {
		s := host.Stats()
		if s.Sockets == 0 && s.Waiting == 0 {
			return
		}
		if time.Now().After(guard) {
			t.Errorf("host %s has %d sockets that nobody closed, and %d calls on them: %+v", s.Host, s.Sockets, s.Waiting, s.Conns)
			return
		}
	}
}

// A Kernel is the kernel's end of a TAP, in a network namespace of its own, in
// which its commands can be run.
type Kernel struct {
	End
	*netlab.Namespace
}

// Tap joins a host, 10.77.0.2, and the kernel, 10.77.0.1, by a TAP, or skips the
// test where that cannot be had.
func Tap(t *testing.T) (host End, k Kernel) {
	t.Helper()
	testenv.Need(t, "tap", netlab.Available())
	ns := netlab.New(t).Namespace("interop")
	host = Open(t, ringtail.Config{HAL: "tap:rt0?host=10.77.0.1/24&netns=" + ns.Path(), Name: "tap"}, "10.77.0.2/24")
	return host, Kernel{within(ns), ns}
}

// within is package net in a namespace. A socket stays where it was made.
func within(ns *netlab.Namespace) End {
	return End{
		IP: "10.77.0.1",
		Dial: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = ns.Do(func() (err error) {
				c, err = new(net.Dialer).DialContext(ctx, network, address)
				return err
			})
			return c, err
		},
		Listen: func(network, address string) (ln net.Listener, err error) {
			err = ns.Do(func() (err error) {
				ln, err = net.Listen(network, address)
				return err
			})
			return ln, err
		},
		ListenPacket: func(network, address string) (c net.PacketConn, err error) {
			err = ns.Do(func() (err error) {
				c, err = net.ListenPacket(network, address)
				return err
			})
			return c, err
		},
	}
}
