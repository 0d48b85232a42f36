package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits before it gives up: a guard, not a measure.
const patience = 20 * time.Second

var wires atomic.Int64

// A bed is a host for the proxy, 10.0.0.1, and another one on the same wire,
// 10.0.0.2. The kernel's side is the kernel's, at 127.0.0.1.
type bed struct {
	t         *testing.T
	host, far *ringtail.Host
}

func newBed(t *testing.T) *bed {
	t.Helper()
	wire := fmt.Sprintf("loopback:proxy-%d-%d", os.Getpid(), wires.Add(1))
	open := func(addr string) *ringtail.Host {
		h, err := ringtail.Open(ringtail.Config{HAL: wire, Name: addr, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	return &bed{t, open("10.0.0.1/24"), open("10.0.0.2/24")}
}

// start serves until the test ends, when nothing may be left.
func (b *bed) start(cfg Config) *Proxy {
	b.t.Helper()
	cfg.Host = b.host.Net()
	p, err := New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(context.Background()) }()
	b.t.Cleanup(func() {
		if err := errors.Join(p.Close(), <-served); err != nil {
			b.t.Error(err)
		}
		for _, s := range p.Stats() {
			if s.Open != 0 {
				b.t.Errorf("open after the end: %+v", s)
			}
		}
		if len(p.places) != 0 {
			b.t.Errorf("%d places are still taken", len(p.places))
		}
	})
	return p
}

// at returns the address of the proxy's listener number i.
func at(p *Proxy, i int) string { return p.Stats()[i].Listen }

// serve accepts at a network until the test ends, and returns the address.
func (b *bed) serve(n Network, address string, f func(net.Conn)) string {
	b.t.Helper()
	ln, err := n.Listen("tcp", address)
	if err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	b.t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func (b *bed) dial(n Network, network, address string) net.Conn {
	b.t.Helper()
	c, err := n.DialContext(b.t.Context(), network, address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// echoes sends back what comes, and its end.
func echoes(c net.Conn) {
	io.Copy(c, c)
	c.Close()
}

// serveEchoes answers datagrams with themselves and the address of their sender.
func (b *bed) serveEchoes(n Network, address string) string {
	b.t.Helper()
	pc, err := n.ListenPacket("udp", address)
	if err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 1<<16); ; {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(append(buf[:n:n], (" "+from.String())...), from)
		}
	}()
	b.t.Cleanup(func() {
		pc.Close()
		<-done
	})
	return pc.LocalAddr().String()
}

func waitUntil(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for guard := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(guard) {
			t.Fatal("never happened: " + what)
		}
	}
}
