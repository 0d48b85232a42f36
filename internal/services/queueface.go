package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// backlog is how many connections of a service may wait to be accepted.
const backlog = 1024

// ServeQueues serves on the queue face until ctx ends, and then returns nil with
// everything closed. It calls ready, if it is not nil, once all services listen.
//
// All of it is one goroutine that takes completions. It takes every completion
// of lib that nobody waits for by name: lib has no other user of
// [api.LibOS.Completions] meanwhile.
func (s *Services) ServeQueues(ctx context.Context, lib *api.LibOS, ready func()) error {
	f := &queueFace{Services: s, lib: lib, queues: map[api.QD]queue{}}
	defer f.stop()
	if err := f.listen(); err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	for ctx.Err() == nil {
		if err := f.serve(ctx); err != nil {
			return err
		}
		f.sweep()
	}
	return nil
}

// A queueFace is one run of ServeQueues.
type queueFace struct {
	*Services
	lib    *api.LibOS
	queues map[api.QD]queue
	flying int // tokens not seen again yet
}

// A queue is what is behind a descriptor: a state machine that completions move.
// It owns the SGA of the completion. An error of a connection ends the
// connection, one of a listener the services.
type queue interface {
	completed(c api.Completion) error
	// idleSince returns when it last moved, or the zero time if it may
	// stand still.
	idleSince() time.Time
	// end takes note of why the queue was closed.
	end(err error)
}

// serve handles completions until it is time to sweep.
func (f *queueFace) serve(ctx context.Context) error {
	span, cancel := context.WithTimeout(ctx, max(f.idle/4, time.Millisecond))
	defer cancel()
	for c, err := range f.lib.Completions(span) {
		switch {
		case err == nil:
			err = f.completed(c)
		case errors.Is(err, span.Err()):
			err = nil
		}
		if err != nil {
			return err
		}
		if span.Err() != nil { // under load the iterator never gets to look
			return nil
		}
	}
	return nil
}

func (f *queueFace) completed(c api.Completion) error {
	f.flying--
	q := f.queues[c.QD]
	if q == nil { // closed meanwhile
		c.SGA.Free()
		return nil
	}
	err := q.completed(c)
	if _, isConn := q.(*queueConn); isConn && err != nil {
		f.close(c.QD, err)
		return nil
	}
	return err
}

// sweep drops connections that stood still for too long.
func (f *queueFace) sweep() {
	for qd, q := range f.queues {
		if since := q.idleSince(); !since.IsZero() && f.now().Sub(since) > f.idle {
			f.close(qd, errIdle)
		}
	}
}

var errIdle = errors.New("the connection stood still for too long")

// errDone closes a connection because all is done.
var errDone = errors.New("done")

// close closes a queue, whatever is in flight on it. Unless all was done, the
// client gets a reset, and nothing of the connection is left.
func (f *queueFace) close(qd api.QD, err error) {
	q := f.queues[qd]
	q.end(err)
	if _, isConn := q.(*queueConn); isConn && err != errDone {
		f.lib.SetOption(qd, api.Linger(0)) // it fails only if the connection is gone already
	}
	delete(f.queues, qd)
	f.submit(f.lib.AsyncClose(qd)) // its failure is in the completion, and nothing follows from it
}

// submit counts a token.
func (f *queueFace) submit(_ api.Token, err error) error {
	if err == nil {
		f.flying++
	}
	return err
}

// stop closes everything and takes what is in flight back.
func (f *queueFace) stop() {
	for qd := range f.queues {
		f.close(qd, net.ErrClosed)
	}
	var out [64]api.Completion
	for f.flying > 0 {
		n, err := f.lib.WaitNext(context.Background(), out[:])
		if err != nil {
			return // the host is closed, and has given back everything
		}
		for _, c := range out[:n] {
			f.flying--
			c.SGA.Free()
		}
	}
}

// listen opens all services.
func (f *queueFace) listen() error {
	for _, l := range []struct {
		port    uint16
		counter *counter
		serve   func() protocol
	}{
		{echoPort, &f.echoTCP, func() protocol { return echo{} }},
		{discardPort, &f.discard, func() protocol { return discard{} }},
		{chargenPort, &f.chargen, func() protocol { return &chargen{} }},
		{httpPort, &f.web, func() protocol { return &web{session: newSession(f.Services)} }},
	} {
		qd, err := f.bind(api.TCP, l.port)
		if err != nil {
			return err
		}
		ln := &listener{f: f, qd: qd, counter: l.counter, serve: l.serve}
		f.queues[qd] = ln
		if err := f.lib.Listen(qd, backlog); err != nil {
			return fmt.Errorf("TCP port %d: %w", l.port, err)
		}
		if err := f.submit(f.lib.Accept(qd)); err != nil {
			return err
		}
	}
	qd, err := f.bind(api.UDP, echoPort)
	if err != nil {
		return err
	}
	f.queues[qd] = &datagramEcho{f: f, qd: qd}
	return f.submit(f.lib.Pop(qd))
}

func (f *queueFace) bind(n api.Network, port uint16) (api.QD, error) {
	qd, err := f.lib.Socket(n)
	if err != nil {
		return 0, err
	}
	if n == api.TCP {
		// As package net does: what is in TIME-WAIT from an earlier run is
		// no reason to refuse. A transport without the option has no such state.
		_ = f.lib.SetOption(qd, api.ReuseAddr(true))
	}
	if err := f.lib.Bind(qd, netip.AddrPortFrom(netip.IPv6Unspecified(), port)); err != nil {
		f.lib.Close(qd)
		return 0, fmt.Errorf("%s port %d: %w", n, port, err)
	}
	return qd, nil
}

// A listener accepts the connections of one service.
type listener struct {
	f       *queueFace
	qd      api.QD
	counter *counter
	serve   func() protocol
}

func (l *listener) completed(c api.Completion) error {
	if c.Err != nil {
		return c.Err
	}
	conn := &queueConn{f: l.f, qd: c.New, peer: c.From, counter: l.counter, protocol: l.serve(), moved: l.f.now()}
	l.f.queues[c.New] = conn
	l.counter.opened()
	if err := conn.begin(conn); err != nil {
		l.f.close(c.New, err)
	}
	return l.f.submit(l.f.lib.Accept(l.qd))
}

func (l *listener) idleSince() time.Time { return time.Time{} }
func (l *listener) end(error)            {}

// A datagramEcho sends datagrams back, one at a time.
type datagramEcho struct {
	f  *queueFace
	qd api.QD
}

func (d *datagramEcho) completed(c api.Completion) error {
	if c.Op == api.OpPop && c.Err == nil {
		d.f.echoUDP.rx(c.N)
		if c.From.Port() >= lowestUDPPort {
			return d.f.submit(d.f.lib.PushTo(d.qd, c.SGA, c.From))
		}
	}
	if c.Op == api.OpPush {
		d.f.echoUDP.tx(c.N)
	}
	// An error is of one datagram, such as a sender that cannot be reached.
	c.SGA.Free()
	return d.f.submit(d.f.lib.Pop(d.qd))
}

func (d *datagramEcho) idleSince() time.Time { return time.Time{} }
func (d *datagramEcho) end(error)            {}
