package api

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/ringtail-net/ringtail/api/internal/dns"
)

// Asking DNS servers, over the transport: by UDP, and by TCP if the answer does
// not fit. One goroutine asks all the questions of a lookup: it sends them, and
// then receives the replies. So a lookup takes as long as its slowest reply, the
// order of its ops does not depend on a scheduler, and when it ends nothing of it
// is left.

// A question is a query, and what came of it.
type question struct {
	query  dns.Message
	server netip.AddrPort // who was asked last
	sock   *socket        // to there, while the reply is awaited
	read   *call          // of the reply
	buf    []byte         // of the read
	reply  dns.Message    // nil: there was none yet. It may say that the server has none
	addrs  []netip.Addr   // in reply
	err    error          // why it is not answered
	enough bool           // of several: nobody needs to wait for the others
}

// open reports whether another server is to be asked.
func (q *question) open() bool {
	return q.reply == nil || q.err != nil && !errors.Is(q.err, dns.ErrNoName)
}

// failure is the error of a question whose answer has no addresses.
func (q *question) failure(name string) *net.DNSError {
	err := q.err
	if err == nil {
		err = dns.ErrNoName
	}
	return lookupError(err, name, q.server)
}

// ask asks the servers in order, until every question is answered, or one of
// them by addresses that the host has a route to: who can connect does not wait
// for servers that are silent about the other family. The end of ctx, and the
// time until, unless it is zero, end it too.
func (n *Net) ask(ctx context.Context, k *Names, until time.Time, questions []*question) {
	tries := k.tries()
	for i := range tries {
		now, err := n.lib.timers.Now(), ctx.Err()
		if err == nil && !until.IsZero() && !now.Before(until) {
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			abandon(questions, err)
			return
		}
		limit := now.Add(k.timeout())
		if s := share(now, until, tries-i, leastForServer); !s.IsZero() && s.Before(limit) {
			limit = s
		}
		n.try(ctx, k.Servers[i%len(k.Servers)], limit, questions)
		if settled(questions) {
			return
		}
	}
}

const (
	// leastForServer is what a server is given before there is any for the next.
	leastForServer = time.Second

	// resolutionDelay is how long to wait for the addresses of one family when
	// those of the other have come (RFC 8305, 3).
	resolutionDelay = 50 * time.Millisecond
)

func abandon(questions []*question, err error) {
	for _, q := range questions {
		if q.open() {
			q.err = err
		}
	}
}

// settled reports whether there is an answer to go on with.
func settled(questions []*question) bool {
	left := false
	for _, q := range questions {
		if q.enough {
			return true
		}
		left = left || q.open()
	}
	return !left
}

// share returns when one of several tries is over that have until then
// altogether: each gets the same time, and at least least, as long as there is
// so much. Zero is never.
func share(now, until time.Time, tries int, least time.Duration) time.Time {
	if until.IsZero() {
		return until
	}
	left := until.Sub(now)
	if part := max(left/time.Duration(tries), least); part < left {
		return now.Add(part)
	}
	return until
}

// try asks one server whatever is open, until limit.
func (n *Net) try(ctx context.Context, server netip.AddrPort, limit time.Time, questions []*question) {
	d := &deadline{timers: n.lib.timers}
	d.set(limit)
	defer d.set(time.Time{})
	for _, q := range questions {
		if q.open() {
			n.send(ctx, d, q, server)
		}
	}
	for _, q := range questions {
		if q.sock == nil {
			continue
		}
		n.receive(ctx, d, q)
		q.enough = len(questions) > 1 && slices.ContainsFunc(q.addrs, func(a netip.Addr) bool { return n.reaches(ctx, a) })
		if soon := n.lib.timers.Now().Add(resolutionDelay); q.enough && soon.Before(limit) {
			d.set(soon)
		}
	}
}

