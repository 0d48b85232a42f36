package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
)

// exchange sends data and ends its direction, and wants them back.
func exchange(t *testing.T, c net.Conn, size int) {
	t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	go func() {
		c.Write(data)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes came back: %v", len(got), size, err)
	}
	c.Close()
}

func TestForwardAndPublish(t *testing.T) {
	b := newBed(t)
	inKernel := b.serve(Kernel, "127.0.0.1:0", echoes)
	b.serve(b.far.Net(), "10.0.0.2:7", echoes)
	p := b.start(Config{
		Forward: []Route{{"tcp", "127.0.0.1:0", "10.0.0.2:7"}},
		Publish: []Route{{"tcp", ":80", inKernel}},
	})
	for range 3 {
		exchange(t, b.dial(Kernel, "tcp", at(p, 0)), 500_000)
		exchange(t, b.dial(b.far.Net(), "tcp", "10.0.0.1:80"), 500_000)
		exchange(t, b.dial(b.far.Net(), "tcp", "10.0.0.1:80"), 0)
	}
	waitUntil(t, "the ends", func() bool { return p.Stats()[0].Open+p.Stats()[1].Open == 0 })
	for i, want := range []Stats{{Total: 3, ToTarget: 1_500_000, ToClient: 1_500_000}, {Total: 6, ToTarget: 1_500_000, ToClient: 1_500_000}} {
		got := p.Stats()[i]
		got.Kind, got.Network, got.Listen, got.Target = "", "", "", ""
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// Who sends no end gets one, and goes on sending.
func TestHalfClose(t *testing.T) {
	b := newBed(t)
	heard := make(chan string, 1)
	b.serve(b.far.Net(), "10.0.0.2:7", func(c net.Conn) {
		io.WriteString(c, "all I have to say")
		c.(interface{ CloseWrite() error }).CloseWrite()
		text, _ := io.ReadAll(c)
		heard <- string(text)
		c.Close()
	})
	p := b.start(Config{Forward: []Route{{"tcp", "127.0.0.1:0", "10.0.0.2:7"}}})
	c := b.dial(Kernel, "tcp", at(p, 0))
	if text, err := io.ReadAll(c); err != nil || string(text) != "all I have to say" {
		t.Fatalf("%q, %v", text, err)
	}
	io.WriteString(c, "and I have more")
	c.Close()
	if got := <-heard; got != "and I have more" {
		t.Errorf("the target heard %q", got)
	}
}

// A reset is a reset on the other side as well, whichever that is.
func TestReset(t *testing.T) {
	b := newBed(t)
	targets := make(chan net.Conn, 1)
	b.serve(b.far.Net(), "10.0.0.2:7", func(c net.Conn) { targets <- c })
	p := b.start(Config{Forward: []Route{{"tcp", "127.0.0.1:0", "10.0.0.2:7"}}})
	for _, side := range []string{"target", "client"} {
		t.Run(side, func(t *testing.T) {
			client := b.dial(Kernel, "tcp", at(p, 0))
			target := <-targets
			defer target.Close()
			io.WriteString(client, "x")
			io.ReadFull(target, make([]byte, 1))
			one, other := target, client
			if side == "client" {
				one, other = client, target
			}
			resetConn(one)
			if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other side sees %v", err)
			}
		})
	}
	waitUntil(t, "two failures", func() bool { return p.Stats()[0].Failed == 2 })
}

// A target that refuses is a reset: TCP has no word for what happened behind.
func TestRefused(t *testing.T) {
	b := newBed(t)
	p := b.start(Config{Forward: []Route{{"tcp", "127.0.0.1:0", "10.0.0.2:7"}, {"tcp", "127.0.0.1:0", "no.such.name.invalid:7"}}})
	for i := range 2 {
		c, err := net.Dial("tcp", at(p, i))
		if err == nil { // else it came early
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
		waitUntil(t, "a failure", func() bool { return p.Stats()[i].Failed == 1 })
	}
}

// With all places taken connections wait, and are served when there is one.
func TestMaxFlows(t *testing.T) {
	b := newBed(t)
	b.serve(b.far.Net(), "10.0.0.2:7", echoes)
	p := b.start(Config{
		MaxFlows: 1,
		Forward:  []Route{{"tcp", "127.0.0.1:0", "10.0.0.2:7"}, {"tcp", "127.0.0.1:0", "10.0.0.2:7"}, {"udp", "127.0.0.1:0", "10.0.0.2:7"}},
	})
	first := b.dial(Kernel, "tcp", at(p, 0))
	waitUntil(t, "the first", func() bool { return p.Stats()[0].Open == 1 })
	second := b.dial(Kernel, "tcp", at(p, 1))
	io.WriteString(second, "hello")
	udp := b.dial(Kernel, "udp", at(p, 2))
	io.WriteString(udp, "no place")
	waitUntil(t, "a dropped datagram", func() bool { return p.Stats()[2].Dropped == 1 })
	if s := p.Stats()[1]; s.Open != 0 || s.Total != 0 {
		t.Errorf("the second did not wait: %+v", s)
	}
	exchange(t, first, 10)
	if _, err := io.ReadFull(second, make([]byte, 5)); err != nil {
		t.Errorf("the second: %v", err)
	}
}

// Shutdown lets connections end, and resets those for which there is no time.
func TestShutdown(t *testing.T) {
	b := newBed(t)
	b.serve(b.far.Net(), "10.0.0.2:7", echoes)
	b.serveEchoes(b.far.Net(), "10.0.0.2:7")
	cfg := Config{
		Forward: []Route{{"tcp", "127.0.0.1:0", "10.0.0.2:7"}, {"udp", "127.0.0.1:0", "10.0.0.2:7"}},
		Socks:   []string{"127.0.0.1:0"},
	}
	begun := func(p *Proxy) (c net.Conn, done chan error, end context.CancelFunc) {
		c = b.dial(Kernel, "tcp", at(p, 0))
		waitUntil(t, "the connection", func() bool { return p.Stats()[0].Open == 1 })
		udp := b.dial(Kernel, "udp", at(p, 1))
		io.WriteString(udp, "x")
		udp.Read(make([]byte, 100))
		ctx, end := context.WithCancel(context.Background())
		done = make(chan error, 1)
		go func() { done <- p.Shutdown(ctx) }()
		waitUntil(t, "the end of datagrams", func() bool { return p.Stats()[1].Open == 0 })
		if _, err := net.Dial("tcp", at(p, 0)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a new client: %v", err)
		}
		return c, done, end
	}
	t.Run("in time", func(t *testing.T) {
		p := b.start(cfg)
		c, done, end := begun(p)
		defer end()
		exchange(t, c, 1_000_000)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.Shutdown(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
	t.Run("too late", func(t *testing.T) {
		c, done, end := begun(b.start(cfg))
		end()
		if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 connection") {
			t.Errorf("got %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		p := b.start(cfg)
		c, done, end := begun(p)
		defer end()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
	})
}

// A host that is gone ends the proxy.
func TestHostGone(t *testing.T) {
	b := newBed(t)
	p, err := New(Config{Host: b.host.Net(), Publish: []Route{{"tcp", ":80", "127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := b.host.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "publish") {
		t.Errorf("Serve: %v", err)
	}
}
