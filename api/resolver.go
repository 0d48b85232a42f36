package api

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/api/internal/dns"
)

// Resolver returns the resolver of package net with this host's servers and
// Hosts, for whatever is not about dialing: LookupMX, LookupSRV, LookupTXT,
// LookupAddr, and for code that takes a [*net.Resolver]. Methods of n do not use
// it.
//
// It is package net's, with its habits: before it asks anybody it looks into the
// machine's nsswitch.conf and hosts file; the machine's resolv.conf says which
// domains an incomplete name is searched in, and how often and how long to ask.
// So give it names with a final dot, and expect the address of a server of the
// machine in its errors. Which servers are asked in truth, and that they are
// asked by UDP and TCP over this host, is up to n. It keeps something for the
// process: in a testing/synctest bubble it works only if it was used outside
// before.
func (n *Net) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: n.dialServers}
}

// dialServers returns a connection to the DNS servers, whatever address it is
// asked for: that is one of the machine's. The connection is a stream, also for
// "udp": so package net leaves to it who is asked, and how.
func (n *Net) dialServers(ctx context.Context, _, _ string) (net.Conn, error) {
	c := &serversConn{n: n}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c, nil
}

// A serversConn is what package net's resolver takes for a connection to a
// server by TCP. A Read asks what was written before. It ends with the context of
// its Dial, which is that of one exchange.
type serversConn struct {
	n      *Net
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	until time.Time
	in    []byte // written, and not asked yet
	out   []byte // answered, and not read yet
}

// Write implements net.Conn.
func (c *serversConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, p...)
	return len(p), nil
}

// Read implements net.Conn. Without a query there is nothing to be read, ever.
func (c *serversConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) == 0 {
		if len(c.in) < 2 || len(c.in)-2 < int(binary.BigEndian.Uint16(c.in)) {
			return 0, io.EOF
		}
		size := 2 + int(binary.BigEndian.Uint16(c.in))
		query := c.in[2:size]
		c.in = c.in[size:]
		reply, err := c.n.exchange(c.ctx, earlier(c.ctx, c.until), dns.Message(query))
		if err != nil {
			return 0, err
		}
		c.out = frame(reply)
	}
	m := copy(p, c.out)
	c.out = c.out[m:]
	return m, nil
}

// Close implements net.Conn. It ends a pending Read.
func (c *serversConn) Close() error {
	c.cancel()
	return nil
}

// SetDeadline implements net.Conn. It counts from the next Read on.
func (c *serversConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = t
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *serversConn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline implements net.Conn. No Write waits.
func (c *serversConn) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.Conn.
func (c *serversConn) LocalAddr() net.Addr { return serversAddr{} }

// RemoteAddr implements net.Conn.
func (c *serversConn) RemoteAddr() net.Addr { return serversAddr{} }

// serversAddr is the address of no server in particular.
type serversAddr struct{}

func (serversAddr) Network() string { return "dns" }
func (serversAddr) String() string  { return "the host's DNS servers" }

// exchange answers a query of any type.
func (n *Net) exchange(ctx context.Context, until time.Time, query dns.Message) (dns.Message, error) {
	name, t, ok := query.Question()
	if !ok {
		return nil, errors.New("not a DNS query")
	}
	k := n.names.Load()
	if addrs := k.local(name); len(addrs) > 0 && (t == dns.A || t == dns.AAAA) {
		return dns.Reply(query, addrs)
	}
	if len(k.Servers) == 0 {
		return nil, errors.New(dns.ErrNoName.Error() + noServers)
	}
	id := query.ID()
	q := &question{query: query}
	n.ask(ctx, k, until, []*question{q})
	if q.reply == nil {
		return nil, lookupError(q.err, name, q.server)
	}
	q.reply.SetID(id)
	return q.reply, nil
}
