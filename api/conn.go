package api

import (
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// endpoint is what connections and listeners have in common.
type endpoint struct {
	s           *socket
	network     string // as in the errors of package net: "tcp", "udp", …
	local, peer net.Addr
	rd, wd      deadline
	closed      atomic.Bool
}

func (e *endpoint) init(s *socket, local, peer netip.AddrPort) {
	e.s, e.network = s, s.net.String()
	e.local, e.peer = netAddr(s.net, local), netAddr(s.net, peer)
	e.rd.timers, e.wd.timers = s.lib.timers, s.lib.timers
}

func (e *endpoint) fail(op, call string, err error) error {
	return opError(op, call, e.network, e.local, e.peer, err)
}

// failHere is fail of a call that is about this end alone. It names one address.
func (e *endpoint) failHere(op, call string, err error) error {
	return opError(op, call, e.network, nil, e.local, err)
}

// run runs a call under a deadline. The caller frees it.
func (e *endpoint) run(d *deadline, c *call) error {
	if e.closed.Load() {
		return net.ErrClosed
	}
	if err := d.begin(c); err != nil {
		return err
	}
	c.run(background)
	d.end(c)
	return c.op.Err
}

// Close ends the connection, and every pending call with [net.ErrClosed].
// Written bytes are still sent, in the background; with SetLinger above zero it
// waits until the peer has acknowledged them, as long as it was told.
func (e *endpoint) Close() error { return e.fail("close", "close", e.close()) }

func (e *endpoint) close() error {
	if e.closed.Swap(true) {
		return net.ErrClosed
	}
	err := e.s.close()
	e.rd.close()
	e.wd.close()
	if err == net.ErrClosed { // the transport was closed first
		err = nil
	}
	return err
}

// SetDeadline sets both deadlines. Times are the transport's.
func (e *endpoint) SetDeadline(t time.Time) error {
	if err := e.SetReadDeadline(t); err != nil {
		return err
	}
	return e.SetWriteDeadline(t)
}

// SetReadDeadline bounds pending and future reads; a time that is past ends them
// with [os.ErrDeadlineExceeded], the zero time is no bound.
func (e *endpoint) SetReadDeadline(t time.Time) error { return e.setDeadline(&e.rd, t) }

// SetWriteDeadline bounds pending and future writes. A write that it ends may
// have sent a part.
func (e *endpoint) SetWriteDeadline(t time.Time) error { return e.setDeadline(&e.wd, t) }

func (e *endpoint) setDeadline(d *deadline, t time.Time) error {
	if e.closed.Load() {
		return e.failHere("set", "setsockopt", net.ErrClosed)
	}
	d.set(t)
	return nil
}

// SetOption sets an option that has no method of its own.
func (e *endpoint) SetOption(o Option) error { return e.fail("set", "setsockopt", e.setOption(o)) }

func (e *endpoint) setOption(o Option) error {
	if e.closed.Load() {
		return net.ErrClosed
	}
	return e.s.setOption(o)
}

// Option returns the present value of the option that has o's type.
func (e *endpoint) Option(o Option) (Option, error) {
	if e.closed.Load() {
		return nil, e.fail("get", "getsockopt", net.ErrClosed)
	}
	o, err := e.s.option(o)
	return o, e.fail("get", "getsockopt", err)
}

// LocalAddr returns the local address, a [*net.TCPAddr] or [*net.UDPAddr].
func (e *endpoint) LocalAddr() net.Addr { return e.local }

// SetReadBuffer sets the size of the receive buffer.
func (e *endpoint) SetReadBuffer(bytes int) error {
	return e.failHere("set", "setsockopt", e.setOption(ReadBuffer(bytes)))
}

// SetWriteBuffer sets the size of the send buffer.
func (e *endpoint) SetWriteBuffer(bytes int) error {
	return e.failHere("set", "setsockopt", e.setOption(WriteBuffer(bytes)))
}

// A Conn is a TCP connection, with the methods of [net.TCPConn] but for those of
// file descriptors and Multipath TCP. All of them may be called at once; reads,
// and writes, are executed one after the other.
type Conn struct{ endpoint }

var _ net.Conn = (*Conn)(nil)

func newConn(s *socket, local, peer netip.AddrPort) *Conn {
	c := new(Conn)
	c.init(s, local, peer)
	return c
}

// RemoteAddr returns the address of the peer, a [*net.TCPAddr].
func (c *Conn) RemoteAddr() net.Addr { return c.peer }

// Read reads at least one byte, if p is not empty. The end of the stream is
// [io.EOF].
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.check("read")
	}
	rd := c.s.call(KindRead)
	defer rd.free()
	rd.buffer(p)
	err := c.run(&c.rd, rd)
	if err == nil && rd.op.EOF {
		err = io.EOF
	}
	return rd.op.N, c.fail("read", "read", err)
}

