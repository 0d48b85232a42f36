package dns_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/ringtail-net/ringtail/api/internal/dns"
)

func TestIsName(t *testing.T) {
	label := strings.Repeat("a", 63)
	for name, want := range map[string]bool{
		"a": true, "a.": true, "www.Example.com": true, "a-b._tcp.x1": true, "1.host": true, "0x7f.1": true,
		"": false, ".": false, "..": false, "a..b": false, ".a": false, "-a": false, "a-.b": false, "a b": false, "ä": false,
		"1": false, "10.0.0.256": false, "10.1": false, "a/b": false, "*.a": false, "a@b": false, "a\x00": false, "a`": false,
		label: true, label + "a": false,
		strings.Repeat(label+".", 3) + label[:61]:       true, // 253 bytes
		strings.Repeat(label+".", 3) + label[:61] + ".": true,
		strings.Repeat(label+".", 3) + label[:62]:       false,
	} {
		if got := dns.IsName(name); got != want {
			t.Errorf("IsName(%q) = %v", name, got)
		}
		if _, err := dns.Query(name, dns.A); want && err != nil {
			t.Errorf("Query(%q): %v", name, err)
		}
	}
}

func query(t testing.TB, name string, typ dns.Type) dns.Message {
	t.Helper()
	q, err := dns.Query(name, typ)
	if err != nil {
		t.Fatal(err)
	}
	q.SetID(0xbeef)
	return q
}

func TestQuery(t *testing.T) {
	q := query(t, "www.test", dns.AAAA)
	var m dnsmessage.Message
	if err := m.Unpack(q); err != nil {
		t.Fatal(err)
	}
	if m.ID != 0xbeef || q.ID() != m.ID || !m.RecursionDesired || m.Response || len(m.Questions) != 1 || len(m.Additionals) != 1 {
		t.Errorf("%+v", m)
	}
	if opt := m.Additionals[0].Header; opt.Type != dnsmessage.TypeOPT || opt.Class != dns.MaxUDP {
		t.Errorf("%+v", opt)
	}
	if name, typ, ok := q.Question(); name != "www.test." || typ != dns.AAAA || !ok {
		t.Errorf("Question = %s, %v, %v", name, typ, ok)
	}
	if _, err := dns.Query("a..b", dns.A); err == nil {
		t.Error("an empty label passed")
	}
	if _, err := dns.Query(strings.Repeat("a.", 200), dns.A); err == nil {
		t.Error("a long name passed")
	}
}

func TestReply(t *testing.T) {
	all := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("10.0.0.2")}
	for typ, want := range map[dns.Type][]netip.Addr{dns.A: {all[0], all[2]}, dns.AAAA: {all[1]}} {
		q := query(t, "www.test", typ)
		r, err := dns.Reply(q, all)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Answers(q) || r.Truncated() || q.Answers(q) || r.Answers(query(t, "wwx.test", typ)) || !r.Answers(query(t, "WWW.TEST", typ)) {
			t.Errorf("%v: Answers is wrong", typ)
		}
		if got, err := r.Addrs(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %v, %v", typ, got, err)
		}
		for i := range r { // whatever is missing
			if got, err := r[:i].Addrs(); err != dns.Malformed {
				t.Errorf("the first %d bytes of %d: %v, %v", i, len(r), got, err)
			}
		}
	}
}

// reply makes a reply with a header and sections of choice.
func reply(t *testing.T, edit func(m *dnsmessage.Message)) dns.Message {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(query(t, "www.test", dns.A)); err != nil {
		t.Fatal(err)
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	edit(&m)
	r, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAddrs(t *testing.T) {
	name := dnsmessage.MustNewName("www.test.")
	h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}
	alias := dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("x.test.")}}
	a := dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}}
	mapped := dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("::ffff:10.0.0.1").As16()}}
	for what, c := range map[string]struct {
		edit func(m *dnsmessage.Message)
		want []string
		err  error
	}{
		"an alias":                   {func(m *dnsmessage.Message) { m.Answers = []dnsmessage.Resource{alias, a} }, []string{"10.0.0.1"}, nil},
		"an alias of nothing":        {func(m *dnsmessage.Message) { m.Answers = []dnsmessage.Resource{alias} }, nil, nil},
		"a mapped address":           {func(m *dnsmessage.Message) { m.Answers = []dnsmessage.Resource{mapped} }, []string{"10.0.0.1"}, nil},
		"nothing":                    {func(*dnsmessage.Message) {}, nil, nil},
		"nothing, and authoritative": {func(m *dnsmessage.Message) { m.RecursionAvailable, m.Authoritative = false, true }, nil, nil},
		"a referral":                 {func(m *dnsmessage.Message) { m.RecursionAvailable = false }, nil, dns.Referral},
		"no name":                    {func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }, nil, dns.ErrNoName},
		"SERVFAIL":                   {func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }, nil, dns.ServFail},
		"REFUSED":                    {func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeRefused }, nil, dns.ServerError("the server answered REFUSED")},
		"a code of its own":          {func(m *dnsmessage.Message) { m.RCode = 11 }, nil, dns.ServerError("the server answered with an error")},
	} {
		got, err := reply(t, c.edit).Addrs()
		var texts []string
		for _, a := range got {
			texts = append(texts, a.String())
		}
		if !errors.Is(err, c.err) || !slices.Equal(texts, c.want) {
			t.Errorf("%s: %v, %v", what, texts, err)
		}
	}
	if !dns.ServFail.Temporary() || dns.Referral.Temporary() {
		t.Error("what passes is SERVFAIL alone")
	}
	if !reply(t, func(m *dnsmessage.Message) { m.Truncated = true }).Truncated() {
		t.Error("not truncated")
	}
}

// FuzzMessage: whatever comes from the network is something or an error.
func FuzzMessage(f *testing.F) {
	q := query(f, "www.test", dns.A)
	r, err := dns.Reply(q, []netip.Addr{netip.MustParseAddr("10.0.0.1")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(q))
	f.Add([]byte(r))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, was := dns.Message(data), bytes.Clone(data)
		name, typ, ok := m.Question()
		answers := m.Answers(q)
		if answers && (!ok || !strings.EqualFold(name, "www.test.") || typ != dns.A || m.ID() != q.ID()) {
			t.Errorf("%x answers a query about something else", data)
		}
		addrs, err := m.Addrs()
		if err != nil && len(addrs) > 0 {
			t.Errorf("%v and %v", addrs, err)
		}
		if _, truncated := addrs, m.Truncated(); truncated && len(data) < 12 {
			t.Errorf("%x is truncated", data)
		}
		if r, err := dns.Reply(m, addrs); err == nil && !r.Answers(m) {
			t.Errorf("the reply %x does not answer %x", r, data)
		}
		if !bytes.Equal(data, was) {
			t.Error("reading changes the message")
		}
	})
}
