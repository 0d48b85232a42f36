package api_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/ringtail-net/ringtail/api"
)

func TestNames(t *testing.T) {
	z := zone{
		"www.test.":     {"A 10.0.0.9", "AAAA fd00::9", "A 10.0.0.8"},
		"four.test.":    {"A 10.0.0.9"},
		"alias.test.":   {"CNAME alias2.test."},
		"alias2.test.":  {"CNAME www.test."},
		"twice.test.":   {"A 10.0.0.9", "AAAA ::ffff:10.0.0.9"},
		"far.test.":     {"AAAA 2001:db8::1", "A 10.0.0.9"},
		"db.corp.test.": {"A 10.0.0.7"},
		"db.":           {"A 10.0.0.6"},
		"web.":          {"A 10.0.0.5"},
	}
	k := api.Names{
		Hosts: map[string][]netip.Addr{
			"Known.Test.":    {netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("fd00::4")},
			"mine.localhost": {netip.MustParseAddr("10.0.0.3")},
		},
		Search: []string{"nowhere.test", "corp.test."},
	}
	onLAN(t, lanConfig{zone: z, client: api.Config{Names: k}}, func(l *lan) {
		for _, c := range []struct {
			network, name, want string
			asked               []string
		}{
			{"udp", "www.test", "fd00::9", []string{"udp A www.test.", "udp AAAA www.test."}},
			{"udp4", "www.test", "10.0.0.9", []string{"udp A www.test."}},
			{"udp6", "www.test", "fd00::9", []string{"udp AAAA www.test."}},
			{"icmp4", "www.test", "10.0.0.9", []string{"udp A www.test."}},
			{"udp", "WWW.Test.", "fd00::9", []string{"udp A www.test.", "udp AAAA www.test."}},
			{"udp", "four.test", "10.0.0.9", []string{"udp A four.test.", "udp AAAA four.test."}},
			{"udp6", "alias.test", "fd00::9", []string{"udp AAAA alias.test."}},
			{"udp", "twice.test", "10.0.0.9", []string{"udp A twice.test.", "udp AAAA twice.test."}},
			{"udp4", "db", "10.0.0.7", []string{"udp A db.nowhere.test.", "udp A db.corp.test."}},
			{"udp4", "db.", "10.0.0.6", []string{"udp A db."}},
			{"udp4", "web", "10.0.0.5", []string{"udp A web.nowhere.test.", "udp A web.corp.test.", "udp A web."}},
			{"udp", "known.test", "fd00::4", nil},
			{"udp4", "KNOWN.test.", "10.0.0.4", nil},
			{"udp", "localhost", "127.0.0.1", nil},
			{"udp6", "LOCALHOST.", "::1", nil},
			{"udp", "any.localhost", "127.0.0.1", nil},
			{"udp", "mine.localhost", "10.0.0.3", nil},
			{"udp", "10.0.0.2", "10.0.0.2", nil},
		} {
			if got := l.address(c.network, c.name); got != c.want {
				l.Errorf("%s of %s is %s, want %s", c.network, c.name, got, c.want)
			}
			l.asked(c.network+" "+c.name, c.asked...)
		}
		l.took("all of it", 0)
	})
}

// TestOnlyIPv4: a host without IPv6 does not begin with addresses that it cannot
// reach.
func TestOnlyIPv4(t *testing.T) {
	z := zone{"www.test.": {"AAAA fd00::9", "A 10.0.0.53"}}
	onLAN(t, lanConfig{zone: z, only: "4"}, func(l *lan) {
		ln := must1(l.first.Listen("tcp", ":80"))
		defer ln.Close()
		c := must1(l.client.Dial("tcp", "www.test:80"))
		l.took("the dial", 0)
		c.(*api.Conn).SetLinger(0)
		c.Close()
		_, err := l.client.Dial("tcp6", "www.test:80")
		if !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("IPv6 nevertheless: %v", err)
		}
	})
}

