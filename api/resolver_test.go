package api_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// Package net's resolver keeps channels for the process, so these tests are in
// real time, and not in a bubble.

// withResolver makes a client of a nameServer.
func withResolver(t *testing.T, z zone, k api.Names) (*api.Net, *nameServer) {
	hosts := hostsOnWire(t, []string{"10.0.0.53/24"}, []string{"10.0.0.2/24"})
	var nets []*api.Net
	for _, h := range hosts {
		lib := api.New(h, api.Config{Strict: true})
		t.Cleanup(func() { lib.Exit() })
		nets = append(nets, lib.Net())
	}
	nets[1].SetNames(k)
	return nets[1], serveNames(t, nets[0], z, nil)
}

func TestResolver(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat(strings.Repeat("x", 99)+" ", 20))
	z := zone{
		"test.":                  {"MX mail.test."},
		"text.test.":             {"TXT short"},
		"long.test.":             {"TXT " + long},
		"www.test.":              {"CNAME web.test."},
		"web.test.":              {"A 10.0.0.9", "AAAA fd00::9"},
		"9.0.0.10.in-addr.arpa.": {"PTR web.test."},
		"broken.test.":           {"SERVFAIL"},
		"known.test.":            {"A 10.0.0.66", "TXT there"},
		"unknown.localhost.":     {"A 10.0.0.66"},
	}
	k := api.Names{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:54"), firstServer}, // nobody is at the first
		Hosts:   map[string][]netip.Addr{"known.test": addrs("10.0.0.4", "fd00::4")},
	}
	client, server := withResolver(t, z, k)
	r := client.Resolver()
	check := func(what string, got any, err error, want ...string) {
		t.Helper()
		var texts []string
		switch got := got.(type) {
		case []string:
			texts = got
		case []*net.MX:
			for _, mx := range got {
				texts = append(texts, mx.Host)
			}
		}
		slices.Sort(texts)
		if err != nil || !slices.Equal(texts, want) {
			t.Errorf("%s: got %q, %v, want %q", what, texts, err, want)
		}
	}
	hosts, err := r.LookupHost(ctx, "www.test.")
	check("LookupHost", hosts, err, "10.0.0.9", "fd00::9")
	hosts, err = r.LookupHost(ctx, "known.test.")
	check("LookupHost of Hosts", hosts, err, "10.0.0.4", "fd00::4")
	hosts, err = r.LookupHost(ctx, "unknown.localhost.")
	check("LookupHost of localhost", hosts, err, "127.0.0.1", "::1")
	mx, err := r.LookupMX(ctx, "test.")
	check("LookupMX", mx, err, "mail.test.")
	names, err := r.LookupAddr(ctx, "10.0.0.9")
	check("LookupAddr", names, err, "web.test.")
	name, err := r.LookupCNAME(ctx, "www.test.")
	check("LookupCNAME", []string{name}, err, "web.test.")
	texts, err := r.LookupTXT(ctx, "text.test.")
	check("LookupTXT", texts, err, "short")
	texts, err = r.LookupTXT(ctx, "known.test.")
	check("LookupTXT of Hosts, which have none", texts, err, "there")
	server.queries()
	texts, err = r.LookupTXT(ctx, "long.test.")
	check("LookupTXT of a long text", texts, err, strings.ReplaceAll(long, " ", ""))
	if got, want := server.queries(), []string{"udp TXT long.test.", "tcp TXT long.test."}; !slices.Equal(got, want) {
		t.Errorf("the server was asked %q, want %q", got, want)
	}
	for name, check := range map[string]func(*net.DNSError) bool{
		"nobody.test.": func(e *net.DNSError) bool { return e.IsNotFound && !e.IsTemporary },
		"broken.test.": func(e *net.DNSError) bool { return !e.IsNotFound && e.IsTemporary },
	} {
		_, err := r.LookupTXT(ctx, name)
		var dns *net.DNSError
		if !errors.As(err, &dns) || !check(dns) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestResolverWithoutServers(t *testing.T) {
	client, _ := withResolver(t, nil, api.Names{Hosts: map[string][]netip.Addr{"known.test": addrs("10.0.0.4")}})
	if got, err := client.Resolver().LookupHost(ctx, "known.test."); err != nil || len(got) != 1 {
		t.Errorf("a host of Hosts: %v, %v", got, err)
	}
	_, err := client.Resolver().LookupMX(ctx, "test.")
	if err == nil || !strings.Contains(err.Error(), "this host has no DNS servers") {
		t.Errorf("without servers: %v", err)
	}
}

// TestResolverEnds: an exchange ends with its context, its deadline, and Close.
func TestResolverEnds(t *testing.T) {
	k := api.Names{Servers: []netip.AddrPort{firstServer}, Timeout: time.Hour}
	client, server := withResolver(t, zone{"silent.test.": {"SILENT"}}, k)
	r := client.Resolver()
	asked := func() {
		for len(server.queries()) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	ending, cancel := context.WithCancel(ctx)
	go func() { asked(); cancel() }()
	if _, err := r.LookupTXT(ending, "silent.test."); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancel: %v", err)
	}

	query := []byte{0, 29, 0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 6, 's', 'i', 'l', 'e', 'n', 't', 4, 't', 'e', 's', 't', 0, 0, 16, 0, 1}
	c := must1(r.Dial(ctx, "udp", "192.0.2.1:53"))
	buf := make([]byte, 512)
	if n, err := c.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("a read without a query: %d, %v", n, err)
	}
	must1(c.Write(query[:10]))
	if n, err := c.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("a read with half a query: %d, %v", n, err)
	}
	must1(c.Write(query[10:]))
	c.SetDeadline(time.Now().Add(10 * time.Millisecond))
	var timeout net.Error
	if n, err := c.Read(buf); n != 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a deadline: %d, %v", n, err)
	}
	asked()
	must1(c.Write(query))
	c.SetDeadline(time.Time{})
	go func() { asked(); c.Close() }()
	if n, err := c.Read(buf); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("a close: %d, %v", n, err)
	}
	must1(c.Write([]byte{0, 3, 1, 2, 3}))
	if n, err := c.Read(buf); n != 0 || err == nil || err == io.EOF {
		t.Errorf("what is no query: %d, %v", n, err)
	}
}

// TestResolverPieces: a reply may be read in pieces, and queries come in any.
func TestResolverPieces(t *testing.T) {
	client, _ := withResolver(t, nil, api.Names{Hosts: map[string][]netip.Addr{"a.test": addrs("10.0.0.4")}})
	c := must1(client.Resolver().Dial(ctx, "tcp", "192.0.2.1:53"))
	defer c.Close()
	query := []byte{0, 24, 7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1}
	two := slices.Concat(query, query)
	for i := range two {
		must1(c.Write(two[i : i+1]))
	}
	var replies [][]byte
	for range 2 {
		size := make([]byte, 2)
		must1(io.ReadFull(c, size))
		reply := make([]byte, int(size[0])<<8|int(size[1]))
		for i := range reply {
			must1(c.Read(reply[i : i+1]))
		}
		replies = append(replies, reply)
	}
	if !slices.Equal(replies[0], replies[1]) || !slices.Equal(replies[0][:2], query[2:4]) || !slices.Equal(replies[0][len(replies[0])-4:], []byte{10, 0, 0, 4}) {
		t.Errorf("replies %x", replies)
	}
}
