package api_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// Names for the tests of dials: of the first server, of its ends that answer
// nothing (they are behind a gateway that forwards nothing), and of those where
// nobody listens.
var manyAddrs = map[string][]netip.Addr{
	"both":         addrs("fd00::53", "10.0.0.53"),
	"only6.silent": addrs("2001:db8::1", "10.0.0.53"),
	"only4.silent": addrs("fd00::53", "192.0.2.1"),
	"silent":       addrs("192.0.2.1", "192.0.2.2", "10.0.0.53"),
	"refuse":       addrs("fd00::54", "10.0.0.54"),
	"refuse6":      addrs("fd00::54", "10.0.0.53"),
	"worst":        addrs("fd00::54", "192.0.2.1"),
	"dead":         addrs("2001:db8::1", "2001:db8::2", "192.0.2.1"),
	"unrouted":     addrs("2001:db8::1", "10.0.0.53", "192.0.2.1", "10.0.0.54"),
}

// onMany runs a test on a lan with these names and a listener on port 80 of the
// first server.
func onMany(t *testing.T, test func(l *lan, d api.Dialer)) {
	onLAN(t, lanConfig{client: api.Config{Names: api.Names{Hosts: manyAddrs}}}, func(l *lan) {
		ln := must1(l.first.Listen("tcp", ":80"))
		defer ln.Close()
		test(l, api.Dialer{Net: l.client})
	})
}

// dialled checks where a dial led, and how long it took.
func (l *lan) dialled(what string, d api.Dialer, name, want string, after time.Duration) {
	l.Helper()
	l.begin = time.Now()
	c, err := d.Dial("tcp", name+":80")
	l.took(what, after)
	if err != nil {
		l.Errorf("%s: %v", what, err)
		return
	}
	if got := addrPort(c.RemoteAddr()).Addr().String(); got != want {
		l.Errorf("%s: led to %s, want %s", what, got, want)
	}
	if n := l.sockets(); n != 1 {
		l.Errorf("%s: there are %d sockets", what, n)
	}
	c.(*api.Conn).SetLinger(0)
	c.Close()
}

func TestDialMany(t *testing.T) {
	onMany(t, func(l *lan, d api.Dialer) {
		l.dialled("a name of both families", d, "both", "fd00::53", 0)
		l.dialled("a name whose IPv6 is silent", d, "only6.silent", "10.0.0.53", 300*time.Millisecond)
		l.dialled("a name whose IPv4 is silent", d, "only4.silent", "fd00::53", 0)
		l.dialled("a name whose IPv6 refuses", d, "refuse6", "10.0.0.53", 0)
		quick, off := d, d
		quick.FallbackDelay, off.FallbackDelay = time.Millisecond, -1
		l.dialled("a short delay", quick, "only6.silent", "10.0.0.53", time.Millisecond)
		off.Timeout = 20 * time.Second
		l.dialled("one after the other", off, "only6.silent", "10.0.0.53", 10*time.Second)
		d.Timeout = 30 * time.Second
		l.dialled("two silent ones of the same family", d, "silent", "10.0.0.53", 10*time.Second+10*time.Second)
		d.Timeout = 5 * time.Second
		l.dialled("the least time for each", d, "silent", "10.0.0.53", 2*time.Second+2*time.Second)
		l.begin = time.Now()
		within, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		d.Timeout = time.Hour
		must1(d.DialContext(within, "tcp4", "silent:80")).Close()
		l.took("the deadline of a context, shared", 20*time.Second)
	})
}