// TestNoAddress: what package net says of names without addresses, and its shape.
func TestNoAddress(t *testing.T) {
	z := zone{
		"text.test.":   {"TXT hello"},
		"four.test.":   {"A 10.0.0.9"},
		"broken.test.": {"SERVFAIL"},
		"no.test.":     {"REFUSED"},
		"half4.test.":  {"SILENT AAAA"},
		"half6.test.":  {"SILENT A"},
		"known.":       {"A 10.0.0.1"},
	}
	k := api.Names{Hosts: map[string][]netip.Addr{"known": {netip.MustParseAddr("10.0.0.4")}}, Search: []string{"broken.test"}}
	z["x.broken.test."] = []string{"SERVFAIL"}
	onLAN(t, lanConfig{zone: z, client: api.Config{Names: k}}, func(l *lan) {
		for _, c := range []struct {
			network, name string
			want          net.DNSError
			asked         int
		}{
			{"tcp", "nobody.test", net.DNSError{Err: "no such host", IsNotFound: true, Server: "10.0.0.53:53"}, 2},
			{"tcp", "text.test", net.DNSError{Err: "no such host", IsNotFound: true, Server: "10.0.0.53:53"}, 2},
			{"tcp6", "four.test", net.DNSError{Err: "no such host", IsNotFound: true, Server: "10.0.0.53:53"}, 1},
			{"tcp4", "broken.test", net.DNSError{Err: "the server answered SERVFAIL", IsTemporary: true, Server: "10.0.0.53:53"}, 2},
			{"tcp4", "no.test", net.DNSError{Err: "the server answered REFUSED", Server: "10.0.0.53:53"}, 2},
			{"tcp", "half4.test", net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true, Server: "10.0.0.53:53"}, 3},
			{"tcp", "half6.test", net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true, Server: "10.0.0.53:53"}, 3},
			{"tcp4", "x", net.DNSError{Err: "the server answered SERVFAIL", IsTemporary: true, Server: "10.0.0.53:53"}, 2}, // and not x
			{"tcp", "hidden.onion", net.DNSError{Err: "no such host", IsNotFound: true}, 0},
			{"tcp", "10.0.0.256", net.DNSError{Err: "no such host", IsNotFound: true}, 0},
			{"tcp", "a..test", net.DNSError{Err: "no such host", IsNotFound: true}, 0},
			{"tcp", "smörgås.test", net.DNSError{Err: "no such host", IsNotFound: true}, 0},
			{"tcp", strings.Repeat("a", 64) + ".test", net.DNSError{Err: "no such host", IsNotFound: true}, 0},
		} {
			_, err := l.client.Dial(c.network, c.name+":80")
			var op *net.OpError
			var got *net.DNSError
			if !errors.As(err, &op) || op.Op != "dial" || op.Net != c.network || !errors.As(err, &got) {
				t.Errorf("%s: %#v", c.name, err)
				continue
			}
			c.want.Name, c.want.UnwrapErr = c.name, got.UnwrapErr
			if *got != c.want {
				t.Errorf("%s: %#v, want %#v", c.name, got, c.want)
			}
			if op.Timeout() != c.want.IsTimeout || errors.Is(err, context.DeadlineExceeded) != c.want.IsTimeout {
				t.Errorf("%s: Timeout() = %v, and wraps %v", c.name, op.Timeout(), got.UnwrapErr)
			}
			if n := len(l.server.queries()); n != c.asked {
				t.Errorf("%s: the server was asked %d times, want %d", c.name, n, c.asked)
			}
		}
		_, err := l.client.Dial("tcp6", "known:80") // is known, and has none
		if want := "dial tcp6: address known: no suitable address found"; err == nil || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
		l.asked("a host of Hosts")
	})
}

