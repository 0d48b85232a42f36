package api_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

type modelListener struct {
	host    *modelHost
	qd      api.QD
	addr    netip.AddrPort
	closed  bool
	dropped bool // an accept was: some stream may be gone
	accepts int  // pending
}

// A stream is a connection, known by the port of the end that connects. Tube 0
// goes from there to the accepted end, tube 1 back.
type stream struct {
	port     uint16
	listener *modelListener
	ends     [2]*streamEnd // the second is nil until it is accepted
	tubes    [2]tube

	// cut says that an end went away while it might still be sent to, or that
	// the connection may not have come about: bytes may be lost, and ops fail.
	cut        bool
	connecting bool
	connected  bool
}

// keepAlive is on everywhere: it ends the wait for a peer whose reset was lost.
var keepAlive = api.KeepAlive{On: true, Idle: 10 * time.Second, Interval: 10 * time.Second, Count: 9}

// A streamEnd pushes into one tube and pops from the other.
type streamEnd struct {
	s    *stream
	side int
	host *modelHost
	qd   api.QD

	closed, shut bool // shut: for writing
	pushes, pops int  // pending
	over         bool // a pop has found the end of the stream, or an error
}

func (e *streamEnd) String() string {
	if e == nil {
		return "an end that nobody has accepted"
	}
	return fmt.Sprintf("end %d of the stream from port %d (QD %d, closed %v, shut %v, over %v, %d pushes, %d pops)",
		e.side, e.s.port, e.qd, e.closed, e.shut, e.over, e.pushes, e.pops)
}

func (e *streamEnd) in() *tube  { return &e.s.tubes[1-e.side] }
func (e *streamEnd) out() *tube { return &e.s.tubes[e.side] }

// early reports whether the end is not connected, as far as one knows.
func (e *streamEnd) early() bool { return e.side == 0 && !e.s.connected }

// A tube is one direction of a stream.
type tube struct {
	pushes []*modelPush
	pops   []*modelPop
	shut   bool // its pushing end was shut, or closed
	holes  bool // bytes went to pops that nobody has seen
}

type modelPush struct {
	seed uint64
	size int
	n    int // accepted
}

type modelPop struct {
	p   []byte
	eof bool
}

// content is what a push pushes.
func (p *modelPush) content() []byte {
	b := make([]byte, (p.size+7)/8*8)
	r := rand.NewPCG(p.seed, uint64(p.size))
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:p.size]
}

// connect starts a stream from a port of its own.
func (h *modelHost) connect(ln *modelListener) {
	m := h.m
	m.port++
	s := &stream{port: m.port, listener: ln, cut: ln.closed || ln.dropped}
	e := &streamEnd{s: s, host: h, qd: must1(h.lib.Socket(api.TCP))}
	must(h.lib.Bind(e.qd, netip.AddrPortFrom(h.addr, m.port)))
	must(h.lib.SetOption(e.qd, keepAlive))
	s.ends[0] = e
	m.streams = append(m.streams, s)
	s.connecting = h.submit(&modelOp{op: api.OpConnect, qd: e.qd, end: e}, func() (api.Token, error) {
		return h.lib.Connect(e.qd, ln.addr)
	})
}

func (h *modelHost) connected(o *modelOp, c api.Completion) {
	s := o.end.s
	s.connecting, s.connected = false, c.Err == nil
	if c.Err != nil && !s.cut {
		h.m.errorf("connect: %v; its listener is open", c.Err)
	}
}

func (ln *modelListener) accept() {
	o := &modelOp{op: api.OpAccept, qd: ln.qd, listener: ln}
	if ln.host.submit(o, func() (api.Token, error) { return ln.host.lib.Accept(ln.qd) }) {
		ln.accepts++
	}
}

