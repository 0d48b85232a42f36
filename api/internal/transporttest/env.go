package transporttest

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

var errCause = errors.New("the cause given to a cancel")

// hang is how long an op may take before the test calls it stuck.
const hang = 20 * time.Second

// env is one case.
type env struct {
	*testing.T
	server, client api.Transport
	addr           netip.Addr
	seq            atomic.Uint64
	done           atomic.Int64
}

func (e *env) close() {
	for _, t := range []api.Transport{e.client, e.server} {
		if err := t.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
	}
}

// pending is a submitted op.
type pending struct {
	e      *env
	op     *api.Op
	ticket api.Ticket
	over   chan struct{}
	order  int64 // of its end among all
}

// start submits an op.
func (e *env) start(t api.Transport, r api.Request) *pending {
	p := &pending{e: e, op: api.NewOp(), over: make(chan struct{})}
	p.op.Request = r
	p.op.Seq = e.seq.Add(1)
	p.op.Done = func(*api.Op) {
		p.order = e.done.Add(1)
		close(p.over) // panics if it is done twice
	}
	p.ticket = p.op.Ticket()
	t.Submit(p.op)
	return p
}

// wait returns the result.
func (p *pending) wait() api.Result {
	p.e.Helper()
	select {
	case <-p.over:
	case <-time.After(hang):
		p.e.Fatal("the op is stuck")
	}
	r := p.op.Result
	p.op.Free()
	return r
}

// pending reports whether the op is not done. That it is not may be a matter of
// time: to be used where being done would be wrong.
func (p *pending) pending() bool {
	select {
	case <-p.over:
		return false
	default:
		return true
	}
}

// do runs an op.
func (e *env) do(t api.Transport, r api.Request) api.Result {
	e.Helper()
	return e.start(t, r).wait()
}

// must runs an op that does not fail.
func (e *env) must(t api.Transport, r api.Request) api.Result {
	e.Helper()
	res := e.do(t, r)
	if res.Err != nil {
		e.Fatalf("%v: %v", r.Kind, res.Err)
	}
	return res
}

// fails checks an error, which may be one of several.
func (e *env) fails(what string, err error, want ...error) {
	e.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	e.Errorf("%s: got error %v, want %v", what, err, want)
}

// end is a socket of one side.
type end struct {
	e    *env
	t    api.Transport
	sock api.Socket
}

func (e *env) socket(t api.Transport, n api.Network) end {
	e.Helper()
	return end{e, t, e.must(t, api.Request{Kind: api.KindSocket, Network: n}).NewSock}
}

func (s end) start(r api.Request) *pending {
	r.Sock = s.sock
	return s.e.start(s.t, r)
}

func (s end) do(r api.Request) api.Result {
	s.e.Helper()
	return s.start(r).wait()
}

func (s end) must(r api.Request) api.Result {
	s.e.Helper()
	r.Sock = s.sock
	return s.e.must(s.t, r)
}

func (s end) name() (local, peer netip.AddrPort) {
	s.e.Helper()
	r := s.must(api.Request{Kind: api.KindName})
	return r.Local, r.Peer
}

func (s end) close() {
	s.e.Helper()
	s.must(api.Request{Kind: api.KindClose})
}

func (s end) write(p []byte) {
	s.e.Helper()
	if r := s.must(api.Request{Kind: api.KindWrite, Bufs: [][]byte{p}}); r.N != len(p) {
		s.e.Fatalf("write: %d of %d bytes", r.N, len(p))
	}
}

// read reads exactly n bytes, in as many ops as it takes.
func (s end) read(n int) []byte {
	s.e.Helper()
	p := make([]byte, n)
	for at := 0; at < n; {
		r := s.must(api.Request{Kind: api.KindRead, Bufs: [][]byte{p[at:]}})
		if r.EOF || r.N == 0 {
			s.e.Fatalf("read: end of stream after %d of %d bytes", at, n)
		}
		at += r.N
	}
	return p
}

func (s end) wantRead(want string) {
	s.e.Helper()
	if got := s.read(len(want)); string(got) != want {
		s.e.Errorf("read %q, want %q", got, want)
	}
}

func (s end) wantEOF() {
	s.e.Helper()
	if r := s.must(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}}); !r.EOF || r.N != 0 {
		s.e.Errorf("read: n=%d eof=%v, want the end of the stream", r.N, r.EOF)
	}
}

// drain counts what comes until the end of the stream.
func (s end) drain() (n int) {
	s.e.Helper()
	p := make([]byte, 1<<20)
	for {
		r := s.must(api.Request{Kind: api.KindRead, Bufs: [][]byte{p}})
		if r.EOF {
			return n
		}
		n += r.N
	}
}

// listen makes a listener and returns its address.
func (e *env) listen() (end, netip.AddrPort) {
	e.Helper()
	ln := e.socket(e.server, api.TCP)
	ln.must(api.Request{Kind: api.KindBind, Addr: netip.AddrPortFrom(e.addr, 0)})
	ln.must(api.Request{Kind: api.KindListen, Backlog: 8})
	local, _ := ln.name()
	if local.Port() == 0 {
		e.Fatalf("the listener's address is %v", local)
	}
	return ln, local
}

// pair makes a connection.
func (e *env) pair() (server, client end) {
	e.Helper()
	ln, addr := e.listen()
	acc := ln.start(api.Request{Kind: api.KindAccept})
	client = e.socket(e.client, api.TCP)
	client.must(api.Request{Kind: api.KindConnect, Addr: addr})
	r := acc.wait()
	if r.Err != nil {
		e.Fatalf("accept: %v", r.Err)
	}
	return end{e, e.server, r.NewSock}, client
}