// TestServers: the next server is asked if one does not answer.
func TestServers(t *testing.T) {
	both := api.Config{Names: api.Names{Servers: []netip.AddrPort{netip.AddrPortFrom(secondServer.Addr(), 0), firstServer}}}
	dead := both
	dead.Names.Servers = []netip.AddrPort{noServer, firstServer}
	z := zone{"www.test.": {"A 10.0.0.9", "AAAA fd00::9"}, "deaf.test.": {"A 10.0.0.9", "SILENT AAAA"}}
	t.Run("nobody there", func(t *testing.T) {
		onLAN(t, lanConfig{zone: z, client: dead}, func(l *lan) {
			l.address("udp", "www.test")
			l.took("the lookup", 5*time.Second)
		})
	})
	t.Run("no server there", func(t *testing.T) {
		onLAN(t, lanConfig{zone: z, client: both}, func(l *lan) {
			l.address("udp", "www.test")
			l.took("the lookup", 0) // ICMP has said so
		})
	})
	t.Run("no answer there", func(t *testing.T) {
		for _, what := range []string{"SERVFAIL", "REFUSED"} {
			onLAN(t, lanConfig{zone: z, client: both}, func(l *lan) {
				s := serveNames(l.T, l.second, zone{"www.test.": {what}}, nil)
				l.address("udp4", "www.test")
				l.asked(what, "udp A www.test.")
				if n := len(s.queries()); n != 1 {
					t.Errorf("the one that answers %s was asked %d times", what, n)
				}
			})
		}
	})
	t.Run("one family of two", func(t *testing.T) {
		onLAN(t, lanConfig{zone: z, client: dead}, func(l *lan) {
			l.client.SetNames(api.Names{Servers: []netip.AddrPort{firstServer}})
			if got := l.address("udp", "deaf.test"); got != "10.0.0.9" {
				t.Errorf("the address is %s", got)
			}
			l.took("the lookup", 50*time.Millisecond)
		})
	})
	t.Run("one family later", func(t *testing.T) {
		late := zone{"late.test.": {"A 10.0.0.9", "AAAA fd00::9", "LATE AAAA"}, "later.test.": {"A 10.0.0.9", "SILENT AAAA"}}
		onLAN(t, lanConfig{zone: late}, func(l *lan) {
			if got := l.address("udp", "late.test"); got != "10.0.0.9" {
				t.Errorf("the address is %s", got)
			}
			l.took("the lookup", 50*time.Millisecond)
		})
		onLAN(t, lanConfig{zone: late, only: "6"}, func(l *lan) { // to which IPv4 is of no use
			if got := l.address("udp", "late.test"); got != "fd00::9" {
				t.Errorf("the address is %s", got)
			}
			l.took("the lookup", lateness)
			if _, err := l.client.Dial("tcp", "later.test:80"); !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Errorf("an address without a route: %v", err)
			}
			l.took("the lookup, with both tries", 10*time.Second)
		})
	})
	t.Run("twice", func(t *testing.T) {
		k := api.Names{Servers: []netip.AddrPort{noServer, noServer}, Timeout: 3 * time.Second, Attempts: 4}
		onLAN(t, lanConfig{client: api.Config{Names: k}}, func(l *lan) {
			if _, err := l.client.Dial("tcp", "www.test:80"); err == nil {
				t.Error("dialled")
			}
			l.took("the lookup", 24*time.Second)
		})
	})
}

// TestTruncated: what does not fit into a datagram comes by TCP.
func TestTruncated(t *testing.T) {
	var many []string
	for i := range 100 {
		many = append(many, "A "+netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}).String())
	}
	onLAN(t, lanConfig{zone: zone{"many.test.": many, "hangup.test.": append(many, "HANGUP")}}, func(l *lan) {
		if got := l.address("udp4", "many.test"); got != "10.0.1.0" {
			t.Errorf("the address is %s", got)
		}
		l.asked("a long answer", "udp A many.test.", "tcp A many.test.")
		_, err := l.client.Dial("tcp4", "hangup.test:80")
		if err == nil || !strings.Contains(err.Error(), "the server ended the connection without a reply") {
			t.Errorf("a server that hangs up: %v", err)
		}
		l.server.tcp.Close()
		_, err = l.client.Dial("tcp4", "many.test:80")
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsTemporary || !strings.Contains(dns.Err, "refused") {
			t.Errorf("without TCP: %v", err)
		}
	})
}