// send sends the query to a server, from a port and with an ID that others can
// only guess: who knows neither cannot forge a reply (RFC 5452).
func (n *Net) send(ctx context.Context, d *deadline, q *question, server netip.AddrPort) {
	q.server = server
	var id [2]byte
	if _, q.err = io.ReadFull(n.lib.cfg.Rand, id[:]); q.err != nil {
		return
	}
	q.query.SetID(binary.BigEndian.Uint16(id[:]))
	b, err := n.dialBounded(ctx, d, UDP, server)
	if err == nil {
		if _, err = b.Write(q.query); err != nil {
			_ = b.s.close()
		}
	}
	if q.err = err; err == nil {
		q.sock, q.buf = b.s, make([]byte, 4*dns.MaxUDP) // a server may be generous
		q.listen(d)
	}
}

// listen starts a read.
func (q *question) listen(d *deadline) {
	q.read = q.sock.call(KindRead)
	q.read.buffer(q.buf)
	if q.err = d.begin(q.read); q.err != nil {
		q.read.free()
		return
	}
	q.read.submit()
}

// receive waits for the reply. The socket is connected, so that nobody but the
// server is heard; what is not about the query is as if it had not come.
func (n *Net) receive(ctx context.Context, d *deadline, q *question) {
	defer func() {
		_ = q.sock.close()
		q.sock, q.read, q.buf = nil, nil, nil
	}()
	var reply dns.Message
	for reply == nil && q.err == nil {
		q.read.wait(ctx)
		d.end(q.read)
		m := dns.Message(q.buf[:q.read.op.N])
		q.err = q.read.op.Err
		q.read.free()
		switch {
		case q.err == nil && m.Answers(q.query):
			reply = m
		case q.err == nil:
			q.listen(d)
		}
	}
	if q.err == nil && reply.Truncated() {
		reply, q.err = n.stream(ctx, d, q)
	}
	if q.err == nil {
		q.reply = reply
		q.addrs, q.err = reply.Addrs()
	}
}

// stream asks by TCP (RFC 7766).
func (n *Net) stream(ctx context.Context, d *deadline, q *question) (dns.Message, error) {
	b, err := n.dialBounded(ctx, d, TCP, q.server)
	if err != nil {
		return nil, err
	}
	defer b.s.close()
	if _, err := b.Write(frame(q.query)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err = io.ReadFull(b, size[:]); err != nil {
		return nil, noReply(err)
	}
	reply := make(dns.Message, binary.BigEndian.Uint16(size[:]))
	if _, err = io.ReadFull(b, reply); err != nil {
		return nil, noReply(err)
	}
	if !reply.Answers(q.query) {
		return nil, dns.Malformed
	}
	return reply, nil
}

func noReply(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return dns.NoReply
	}
	return err
}

// frame puts the length in front of a message, as in a stream (RFC 1035, 4.2.2).
func frame(m dns.Message) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(m)), uint16(len(m))), m...)
}

// A bounded socket's calls end with a context and a deadline. It lives as long
// as one call of somebody else, which has them.
type bounded struct {
	s   *socket
	ctx context.Context
	d   *deadline
}

// dialBounded makes a socket and connects it.
func (n *Net) dialBounded(ctx context.Context, d *deadline, nw Network, addr netip.AddrPort) (bounded, error) {
	s, err := n.lib.newSocket(ctx, n.lib.transport, nw, nil)
	if err != nil {
		return bounded{}, err
	}
	b := bounded{s, ctx, d}
	c := s.call(KindConnect)
	c.op.Addr = addr
	if _, err = b.run(c); err != nil {
		_ = s.close()
	}
	return b, err
}

// run runs a call and frees it.
func (b bounded) run(c *call) (Result, error) {
	defer c.free()
	if err := b.d.begin(c); err != nil {
		return Result{}, err
	}
	c.run(b.ctx)
	b.d.end(c)
	return c.op.Result, c.op.Err
}

// Read implements io.Reader.
func (b bounded) Read(p []byte) (int, error) {
	c := b.s.call(KindRead)
	c.buffer(p)
	r, err := b.run(c)
	if err == nil && r.EOF {
		err = io.EOF
	}
	return r.N, err
}

// Write implements io.Writer.
func (b bounded) Write(p []byte) (int, error) {
	c := b.s.call(KindWrite)
	c.buffer(p)
	r, err := b.run(c)
	return r.N, err
}
