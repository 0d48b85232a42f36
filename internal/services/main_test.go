package services

import (
	"context"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The addresses of the test hosts.
var (
	serverAddrs = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	clientAddrs = []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")}
)

// A testbed is a host with services, and a client host on the same wire.
type testbed struct {
	*Services
	server *api.LibOS
	client *api.Net
	addr   string // of the server, in brackets if need be
	stop   func() // ends serving and looks at what is left; the end of the test calls it too
}

// faces are the ways to serve.
var faces = []string{"queue", "net"}

var wireNumber atomic.Int64

// newTestbed serves on one face, over IPv4 or IPv6, until the test ends; then
// nothing may be left.
func newTestbed(t *testing.T, face string, version int, cfg Config) *testbed {
	t.Helper()
	wire, err := loopback.New(loopback.Config{
		Name: "services-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(wireNumber.Add(1), 10),
	})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	if version == 6 {
		i = 1
	}
	host, server := newHost(t, wire, "server", serverAddrs[i])
	_, client := newHost(t, wire, "client", clientAddrs[i])
	cfg.Stats = host.Stats
	b := &testbed{Services: New(cfg), server: server, client: client.Net(), addr: serverAddrs[i].String()}
	if version == 6 {
		b.addr = "[" + b.addr + "]"
	}
	b.serve(t, face)
	return b
}

// serve starts the services.
func (b *testbed) serve(t *testing.T, face string) {
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		serve := func() error { return b.ServeQueues(ctx, b.server, func() { close(ready) }) }
		if face == "net" {
			serve = func() error { return b.ServeNet(ctx, b.server.Net(), func() { close(ready) }) }
		}
		done <- serve()
	}()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving on the %s face: %v", face, err)
		}
		if s := b.server.Stats(); s.Queues != 0 || s.Pending != 0 || s.SGAs != 0 || s.Misused != 0 {
			t.Errorf("left behind: %+v", s)
		}
		for name, c := range b.Snapshot().Services {
			if c.Open != 0 {
				t.Errorf("%s: %d connections still count as open", name, c.Open)
			}
		}
	})
	t.Cleanup(b.stop)
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
}

func newHost(t *testing.T, wire *loopback.Wire, name string, addr netip.Addr) (*stack.Host, *api.LibOS) {
	t.Helper()
	dev, err := wire.Device(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	link := []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen()-8)}
	host, err := stack.New(stack.Config{Name: name, Interfaces: []stack.Interface{{Device: dev, Addrs: link}}})
	if err != nil {
		t.Fatal(err)
	}
	lib := api.New(host, api.Config{Strict: true})
	t.Cleanup(func() {
		if err := lib.Exit(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := host.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return host, lib
}