// TestForgery: replies that are not the server's to the query are as if they had
// not come.
func TestForgery(t *testing.T) {
	other := func(edit func(m *dnsmessage.Message)) func(reply []byte) []byte {
		return func(reply []byte) []byte {
			var m dnsmessage.Message
			must(m.Unpack(reply))
			m.Answers[0].Body = &dnsmessage.AResource{A: [4]byte{6, 6, 6, 6}}
			edit(&m)
			return must1(m.Pack())
		}
	}
	forgeries := map[string]func(reply []byte) []byte{
		"another ID":       other(func(m *dnsmessage.Message) { m.ID++ }),
		"another name":     other(func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("wwx.test.") }),
		"another type":     other(func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeAAAA }),
		"another class":    other(func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }),
		"no question":      other(func(m *dnsmessage.Message) { m.Questions = nil }),
		"a query":          other(func(m *dnsmessage.Message) { m.Response = false }),
		"nothing":          func([]byte) []byte { return nil },
		"half of a header": func(reply []byte) []byte { return reply[:6] },
	}
	for what, forge := range forgeries {
		t.Run(what, func(t *testing.T) {
			c := lanConfig{zone: zone{"www.test.": {"A 10.0.0.9"}}}
			c.forge = func(l *lan, _, reply []byte, to net.Addr) { must1(l.server.udp.WriteTo(forge(reply), to)) }
			onLAN(t, c, func(l *lan) {
				if got := l.address("udp4", "www.test"); got != "10.0.0.9" {
					t.Errorf("the address is %s", got)
				}
				l.asked("the lookup", "udp A www.test.")
			})
		})
	}
	for what, from := range map[string]func(l *lan) *api.Net{
		"another port": func(l *lan) *api.Net { return l.first }, "another host": func(l *lan) *api.Net { return l.second },
	} {
		t.Run(what, func(t *testing.T) {
			c := lanConfig{zone: zone{"www.test.": {"A 10.0.0.9"}}}
			c.forge = func(l *lan, _, reply []byte, to net.Addr) {
				s := must1(from(l).ListenPacket("udp", ":0"))
				defer s.Close()
				must1(s.WriteTo(other(func(*dnsmessage.Message) {})(reply), to)) // right in everything else
			}
			onLAN(t, c, func(l *lan) {
				if got := l.address("udp4", "www.test"); got != "10.0.0.9" {
					t.Errorf("the address is %s", got)
				}
			})
		})
	}
}

// TestQueryIDs: they come from where the configuration says, and not twice.
func TestQueryIDs(t *testing.T) {
	c := lanConfig{zone: zone{"www.test.": {"A 10.0.0.9"}}, client: api.Config{Rand: bytes.NewReader([]byte{1, 2, 3, 4, 5, 6})}}
	onLAN(t, c, func(l *lan) {
		l.address("udp", "www.test")
		l.address("udp4", "www.test")
		if ids := l.server.seenIDs(); len(ids) != 3 || ids[0] != 0x0102 || ids[1] != 0x0304 || ids[2] != 0x0506 {
			t.Errorf("the IDs were %x", ids)
		}
		if _, err := l.client.Dial("tcp", "www.test:80"); err == nil {
			t.Error("asked without randomness")
		}
	})
	c.client.Rand = nil
	onLAN(t, c, func(l *lan) {
		for range 8 {
			l.address("udp", "www.test")
		}
		ids := l.server.seenIDs()
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n < 14 { // of 16; that so many are alike by chance is one in a million
			t.Errorf("there were %d IDs", n)
		}
	})
}