// TestDialManyFails: the error is that of the first address.
func TestDialManyFails(t *testing.T) {
	onMany(t, func(l *lan, d api.Dialer) {
		fails := func(what string, ctx context.Context, name string, want error, addr string, after time.Duration) {
			l.Helper()
			l.begin = time.Now()
			_, err := d.DialContext(ctx, "tcp", name+":80")
			var op *net.OpError
			if !errors.Is(err, want) || !errors.As(err, &op) || op.Op != "dial" || op.Net != "tcp" || op.Addr.String() != addr {
				t.Errorf("%s: got error %v, want %v of %s", what, err, want, addr)
			}
			l.took(what, after)
			if n := l.sockets(); n != 0 {
				t.Errorf("%s: %d sockets are left", what, n)
			}
		}
		fails("refused twice", ctx, "refuse", syscall.ECONNREFUSED, "[fd00::54]:80", 0)
		d.Timeout = 6 * time.Second
		fails("refused, and silent", ctx, "worst", syscall.ECONNREFUSED, "[fd00::54]:80", 6*time.Second)
		fails("silent", ctx, "dead", context.DeadlineExceeded, "[2001:db8::1]:80", 6*time.Second)
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		fails("a deadline", soon, "dead", context.DeadlineExceeded, "[2001:db8::1]:80", time.Second)
		ending, cancel := context.WithCancel(ctx)
		time.AfterFunc(100*time.Millisecond, cancel)
		fails("a cancel before the fallback", ending, "dead", context.Canceled, "[2001:db8::1]:80", 100*time.Millisecond)
		ending, cancel = context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		fails("a cancel after it", ending, "dead", context.Canceled, "[2001:db8::1]:80", time.Second)
		fails("a context that has ended", ending, "dead", context.Canceled, "[2001:db8::1]:80", 0)
	})
}

// TestDialManyFrom: from an address of one family only that family is dialled.
func TestDialManyFrom(t *testing.T) {
	onMany(t, func(l *lan, d api.Dialer) {
		d.LocalAddr = netip.MustParseAddrPort("10.0.0.2:0")
		l.dialled("from IPv4", d, "both", "10.0.0.53", 0)
		d.LocalAddr = netip.MustParseAddrPort("[fd00::2]:0")
		l.dialled("from IPv6", d, "both", "fd00::53", 0)
		_, err := d.Dial("tcp", "10.0.0.53:80")
		_, theirs := (&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(d.LocalAddr)}).Dial("tcp", "10.0.0.53:80")
		if err == nil || theirs == nil || err.Error() != theirs.Error() {
			t.Errorf("from IPv6 to IPv4: %v, package net says %v", err, theirs)
		}
	})
}

// A tieStub is a stub that makes two connections in the same moment.
type tieStub struct {
	stub
	waiting        []*api.Op
	opened, closed int
}

func (s *tieStub) Submit(op *api.Op) {
	s.mu.Lock()
	switch {
	case op.Kind == api.KindSocket:
		s.opened++
	case op.Kind == api.KindClose:
		s.closed++
	case op.Kind == api.KindConnect && op.Network.Stream():
		if s.waiting = append(s.waiting, op); len(s.waiting) == 2 {
			for _, op := range s.waiting {
				s.execute(op)
			}
		}
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.stub.Submit(op)
}

// TestDialTie: of two connections that are made at once one is closed.
func TestDialTie(t *testing.T) {
	s := new(tieStub)
	l := api.New(s, api.Config{Strict: true, Names: api.Names{Hosts: manyAddrs}})
	defer l.Exit()
	d := api.Dialer{Net: l.Net(), FallbackDelay: 1}
	c := must1(d.Dial("tcp", "both:80"))
	if got := c.RemoteAddr().String(); got != "[fd00::53]:80" {
		t.Errorf("dialled %s", got)
	}
	if open := s.opened - s.closed; open != 1 || len(s.waiting) != 2 {
		t.Errorf("%d sockets are open after %d connects", open, len(s.waiting))
	}
	c.Close()
}

// TestDialOrder: what the host has no route to comes last.
func TestDialOrder(t *testing.T) {
	onMany(t, func(l *lan, d api.Dialer) {
		d.Net = l.first // which has no default route
		d.Net.SetNames(api.Names{Hosts: manyAddrs})
		c := must1(d.Dial("udp", "unrouted:9"))
		defer c.Close()
		if got := c.RemoteAddr().String(); got != "10.0.0.53:9" {
			t.Errorf("dialled %s", got)
		}
		if !slices.Equal(d.Net.Names().Hosts["unrouted"], manyAddrs["unrouted"]) {
			t.Error("a dial has sorted what it was given")
		}
	})
	onLAN(t, lanConfig{only: "4", client: api.Config{Names: api.Names{Hosts: manyAddrs}}}, func(l *lan) {
		if got := l.address("udp", "both"); got != "10.0.0.53" {
			t.Errorf("the address is %s", got)
		}
		_, err := l.client.Dial("tcp", "both:80")
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "10.0.0.53:80") {
			t.Errorf("got error %v, want that of IPv4", err)
		}
		l.took("dials without IPv6", 0)
	})
}
