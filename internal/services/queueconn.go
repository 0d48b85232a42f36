package services

import (
	"net/netip"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A queueConn is one connection of the queue face. What it does is its protocol's
// part; it counts.
type queueConn struct {
	f       *queueFace
	qd      api.QD
	peer    netip.AddrPort
	counter *counter
	moved   time.Time // when bytes last went in or out
	protocol
}

// A protocol is the behaviour of a connection. Each method does one thing to the
// connection, as a rule a pop or a push; an error closes it, errDone when all is
// well. An SGA that a method gets is its own.
type protocol interface {
	begin(c *queueConn) error
	popped(c *queueConn, data api.SGA) error
	ended(c *queueConn) error // the client sends no more
	pushed(c *queueConn, data api.SGA) error
}

func (c *queueConn) completed(done api.Completion) error {
	c.moved = c.f.now()
	if done.Op == api.OpPop {
		c.counter.rx(done.N)
	} else {
		c.counter.tx(done.N)
	}
	switch {
	case done.Err != nil:
		done.SGA.Free()
		return done.Err
	case done.Op == api.OpPush:
		return c.pushed(c, done.SGA)
	case done.EOF:
		return c.ended(c)
	}
	return c.popped(c, done.SGA)
}

func (c *queueConn) idleSince() time.Time { return c.moved }

func (c *queueConn) end(err error) {
	if err == errDone {
		c.counter.closed(nil)
		return
	}
	c.counter.closed(err)
	c.f.log.Debug("connection failed", "peer", c.peer, "err", err)
}

func (c *queueConn) pop() error { return c.f.submit(c.f.lib.Pop(c.qd)) }

// push sends data, which is lent until pushed.
func (c *queueConn) push(data api.SGA) error {
	err := c.f.submit(c.f.lib.Push(c.qd, data))
	if err != nil {
		data.Free()
	}
	return err
}

// echo sends everything back until the client ends, and then ends too.
type echo struct{}

func (echo) begin(c *queueConn) error                { return c.pop() }
func (echo) popped(c *queueConn, data api.SGA) error { return c.push(data) }
func (echo) ended(*queueConn) error                  { return errDone }
func (echo) pushed(c *queueConn, data api.SGA) error { data.Free(); return c.pop() }

// discard throws everything away.
type discard struct{}

func (discard) begin(c *queueConn) error                { return c.pop() }
func (discard) popped(c *queueConn, data api.SGA) error { data.Free(); return c.pop() }
func (discard) ended(*queueConn) error                  { return errDone }
func (discard) pushed(*queueConn, api.SGA) error        { return nil }

// chargen sends characters until the client has had enough, and throws away what
// it says. Its bytes are in shared memory that nobody writes to.
type chargen struct{ offset int64 }

func (g *chargen) begin(c *queueConn) error {
	if err := c.pop(); err != nil {
		return err
	}
	return g.pushed(c, api.SGA{})
}

func (g *chargen) popped(c *queueConn, data api.SGA) error { data.Free(); return c.pop() }
func (g *chargen) ended(*queueConn) error                  { return nil }

func (g *chargen) pushed(c *queueConn, _ api.SGA) error {
	data := chargenPattern.at(g.offset, chunk)
	g.offset += int64(len(data))
	return c.push(api.SGAOf(data))
}