// Write writes all of p, or says how much it did. Of an empty p it says whether
// there is still a connection to write to.
func (c *Conn) Write(p []byte) (int, error) {
	wr := c.s.call(KindWrite)
	defer wr.free()
	wr.buffer(p)
	err := c.run(&c.wd, wr)
	return wr.op.N, c.fail("write", "write", err)
}

func (e *endpoint) check(op string) error {
	if e.closed.Load() {
		return e.fail(op, op, net.ErrClosed)
	}
	return nil
}

// CloseRead ends the receiving direction: reads find what has arrived, and then
// the end of the stream.
func (c *Conn) CloseRead() error { return c.shutdown(ShutRead) }

// CloseWrite ends the sending direction, after all that was written: the peer
// finds the end of the stream, and can still send.
func (c *Conn) CloseWrite() error { return c.shutdown(ShutWrite) }

func (c *Conn) shutdown(how Shut) error {
	if err := c.check("close"); err != nil {
		return err
	}
	return c.fail("close", "shutdown", c.s.shutdown(how))
}

// SetNoDelay says whether small segments leave at once. They do by default.
func (c *Conn) SetNoDelay(on bool) error { return c.SetOption(NoDelay(on)) }

// SetLinger says what Close does with bytes that the peer has not acknowledged:
// see [Linger]. The unit is seconds, as in package net, whose Close on Linux does
// the same.
func (c *Conn) SetLinger(sec int) error { return c.SetOption(Linger(time.Duration(sec) * time.Second)) }

// SetKeepAlive turns probes of an idle connection on or off.
func (c *Conn) SetKeepAlive(on bool) error { return c.SetOption(KeepAlive{On: on}) }

// SetKeepAlivePeriod sets how long a connection is idle before it is probed:
// zero means 15 s, and a negative time leaves things as they are. It turns
// nothing on.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	o, err := c.s.option(KeepAlive{})
	if k, ok := o.(KeepAlive); ok && err == nil {
		return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: k.On, Idle: d, Interval: -1, Count: -1})
	}
	return c.fail("set", "setsockopt", err)
}

// SetKeepAliveConfig sets all that there is to keep-alives. Zero fields of it
// mean 15 s, 15 s and 9; negative ones leave things as they are.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.SetOption(keepAliveOption(config))
}

func keepAliveOption(c net.KeepAliveConfig) KeepAlive {
	o := KeepAlive{On: c.Enable, Idle: c.Idle, Interval: c.Interval, Count: c.Count}
	if o.Idle == 0 {
		o.Idle = 15 * time.Second
	}
	if o.Interval == 0 {
		o.Interval = 15 * time.Second
	}
	if o.Count == 0 {
		o.Count = 9
	}
	o.Idle, o.Interval, o.Count = max(o.Idle, 0), max(o.Interval, 0), max(o.Count, 0)
	return o
}

// copyBuffer is how much ReadFrom and WriteTo move at a time.
const copyBuffer = 64 << 10

// WriteTo writes what is read to w, until the end of the stream. While it waits
// for bytes it holds no memory.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	for end := false; !end && err == nil; {
		var m int
		m, end, err = c.writeSome(w)
		n += int64(m)
	}
	return n, c.copied("writeto", err)
}

// copied makes the error of a copy, which may be that of the other side: there is
// nothing to be known about it.
func (c *Conn) copied(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return c.fail(op, "", asItIs{err})
}

// writeSome reads once, into memory that comes when there are bytes, unless the
// stream is at its end.
func (c *Conn) writeSome(w io.Writer) (n int, end bool, err error) {
	rd := c.s.call(KindRead)
	defer rd.free()
	rd.op.Max, rd.op.Alloc = copyBuffer, popMemory
	err = c.run(&c.rd, rd)
	defer rd.entry.sga.Free()
	switch {
	case err != nil:
		return 0, false, c.fail("read", "read", err)
	case rd.op.EOF:
		return 0, true, nil
	}
	sga := rd.entry.sga
	sga.trim(rd.op.N)
	for _, seg := range sga.Segs {
		m, err := w.Write(seg)
		n += m
		if err == nil && m != len(seg) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// ReadFrom writes what it reads from r, until its end.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.readFrom(r)
	return n, c.copied("readfrom", err)
}

func (c *Conn) readFrom(r io.Reader) (n int64, err error) {
	sga := c.s.lib.Alloc(copyBuffer)
	defer sga.Free()
	p := sga.Segs[0]
	for {
		m, rerr := r.Read(p)
		if m > 0 {
			w, err := c.Write(p[:m])
			n += int64(w)
			if err != nil {
				return n, err
			}
		}
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
	}
}
