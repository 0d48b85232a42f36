package api_test

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

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
	wire := fmt.Sprintf("loopback:api-%d-%d", os.Getpid(), wires.Add(1))
	host := func(prefix string) *stack.Host {
		dev := must1(hal.Open(wire))
		h := must1(stack.New(stack.Config{Name: prefix, Interfaces: []stack.Interface{
			{Device: dev, Addrs: []netip.Prefix{netip.MustParsePrefix(prefix)}},
		}}))
		t.Cleanup(func() { h.Close() })
		return h
	}
	x, y := host(a), host(b)
	must(x.Ready(ctx))
	must(y.Ready(ctx))
	return x, y, netip.MustParsePrefix(a).Addr()
}
