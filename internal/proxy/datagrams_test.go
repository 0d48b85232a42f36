package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// ask sends a datagram until there is an answer, which it returns.
func ask(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// Clients of one route do not hear each other's answers, and the target sees each
// at a port of its own.
func TestDatagrams(t *testing.T) {
	b := newBed(t)
	inKernel := b.serveEchoes(Kernel, "127.0.0.1:0")
	b.serveEchoes(b.far.Net(), "10.0.0.2:7")
	p := b.start(Config{
		Forward: []Route{{"udp", "127.0.0.1:0", "10.0.0.2:7"}},
		Publish: []Route{{"udp", ":7", inKernel}},
	})
	for way, dial := range map[string]func() net.Conn{
		"10.0.0.1:":  func() net.Conn { return b.dial(Kernel, "udp", at(p, 0)) },
		"127.0.0.1:": func() net.Conn { return b.dial(b.far.Net(), "udp", "10.0.0.1:7") },
	} {
		first, second := dial(), dial()
		if got := ask(t, first, "one"); !strings.HasPrefix(got, "one "+way) {
			t.Errorf("the first hears %q", got)
		}
		seen := ask(t, second, "two")
		if !strings.HasPrefix(seen, "two "+way) || seen[4:] == ask(t, first, "two")[4:] {
			t.Errorf("the second hears %q", seen)
		}
		if got := ask(t, second, "two"); got != seen {
			t.Errorf("the target sees the second at %q, and then at %q", seen, got)
		}
		long := strings.Repeat("x", 9000)
		if got := ask(t, first, long); !strings.HasPrefix(got, long+" "+way) {
			t.Errorf("of 9000 bytes %d come back", len(got))
		}
	}
	for i := range 2 {
		waitUntil(t, "all bytes counted", func() bool { return p.Stats()[i].ToTarget == 9012 && p.Stats()[i].ToClient > 9012 })
		if s := p.Stats()[i]; s.Open != 2 || s.Total != 2 || s.Failed != 0 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A flow ends when nobody has said anything for a while, and begins anew.
func TestIdleFlow(t *testing.T) {
	b := newBed(t)
	b.serveEchoes(b.far.Net(), "10.0.0.2:7")
	p := b.start(Config{Idle: 20 * time.Millisecond, Forward: []Route{{"udp", "127.0.0.1:0", "10.0.0.2:7"}}})
	c := b.dial(Kernel, "udp", at(p, 0))
	for n := range uint64(2) {
		io.WriteString(c, "x")
		waitUntil(t, "a flow", func() bool { return p.Stats()[0].Total == n+1 })
		waitUntil(t, "silence", func() bool { return p.Stats()[0].Open == 0 })
	}
	if s := p.Stats()[0]; s.Failed != 0 || s.Dropped != 0 || s.ToTarget != 2 {
		t.Errorf("%+v", s)
	}
}

// Nobody at the target, or no target: the flow goes on, or fails, and others are
// served.
func TestDatagramsNowhere(t *testing.T) {
	b := newBed(t)
	p := b.start(Config{
		Idle:    20 * time.Millisecond,
		Forward: []Route{{"udp", "127.0.0.1:0", "10.0.0.2:7"}, {"udp", "127.0.0.1:0", "no.such.name.invalid:7"}},
	})
	for i := range 2 {
		c := b.dial(Kernel, "udp", at(p, i))
		io.WriteString(c, "x")
		waitUntil(t, "a flow", func() bool { return p.Stats()[i].Total == 1 })
		waitUntil(t, "its end", func() bool { return p.Stats()[i].Open == 0 })
	}
	if s := p.Stats(); s[0].Failed != 0 || s[1].Failed != 1 {
		t.Errorf("%+v", s)
	}
}

// Who was not there is served once it is.
func TestDatagramsBeforeTheTarget(t *testing.T) {
	b := newBed(t)
	p := b.start(Config{Forward: []Route{{"udp", "127.0.0.1:0", "10.0.0.2:7"}}})
	c := b.dial(Kernel, "udp", at(p, 0))
	io.WriteString(c, "nobody is there")
	waitUntil(t, "a datagram on its way", func() bool { return p.Stats()[0].ToTarget > 0 })
	b.serveEchoes(b.far.Net(), "10.0.0.2:7")
	if got := ask(t, c, "x"); !strings.Contains(got, " 10.0.0.1:") {
		t.Errorf("the answer is %q", got)
	}
}