func (h *modelHost) accepted(o *modelOp, c api.Completion) {
	ln := o.listener
	ln.accepts--
	if c.Err != nil {
		if !errors.Is(c.Err, syscall.ECANCELED) {
			h.m.errorf("accept: %v", c.Err)
		}
		return
	}
	for _, s := range h.m.streams {
		if s.port != c.From.Port() || s.listener != ln {
			continue
		}
		if s.ends[1] != nil {
			h.m.errorf("the connection from %v is accepted twice", c.From)
		}
		s.ends[1] = &streamEnd{s: s, side: 1, host: h, qd: c.New}
		must(h.lib.SetOption(c.New, keepAlive))
		return
	}
	h.m.errorf("accepted a connection from %v: there is none", c.From)
}

// push pushes size bytes in a number of segments.
func (e *streamEnd) push(size, segs int, own bool) {
	p := &modelPush{seed: uint64(e.s.port)<<32 | uint64(e.side)<<31 | uint64(len(e.out().pushes)), size: size}
	b := p.content()
	var sga api.SGA
	if own {
		for i := range segs {
			sga.Segs = append(sga.Segs, b[size*i/segs:size*(i+1)/segs])
		}
		sga = api.SGAOf(sga.Segs...)
	} else {
		sga = e.host.lib.Alloc(size)
		for i, rest := 0, b; i < len(sga.Segs); i++ {
			rest = rest[copy(sga.Segs[i], rest):]
		}
	}
	o := &modelOp{op: api.OpPush, qd: e.qd, end: e, early: e.early(), push: p}
	if !e.host.submit(o, func() (api.Token, error) { return e.host.lib.Push(e.qd, sga) }) {
		sga.Free()
		return
	}
	e.pushes++
	e.out().pushes = append(e.out().pushes, p)
}

func (m *model) pushed(o *modelOp, c api.Completion) {
	e := o.end
	e.pushes--
	o.push.n = c.N
	switch size := o.push.size; {
	case c.N < 0, c.N > size, c.Err == nil && c.N != size, c.SGA.Len() != size:
		m.errorf("push of %d bytes: %+v", size, c)
	case c.Err == nil, errors.Is(c.Err, syscall.ECANCELED), e.s.cut, o.early:
	case e.shut && errors.Is(c.Err, syscall.EPIPE):
	default:
		m.errorf("%v: %v", e, c.Err)
	}
}

func (e *streamEnd) pop(size int) {
	p := &modelPop{}
	o := &modelOp{op: api.OpPop, qd: e.qd, end: e, early: e.early(), pop: p, max: size}
	if e.host.submit(o, func() (api.Token, error) { return e.host.lib.PopN(e.qd, size) }) {
		e.pops++
		e.in().pops = append(e.in().pops, p)
	}
}

func (m *model) popped(o *modelOp, c api.Completion) {
	e := o.end
	e.pops--
	o.pop.p, o.pop.eof = c.SGA.Append(nil), c.EOF
	e.over = e.over || c.EOF || c.Err != nil && !errors.Is(c.Err, syscall.ECANCELED)
	switch {
	case c.N != len(o.pop.p), c.N > o.max, c.N == 0 && c.Err == nil && !c.EOF, c.N > 0 && (c.EOF || c.Err != nil), c.Truncated:
		m.errorf("pop of at most %d bytes: %+v", o.max, c)
	case c.EOF && !e.in().shut && !e.s.cut:
		m.errorf("the end of a stream that has not ended: %v", e)
	case c.Err == nil, errors.Is(c.Err, syscall.ECANCELED), e.s.cut, o.early:
	default:
		m.errorf("%v: %v", e, c.Err)
	}
}

func (e *streamEnd) shutdown(how api.Shut) {
	again := e.shut // then there may be nothing left to shut
	if how&api.ShutRead != 0 {
		e.s.cut = true
	}
	if how&api.ShutWrite != 0 {
		e.shut = true
		e.out().shut = true
	}
	err := e.host.lib.Shutdown(e.qd, how)
	if e.closed != errors.Is(err, syscall.EBADF) || err != nil && !e.closed && !e.s.cut && !again {
		e.host.m.errorf("shutdown: %v: %v", e, err)
	}
}

