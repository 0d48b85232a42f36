package api

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringtail-net/ringtail/api/internal/dns"
)

// Names is what a [Net] knows about names. The zero value knows localhost, and
// literal addresses need no names.
//
// A name is looked up in Hosts, then by Known, and if it is not there the Servers are asked, for
// the families that the network of the call takes: "tcp4" for IPv4 alone. When
// there are addresses of IPv4 that the host can reach, those of IPv6 have 50 ms
// more to come (RFC 8305). Nothing comes from the machine: not its hosts
// file, resolv.conf or nsswitch.conf, and not /etc/services either. An operator
// who wants them reads them, by [ParseHosts] for example.
//
// localhost, and every name below it, is the loopback address unless Hosts says
// otherwise (RFC 6761). A name without a dot is completed by Search. A name below
// .local is asked for like any other, not by multicast; one below .onion is not
// asked for at all (RFC 7686). Names are not case-sensitive, and a final dot says
// that a name is complete.
//
// Answers are not cached: connections are, by those who dial often.
type Names struct {
	// Servers are DNS servers that follow referrals, asked in order: the next
	// one if one does not answer, or answers neither with addresses nor that
	// there are none. Port 0 is 53.
	Servers []netip.AddrPort

	// Hosts are known addresses, as in /etc/hosts. What is here is not asked
	// for.
	Hosts map[string][]netip.Addr

	// Known, if set, is asked for the addresses of names that Hosts lacks, in
	// lower case and without a final dot: a table that changes while it is in
	// use, or a large one. It answers at once, and may be called by several
	// goroutines. No answer: the Servers are asked.
	Known func(name string) []netip.Addr

	// Search are domains: a name without a dot is asked for in each of them, in
	// order, and then as it is.
	Search []string

	// Timeout is how long a server may take to answer. Zero: 5 s. A dial or a
	// context with less time than all tries would take gives each its share, and
	// at least a second.
	Timeout time.Duration

	// Attempts is how often all servers are asked. Zero: 2.
	Attempts int
}

const (
	defaultNameTimeout  = 5 * time.Second
	defaultNameAttempts = 2
	dnsPort             = 53
)

// SetNames replaces what n knows about names. It keeps nothing of names itself. A
// lookup under way goes on with what it began with.
func (n *Net) SetNames(names Names) {
	names = names.clone()
	n.names.Store(&names)
}

// Names returns what n knows about names: a copy of what was set, with the names
// in lower case and without final dots.
func (n *Net) Names() Names { return n.names.Load().clone() }

// Validate says what is wrong with k: a server without an address, or a domain of
// Search that is none. SetNames takes such names all the same; lookups fail by
// them.
func (k Names) Validate() error {
	for _, s := range k.Servers {
		if !s.Addr().IsValid() || s.Addr().IsUnspecified() {
			return errors.New("a DNS server without an address")
		}
	}
	for _, domain := range k.Search {
		if domain = canonicalName(domain); domain == "" || !dns.IsName(domain) {
			return fmt.Errorf("search domain %q: want a name such as lab.example", domain)
		}
	}
	return nil
}

// clone returns a copy in canonical form.
func (k Names) clone() Names {
	k.Servers = slices.Clone(k.Servers)
	for i, s := range k.Servers {
		if s.Port() == 0 {
			s = netip.AddrPortFrom(s.Addr(), dnsPort)
		}
		k.Servers[i] = unmap(s)
	}
	k.Search = slices.Clone(k.Search)
	for i, domain := range k.Search {
		k.Search[i] = canonicalName(domain)
	}
	if k.Hosts == nil {
		return k
	}
	hosts := make(map[string][]netip.Addr, len(k.Hosts))
	for _, name := range slices.Sorted(maps.Keys(k.Hosts)) { // two of them may be the same name
		key := canonicalName(name)
		hosts[key] = appendAddrs(hosts[key], k.Hosts[name]...)
	}
	k.Hosts = hosts
	return k
}

func canonicalName(name string) string { return strings.ToLower(strings.TrimRight(name, ".")) }

// appendAddrs appends the addresses that are not there yet.
func appendAddrs(to []netip.Addr, addrs ...netip.Addr) []netip.Addr {
	for _, a := range addrs {
		if a = a.Unmap(); !slices.Contains(to, a) {
			to = append(to, a)
		}
	}
	return to
}

// local returns the addresses of a name that no server is asked for.
func (k *Names) local(name string) []netip.Addr {
	name = canonicalName(name)
	if addrs := k.Hosts[name]; len(addrs) > 0 {
		return addrs
	}
	if k.Known != nil {
		if addrs := k.Known(name); len(addrs) > 0 {
			return appendAddrs(nil, addrs...)
		}
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return loopbacks
	}
	return nil
}

// complete returns the names that a name may stand for, in the order in which to
// ask for them.
func (k *Names) complete(name string) (names []string) {
	full := canonicalName(name)
	if !strings.Contains(name, ".") {
		for _, domain := range k.Search {
			names = append(names, full+"."+domain)
		}
	}
	return append(names, full)
}

// timeout is Timeout.
func (k *Names) timeout() time.Duration {
	if k.Timeout <= 0 {
		return defaultNameTimeout
	}
	return k.Timeout
}

// tries is how many times a server is asked at most, all of them together.
func (k *Names) tries() int {
	if k.Attempts <= 0 {
		return defaultNameAttempts * len(k.Servers)
	}
	return k.Attempts * len(k.Servers)
}
