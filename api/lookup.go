package api

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ringtail-net/ringtail/api/internal/dns"
)

// lookup finds the addresses of a host, in the order in which to try them: the
// invalid one for no host. Its errors are of type [*net.DNSError].
func (n *Net) lookup(ctx context.Context, until time.Time, nw Network, host string, why purpose) ([]netip.Addr, error) {
	if host == "" {
		return []netip.Addr{{}}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	k := n.names.Load()
	addrs := slices.Clone(k.local(host))
	if len(addrs) == 0 {
		var err *net.DNSError
		if addrs, err = n.lookupRemote(ctx, k, until, nw, host); err != nil {
			return nil, err
		}
	}
	n.order(ctx, addrs, why)
	return addrs, nil
}

// lookupRemote asks the servers for a host.
func (n *Net) lookupRemote(ctx context.Context, k *Names, until time.Time, nw Network, host string) ([]netip.Addr, *net.DNSError) {
	err := lookupError(dns.ErrNoName, host, netip.AddrPort{})
	if !dns.IsName(host) || strings.HasSuffix(canonicalName(host), ".onion") {
		return nil, err
	}
	if len(k.Servers) == 0 {
		err.Err += noServers
		return nil, err
	}
	for _, full := range k.complete(host) {
		var addrs []netip.Addr
		if addrs, err = n.lookupName(ctx, k, until, nw, full); err == nil {
			return addrs, nil
		}
		err.Name = host
		if !err.IsNotFound {
			break // the next name would be somebody else's, if this one is there after all
		}
	}
	return nil, err
}

const noServers = ": this host has no DNS servers: give it some (Config.Names, SetNames, --dns), or use a literal address"

// lookupName asks the servers for a complete name.
func (n *Net) lookupName(ctx context.Context, k *Names, until time.Time, nw Network, name string) (addrs []netip.Addr, failure *net.DNSError) {
	var questions []*question
	for _, t := range nw.questions() {
		query, err := dns.Query(name, t)
		if err != nil { // too long, by a domain of Search
			return nil, lookupError(dns.ErrNoName, name, netip.AddrPort{})
		}
		questions = append(questions, &question{query: query})
	}
	n.ask(ctx, k, until, questions)
	for _, q := range questions {
		addrs = appendAddrs(addrs, q.addrs...)
		if failure == nil || q.open() {
			failure = q.failure(name)
		}
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	return nil, failure
}

// questions returns what to ask for, for a socket of n.
func (n Network) questions() (types []dns.Type) {
	if n.fits(netip.IPv4Unspecified()) {
		types = append(types, dns.A)
	}
	if n.fits(netip.IPv6Unspecified()) {
		types = append(types, dns.AAAA)
	}
	return types
}

// order sorts the addresses of a name as they are to be tried. A dialer begins
// with those that the host has a route to, and among them with IPv6: RFC 6724,
// but for the rules that need the host's addresses. A listener takes IPv4, as
// that of package net does, and so does who dials the loopback address.
func (n *Net) order(ctx context.Context, addrs []netip.Addr, why purpose) {
	if len(addrs) < 2 {
		return
	}
	rank := make(map[netip.Addr]int, len(addrs))
	for _, a := range addrs {
		switch {
		case why == listening && a.Is6():
			rank[a] = 1
		case why == dialing && a.Is4() && !a.IsLoopback():
			rank[a] = 1
		}
		if why == dialing && !n.reaches(ctx, a) {
			rank[a] += 2
		}
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return rank[a] - rank[b] })
}

// reaches reports whether the host has a route to an address: whether a datagram
// socket can be connected to it, which sends nothing.
func (n *Net) reaches(ctx context.Context, ip netip.Addr) bool {
	s, err := n.lib.newSocket(ctx, n.lib.transport, UDP, nil)
	if err != nil {
		return false
	}
	c := s.call(KindConnect)
	c.op.Addr = netip.AddrPortFrom(ip, dnsPort) // the port does not matter
	c.run(ctx)
	err = c.op.Err
	c.free()
	_ = s.close()
	return err == nil
}

// lookupError gives the leaf of a failed lookup the shape that package net gives
// it. server is who was asked last, if anybody was.
func lookupError(err error, name string, server netip.AddrPort) *net.DNSError {
	e := &net.DNSError{Name: name}
	if server.IsValid() {
		e.Server = server.String()
	}
	var answer dns.ServerError
	switch {
	case errors.Is(err, dns.ErrNoName):
		e.IsNotFound = true
	case errors.As(err, &answer):
		e.IsTemporary = answer.Temporary()
	case errors.Is(err, context.Canceled):
		err, e.UnwrapErr = canceled{}, canceled{}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		err, e.UnwrapErr = timedOut{}, timedOut{}
		e.IsTimeout, e.IsTemporary = true, true
	case errors.Is(err, net.ErrClosed):
		e.UnwrapErr = net.ErrClosed
	default: // of the network on the way to the server
		e.IsTemporary = true
	}
	e.Err = err.Error()
	return e
}