// close closes an end. Unless it has found the end of the stream, whatever comes
// after is answered by a reset.
func (e *streamEnd) close(async, reset bool) {
	if reset && !e.closed {
		must(e.host.lib.SetOption(e.qd, api.Linger(0)))
	}
	o := &modelOp{op: api.OpClose, qd: e.qd, end: e}
	e.s.cut = e.s.cut || reset || !e.over
	e.out().shut = true
	if async {
		e.host.submit(o, func() (api.Token, error) { return e.host.lib.AsyncClose(e.qd) })
	} else if err := e.host.lib.Close(e.qd); e.closed != (err != nil) || err != nil && !errors.Is(err, syscall.EBADF) {
		e.host.m.errorf("close: %v: %v", e, err)
	}
	e.closed = true
}

// close closes a listener; who waits to be accepted is reset.
func (ln *modelListener) close() {
	if ln.closed {
		return
	}
	ln.closed = true
	for _, s := range ln.host.m.streams {
		if s.listener == ln && s.ends[1] == nil {
			s.cut = true
		}
	}
	must(ln.host.lib.Close(ln.qd))
}

// drain is a step towards the end of everything: everybody accepts, pops, and
// ends what he says when he has said it.
func (m *model) drain() (done bool) {
	done = true
	for _, q := range m.memories {
		done = q.drain() && done
	}
	for _, s := range m.streams {
		if s.ends[1] == nil && !s.listener.closed {
			done = done && (s.cut || s.listener.dropped)
			if s.listener.accepts == 0 {
				s.listener.accept()
			}
		}
		for _, e := range s.ends {
			switch {
			case e == nil || e.closed:
				continue
			case e.side == 0 && s.connecting:
				done = false
				continue
			case e.early(): // it failed, or was cancelled and may yet succeed
				e.close(false, false)
				continue
			}
			if e.pops == 0 && !e.over {
				e.pop(32 << 10)
			}
			if e.pushes == 0 && !e.shut {
				e.shutdown(api.ShutWrite)
			}
			if other := s.ends[1-e.side]; s.cut && e.over && e.shut && other != nil && other.pushes > 0 {
				// It was shut for reading before it was pushed to, and what came since
				// fills its window: that is for Close to end.
				e.close(false, false)
				continue
			}
			done = done && e.over && e.pushes == 0
		}
	}
	return done
}

// closeAll closes what is still open.
func (m *model) closeAll() {
	for _, s := range m.streams {
		for _, e := range s.ends {
			if e != nil && !e.closed {
				e.close(e.side == 0, false)
			}
		}
	}
	for _, ln := range m.listeners {
		ln.close()
	}
	for _, d := range m.dgrams {
		d.close()
	}
	for _, q := range m.memories {
		q.close()
	}
}

// compare compares what went into a stream with what came out.
func (m *model) compare(s *stream) {
	for i := range s.tubes {
		t := &s.tubes[i]
		var in, out []byte
		for _, p := range t.pushes {
			in = append(in, p.content()[:p.n]...)
		}
		eof := false
		for _, p := range t.pops {
			if eof && len(p.p) > 0 {
				m.errorf("stream from port %d, tube %d: %d bytes after its end", s.port, i, len(p.p))
			}
			out, eof = append(out, p.p...), eof || p.eof
		}
		switch {
		case t.holes:
		case !bytes.HasPrefix(in, out):
			m.errorf("stream from port %d, tube %d: of %d bytes %d came out, not the same", s.port, i, len(in), len(out))
		case !s.cut && (len(in) != len(out) || !eof):
			m.errorf("stream from port %d, tube %d: of %d bytes %d came out, end %v", s.port, i, len(in), len(out), eof)
		}
	}
}
