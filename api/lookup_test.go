package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// TestLookup: names are for every transport.
func TestLookup(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		kind, family := "A", "4"
		if r.addr.Is6() {
			kind, family = "AAAA", "6"
		}
		z := zone{"www.test.": {kind + " " + r.addr.String()}}
		next := r.addr
		for range 100 { // of the same link, that no transport minds
			next = next.Next()
			z["many.test."] = append(z["many.test."], kind+" "+next.String())
		}
		s := serveNamesAt(t, r.server.Net(), "0", z, nil)
		at := netip.AddrPortFrom(r.addr, addrPort(s.udp.LocalAddr()).Port())
		n := r.client.Net()
		n.SetNames(api.Names{Servers: []netip.AddrPort{at}})
		c := must1(n.Dial("tcp"+family, fmt.Sprint("www.test:", at.Port())))
		if got := addrPort(c.RemoteAddr()); got != at {
			t.Errorf("dialled %v, want %v", got, at)
		}
		c.Close()
		if got, err := addressOf(n, "udp"+family, "many.test"); got != r.addr.Next().String() {
			t.Errorf("a long answer: %s, %v", got, err)
		}
		want := []string{"udp " + kind + " www.test.", "udp " + kind + " many.test.", "tcp " + kind + " many.test."}
		if got := s.queries(); !slices.Equal(got, want) {
			t.Errorf("the server was asked %q, want %q", got, want)
		}
		var dns *net.DNSError
		if _, err := n.Dial("tcp", "nobody.test:80"); !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("nobody: %v", err)
		}
	})
}

// TestLookupTakesNoLonger: a lookup ends with its context, and with the timeout
// of its dial, also when servers are left to ask.
func TestLookupTakesNoLonger(t *testing.T) {
	silent := lanConfig{client: api.Config{Names: api.Names{Servers: []netip.AddrPort{noServer}}}}
	onLAN(t, silent, func(l *lan) {
		f := faces{T: l.T}
		begun, cancel := context.WithTimeout(ctx, 7*time.Second)
		defer cancel()
		_, err := l.client.DialContext(begun, "tcp", "www.test:80")
		f.fails("a deadline", err, context.DeadlineExceeded, true)
		l.took("the deadline", 7*time.Second)
		_, err = l.client.DialContext(begun, "tcp", "www.test:80")
		f.fails("a deadline that is past", err, context.DeadlineExceeded, true)
		c := api.ListenConfig{Net: l.client}
		_, err = c.Listen(begun, "tcp", "www.test:80")
		f.fails("Listen, with a deadline that is past", err, context.DeadlineExceeded, true)
		l.took("deadlines that are past", 0)

		d := api.Dialer{Net: l.client, Timeout: 3 * time.Second}
		_, err = d.Dial("tcp", "www.test:80")
		f.fails("a timeout", err, context.DeadlineExceeded, true)
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsTimeout || !dns.IsTemporary || dns.Server != noServer.String() {
			t.Errorf("a timeout: %#v", dns)
		}
		l.took("the timeout", 3*time.Second)

		ending, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		_, err = l.client.DialContext(ending, "tcp", "www.test:80")
		f.fails("a cancel", err, context.Canceled, false)
		l.took("the cancel", time.Second)
		l.client.SetNames(api.Names{Servers: []netip.AddrPort{firstServer}})
		_, err = l.client.DialContext(ending, "tcp", "www.test:80")
		f.fails("a context that has ended", err, context.Canceled, false)
		l.asked("a context that has ended")
		l.took("a context that has ended", 0)
	})
}

// TestLookupShares: who has little time does not spend all of it on a server that
// is dead, and who has very little does.
func TestLookupShares(t *testing.T) {
	c := lanConfig{zone: zone{"www.test.": {"A 10.0.0.53"}}}
	c.client.Names.Servers = []netip.AddrPort{noServer, firstServer}
	onLAN(t, c, func(l *lan) {
		ln := must1(l.first.Listen("tcp", ":80"))
		defer ln.Close()
		d := api.Dialer{Net: l.client, Timeout: 8 * time.Second}
		must1(d.Dial("tcp4", "www.test:80")).Close()
		l.took("a dial with 8 s for four tries", 2*time.Second)
		d.Timeout = 3 * time.Second
		must1(d.Dial("tcp4", "www.test:80")).Close()
		l.took("a dial with 3 s", time.Second)
		d.Timeout = time.Second
		if _, err := d.Dial("tcp4", "www.test:80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a dial with one second: %v", err)
		}
		l.took("a dial with one second", time.Second)
	})
}

func TestExitEndsLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hostsOnWire(t, []string{"10.0.0.1/24"})[0]
		lib := api.New(h, api.Config{Strict: true, Names: api.Names{Servers: []netip.AddrPort{firstServer}}})
		time.AfterFunc(time.Second, func() { lib.Exit() })
		begin := time.Now()
		_, err := lib.Net().Dial("tcp", "www.test:80")
		if !errors.Is(err, net.ErrClosed) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestListenByName(t *testing.T) {
	z := zone{"me.test.": {"AAAA fd00::2", "A 10.0.0.2"}, "me6.test.": {"AAAA fd00::2"}}
	onLAN(t, lanConfig{zone: z}, func(l *lan) {
		for name, want := range map[string]string{"me.test": "10.0.0.2:80", "me6.test": "[fd00::2]:80", "localhost": "127.0.0.1:80"} {
			ln := must1(l.client.Listen("tcp", name+":http"))
			if got := ln.Addr().String(); got != want {
				t.Errorf("%s: listens on %v, want %v", name, got, want)
			}
			ln.Close()
			p := must1(l.client.ListenPacket("udp", name+":80"))
			if p.LocalAddr().String() != ln.Addr().String() {
				t.Errorf("%s: a datagram socket on %v", name, p.LocalAddr())
			}
			p.Close()
		}
		_, err := l.client.Listen("tcp", "nobody.test:80")
		var op *net.OpError
		var dns *net.DNSError
		if !errors.As(err, &op) || op.Op != "listen" || !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("Listen: %v", err)
		}
	})
}

// TestNoServers: whoever has no servers is told how to get some.
func TestNoServers(t *testing.T) {
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	_, err := l.Net().Dial("tcp", "host.invalid:80")
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsNotFound || dns.Name != "host.invalid" {
		t.Errorf("Dial: %v", err)
	}
	const want = "dial tcp: lookup host.invalid: no such host: this host has no DNS servers: " +
		"give it some (Config.Names, SetNames, --dns), or use a literal address"
	if err.Error() != want {
		t.Errorf("Dial: %v, want %s", err, want)
	}
	must1(l.Net().Dial("tcp", "localhost:80")).Close()
}

// TestNamesAreCopied: what is set and what is got is nobody else's.
func TestNamesAreCopied(t *testing.T) {
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	n := l.Net()
	if got := n.Names(); !reflect.DeepEqual(got, api.Names{}) {
		t.Errorf("at first: %+v", got)
	}
	set := api.Names{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:0"), netip.MustParseAddrPort("[fd00::1]:5353")},
		Hosts: map[string][]netip.Addr{
			"Web.": addrs("10.0.0.2", "::ffff:10.0.0.2"), "web": addrs("fd00::2"),
		},
		Search:   []string{"Corp.Test."},
		Timeout:  time.Second,
		Attempts: 3,
	}
	want := api.Names{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:53"), netip.MustParseAddrPort("[fd00::1]:5353")},
		Hosts:   map[string][]netip.Addr{"web": addrs("10.0.0.2", "fd00::2")},
		Search:  []string{"corp.test"},
		Timeout: time.Second, Attempts: 3,
	}
	n.SetNames(set)
	spoil := func(k api.Names) {
		k.Servers[0], k.Search[0] = netip.AddrPort{}, "spoilt"
		for _, as := range k.Hosts {
			as[0] = netip.Addr{}
		}
		clear(k.Hosts)
	}
	for range 2 {
		got := n.Names()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		spoil(got)
	}
	spoil(set)
	if got := n.Names(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestSetNamesWhileDialing: lookups see what was set before or after, and nothing
// in between. It is for the race detector.
func TestSetNamesWhileDialing(t *testing.T) {
	r := hostsOnWire(t, []string{"10.0.0.53/24"}, []string{"10.0.0.2/24"})
	server, client := api.New(r[0], api.Config{Strict: true}).Net(), api.New(r[1], api.Config{Strict: true}).Net()
	serveNames(t, server, zone{"www.test.": {"A 10.0.0.9"}, "www.corp.test.": {"A 10.0.0.9"}}, nil)
	set := []api.Names{
		{Servers: []netip.AddrPort{firstServer}},
		{Servers: []netip.AddrPort{firstServer}, Search: []string{"corp.test"}, Attempts: 3},
		{Hosts: map[string][]netip.Addr{"www.test": addrs("10.0.0.9", "10.0.0.10")}},
	}
	client.SetNames(set[0])
	done := make(chan struct{})
	var setter, dialers sync.WaitGroup
	setter.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				client.SetNames(set[i%len(set)])
				client.Names()
			}
		}
	})
	for range 4 {
		dialers.Go(func() {
			for range 100 {
				c, err := client.Dial("udp4", "www.test:9")
				if err != nil {
					t.Error(err)
					return
				}
				if got := c.RemoteAddr().String(); got != "10.0.0.9:9" {
					t.Errorf("dialled %s", got)
				}
				c.Close()
			}
		})
	}
	dialers.Wait()
	close(done)
	setter.Wait()
}

// TestPorts: names of ports are the host's own too.
func TestPorts(t *testing.T) {
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	for service, want := range map[string]int{"http": 80, "HTTPS": 443, "domain": 53, "": 0, "+7": 7, "007": 7, "65535": 65535} {
		c, err := l.Net().Dial("tcp", "10.0.0.1:"+service)
		if err != nil || int(addrPort(c.RemoteAddr()).Port()) != want {
			t.Errorf("%q: %v, want port %d", service, err, want)
		}
		if c != nil {
			c.Close()
		}
	}
	for _, service := range []string{"gopher", "http ", "1x", "65536", "-1", "99999999999999999999", "0x50"} {
		_, ours := l.Net().Dial("tcp", "10.0.0.1:"+service)
		_, theirs := net.DefaultResolver.LookupPort(ctx, "tcp", service)
		if ours == nil || theirs != nil && errors.Unwrap(ours).Error() != theirs.Error() {
			t.Errorf("%q: %v, package net says %v", service, ours, theirs)
		}
	}
}
