package stack_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/stack"
)

// nets returns the net faces of two hosts on a wire, and an address of the second.
func nets(b *testing.B, cfg stack.Config) (client, server *api.LibOS, addr string) {
	b.Helper()
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		b.Fatal(err)
	}
	var libs [2]*api.LibOS
	for i, dev := range []stack.Interface{{Device: da}, {Device: db}} {
		dev.Addrs = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}), 24)}
		c := cfg
		c.Interfaces = []stack.Interface{dev}
		h, err := stack.New(c)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { h.Close() })
		libs[i] = api.New(h, api.Config{})
	}
	return libs[0], libs[1], "10.0.0.2:7"
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// faces are what the benchmarks compare: the kernel's loopback as the baseline.
func faces(b *testing.B, run func(b *testing.B, dial dialer, l net.Listener)) {
	b.Run("kernel", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		run(b, new(net.Dialer).DialContext, l)
	})
	for name, cfg := range map[string]stack.Config{"inline": {}, "barrier": {Barrier: true}} {
		b.Run(name, func(b *testing.B) {
			client, server, addr := nets(b, cfg)
			l, err := server.Net().Listen("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			run(b, client.Net().DialContext, l)
		})
	}
}

// BenchmarkRTT is the round trip of 64 bytes over TCP, net face to net face.
func BenchmarkRTT(b *testing.B) {
	faces(b, func(b *testing.B, dial dialer, l net.Listener) {
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		}()
		c, err := dial(context.Background(), "tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		buf := make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBulk is one connection's throughput, net face to net face.
func BenchmarkBulk(b *testing.B) {
	faces(b, func(b *testing.B, dial dialer, l net.Listener) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
		}()
		c, err := dial(context.Background(), "tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 256<<10)
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
		c.Close()
		<-done
	})
}
