// Package transporttest is what every transport must do, as a table of tests.
// The test of a transport calls [Run] with a function that makes two of them,
// connected:
//
//	func TestTransport(t *testing.T) {
//		transporttest.Run(t, func(t *testing.T) (server, client api.Transport, addr netip.Addr) {
//			…
//		})
//	}
//
// The trap: the table submits ops and waits for Done, and drives nothing. A
// transport that only moves when somebody calls its Turn or its Step needs a
// goroutine that does, until the test ends.
package transporttest

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// Run runs the table. setup makes the transports of one case, and the address
// of the server as the client knows it; Run closes them. They may be the same.
// Cases named in faults are skipped: the transport is known to fail them.
func Run(t *testing.T, setup func(t *testing.T) (server, client api.Transport, addr netip.Addr), faults ...string) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if slices.Contains(faults, c.name) {
				t.Skip("a known fault of this transport")
			}
			e := &env{T: t}
			e.server, e.client, e.addr = setup(t)
			defer e.close()
			c.run(e)
		})
	}
}

var cases = []struct {
	name string
	run  func(*env)
}{
	{"connect", connect},
	{"read and write", readWrite},
	{"several buffers", severalBuffers},
	{"allocated on arrival", allocatedOnArrival},
	{"empty write", emptyWrite},
	{"half-close", halfClose},
	{"shutdown of reads", shutdownRead},
	{"write after shutdown", writeAfterShutdown},
	{"write to one who left", writeToNobody},
	{"reset", reset},
	{"order of reads", orderOfReads},
	{"order of writes", orderOfWrites},
	{"cancel read", cancelRead},
	{"cancel accept", cancelAccept},
	{"cancel queued", cancelQueued},
	{"late cancel", lateCancel},
	{"partial write", partialWrite},
	{"close ends pending", closeEndsPending},
	{"closed socket", closedSocket},
	{"refused", refused},
	{"address in use", addressInUse},
	{"backlog", backlog},
	{"wrong state", wrongState},
	{"connected twice", connectedTwice},
	{"options", options},
	{"option of another kind", otherOption},
	{"datagrams", datagrams},
	{"empty datagram", emptyDatagram},
	{"truncated datagram", truncatedDatagram},
	{"connected datagrams", connectedDatagrams},
	{"cancel datagram read", cancelDatagramRead},
	{"transport close", transportClose},
}

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

func connect(e *env) {
	ln, addr := e.listen()
	acc := ln.start(api.Request{Kind: api.KindAccept})
	client := e.socket(e.client, api.TCP)
	con := client.must(api.Request{Kind: api.KindConnect, Addr: addr})
	srv := acc.wait()
	if srv.Err != nil || srv.NewSock == nil {
		e.Fatalf("accept: socket %v, %v", srv.NewSock, srv.Err)
	}
	if srv.NewSock.Number() == ln.sock.Number() {
		e.Errorf("listener and connection have the same number, %d", srv.NewSock.Number())
	}
	if con.Peer != addr || srv.Local != addr {
		e.Errorf("server's address: %v at the client, %v at the server, want %v", con.Peer, srv.Local, addr)
	}
	if !con.Local.IsValid() || con.Local.Port() == 0 || con.Local != srv.Peer {
		e.Errorf("client's address: %v at the client, %v at the server", con.Local, srv.Peer)
	}
	if l, p := client.name(); l != con.Local || p != con.Peer {
		e.Errorf("names: %v %v, want %v %v", l, p, con.Local, con.Peer)
	}
	if _, p := ln.name(); p.IsValid() {
		e.Errorf("a listener has a peer: %v", p)
	}
}

func readWrite(e *env) {
	server, client := e.pair()
	client.write([]byte("from the client"))
	server.wantRead("from the client")
	rd := client.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 100)}})
	server.write([]byte("x"))
	if r := rd.wait(); r.N != 1 || r.Err != nil || r.EOF {
		e.Errorf("a pending read: %+v", r)
	}
}

func severalBuffers(e *env) {
	server, client := e.pair()
	wr := client.must(api.Request{Kind: api.KindWrite, Bufs: [][]byte{[]byte("one "), nil, []byte("two"), []byte(" three")}})
	if wr.N != 13 {
		e.Errorf("write: n = %d, want 13", wr.N)
	}
	bufs := [][]byte{make([]byte, 5), nil, make([]byte, 8)}
	var got []byte
	for len(got) < 13 {
		n := server.must(api.Request{Kind: api.KindRead, Bufs: bufs}).N
		all := bytes.Join(bufs, nil)
		got = append(got, all[:n]...)
	}
	if string(got) != "one two three" {
		e.Errorf("read %q", got)
	}
}

func allocatedOnArrival(e *env) {
	server, client := e.pair()
	var asked []int
	var mem [][]byte
	alloc := func(_ *api.Op, n int) [][]byte {
		asked = append(asked, n)
		mem = [][]byte{make([]byte, n/2), make([]byte, n-n/2)}
		return mem
	}
	rd := server.start(api.Request{Kind: api.KindRead, Alloc: alloc, Max: 4})
	client.write([]byte("abcdefgh"))
	r := rd.wait()
	if len(asked) != 1 || asked[0] < 1 || asked[0] > 4 || r.N < 1 || r.N > asked[0] {
		e.Fatalf("memory asked for: %v, n = %d", asked, r.N)
	}
	if got := bytes.Join(mem, nil)[:r.N]; string(got) != "abcdefgh"[:r.N] {
		e.Errorf("read %q", got)
	}
	server.read(8 - r.N)
	asked = nil
	rd = server.start(api.Request{Kind: api.KindRead, Alloc: alloc, Max: 4})
	client.close()
	if r := rd.wait(); !r.EOF || asked != nil {
		e.Errorf("end of stream: eof %v, memory asked for: %v", r.EOF, asked)
	}
}

func emptyWrite(e *env) {
	server, client := e.pair()
	if r := client.must(api.Request{Kind: api.KindWrite}); r.N != 0 {
		e.Errorf("n = %d", r.N)
	}
	client.write([]byte("x"))
	server.wantRead("x")
}

func halfClose(e *env) {
	server, client := e.pair()
	client.write([]byte("request"))
	client.must(api.Request{Kind: api.KindShutdown, How: api.ShutWrite})
	server.wantRead("request")
	server.wantEOF()
	server.wantEOF() // it stays
	server.write([]byte("answer"))
	client.wantRead("answer")
	rd := client.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}})
	server.close()
	if r := rd.wait(); !r.EOF || r.Err != nil {
		e.Errorf("a pending read, when the peer closes: %+v", r)
	}
}

func shutdownRead(e *env) {
	_, client := e.pair()
	rd := client.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}})
	client.must(api.Request{Kind: api.KindShutdown, How: api.ShutRead})
	if r := rd.wait(); !r.EOF || r.Err != nil {
		e.Errorf("a pending read: %+v, want the end of the stream", r)
	}
	client.wantEOF()
}

func writeAfterShutdown(e *env) {
	_, client := e.pair()
	client.must(api.Request{Kind: api.KindShutdown, How: api.ShutWrite})
	r := client.do(api.Request{Kind: api.KindWrite, Bufs: [][]byte{{1}}})
	e.fails("write", r.Err, syscall.EPIPE)
}

func writeToNobody(e *env) {
	server, client := e.pair()
	server.close()
	client.wantEOF()
	var err error
	for range 1000 {
		if err = client.do(api.Request{Kind: api.KindWrite, Bufs: [][]byte{make([]byte, 1000)}}).Err; err != nil {
			break
		}
		time.Sleep(time.Millisecond) // the answer takes its time
	}
	e.fails("writes", err, syscall.EPIPE, syscall.ECONNRESET)
}

func reset(e *env) {
	server, client := e.pair()
	rd := client.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}})
	server.must(api.Request{Kind: api.KindOption, Opt: api.Linger(0)})
	server.close()
	e.fails("a pending read", rd.wait().Err, syscall.ECONNRESET)
}

func orderOfReads(e *env) {
	server, client := e.pair()
	a, b := make([]byte, 4), make([]byte, 4)
	first := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{a}})
	second := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{b}})
	client.write([]byte("abcdefgh"))
	n, m := first.wait().N, second.wait().N
	if got := string(a[:n]) + string(b[:m]); n == 0 || m == 0 || got != "abcdefgh"[:n+m] {
		e.Errorf("read %q and %q", a[:n], b[:m])
	}
	if first.order > second.order {
		e.Error("the second read was done first")
	}
}

func orderOfWrites(e *env) {
	server, client := e.pair()
	const size, count = 300 << 10, 8 // together more than buffers hold
	var writes []*pending
	for i := range count {
		p := bytes.Repeat([]byte{byte(i)}, size)
		writes = append(writes, client.start(api.Request{Kind: api.KindWrite, Bufs: [][]byte{p}}))
	}
	got := server.read(size * count)
	for i := range count {
		if !bytes.Equal(got[i*size:(i+1)*size], bytes.Repeat([]byte{byte(i)}, size)) {
			e.Errorf("bytes of write %d are not in their place", i)
		}
	}
	for i, w := range writes {
		if r := w.wait(); r.Err != nil || r.N != size {
			e.Errorf("write %d: n = %d, %v", i, r.N, r.Err)
		}
		if i > 0 && w.order < writes[i-1].order {
			e.Errorf("write %d was done before the one before it", i)
		}
	}
}

func cancelRead(e *env) {
	server, client := e.pair()
	rd := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 10)}})
	server.t.Cancel(rd.ticket, errCause)
	r := rd.wait()
	e.fails("read", r.Err, errCause)
	if r.N != 0 || r.EOF {
		e.Errorf("n = %d, eof = %v", r.N, r.EOF)
	}
	client.write([]byte("still there"))
	server.wantRead("still there")
}

func cancelAccept(e *env) {
	ln, addr := e.listen()
	acc := ln.start(api.Request{Kind: api.KindAccept})
	ln.t.Cancel(acc.ticket, errCause)
	r := acc.wait()
	e.fails("accept", r.Err, errCause)
	if r.NewSock != nil {
		e.Error("a cancelled accept has a socket")
	}
	acc = ln.start(api.Request{Kind: api.KindAccept})
	client := e.socket(e.client, api.TCP)
	client.must(api.Request{Kind: api.KindConnect, Addr: addr})
	if err := acc.wait().Err; err != nil {
		e.Errorf("the next accept: %v", err)
	}
}

func cancelQueued(e *env) {
	server, client := e.pair()
	a := make([]byte, 1)
	first := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{a}})
	second := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}})
	server.t.Cancel(second.ticket, errCause)
	e.fails("the second read", second.wait().Err, errCause)
	if !first.pending() {
		e.Error("the first read was cancelled too")
	}
	client.write([]byte("x"))
	if r := first.wait(); r.N != 1 || r.Err != nil || a[0] != 'x' {
		e.Errorf("the first read: %+v", r)
	}
}

func lateCancel(e *env) {
	server, client := e.pair()
	rd := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}})
	client.write([]byte("a"))
	rd.wait()
	next := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}}) // most likely the same op
	server.t.Cancel(rd.ticket, errCause)
	client.write([]byte("b"))
	if r := next.wait(); r.N != 1 || r.Err != nil {
		e.Errorf("a late cancel hit the next op: %+v", r)
	}
	server.t.Cancel(api.Ticket{}, errCause) // nor does the zero ticket do harm
}

func partialWrite(e *env) {
	server, client := e.pair()
	const size = 64 << 20
	wr := client.start(api.Request{Kind: api.KindWrite, Bufs: [][]byte{make([]byte, size)}})
	server.read(1) // so some of it has moved
	client.t.Cancel(wr.ticket, errCause)
	r := wr.wait()
	e.fails("write", r.Err, errCause)
	if r.N < 1 || r.N >= size {
		e.Errorf("n = %d of %d", r.N, size)
	}
	client.close()
	if got := 1 + server.drain(); got != r.N {
		e.Errorf("n = %d, but %d bytes arrived", r.N, got)
	}
}

func closeEndsPending(e *env) {
	server, client := e.pair()
	rd := client.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}})
	queued := client.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}})
	client.name() // whoever sorts ops runs this one after the reads
	cl := client.start(api.Request{Kind: api.KindClose})
	e.fails("read", rd.wait().Err, net.ErrClosed)
	e.fails("queued read", queued.wait().Err, net.ErrClosed)
	if err := cl.wait().Err; err != nil {
		e.Errorf("close: %v", err)
	}
	if cl.order < rd.order || cl.order < queued.order {
		e.Error("close was done before the pending reads")
	}
	server.wantEOF()

	ln, _ := e.listen()
	acc := ln.start(api.Request{Kind: api.KindAccept})
	ln.close()
	e.fails("accept", acc.wait().Err, net.ErrClosed)
}

func closedSocket(e *env) {
	_, client := e.pair()
	client.close()
	for _, r := range []api.Request{
		{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}},
		{Kind: api.KindWrite, Bufs: [][]byte{{1}}},
		{Kind: api.KindName},
		{Kind: api.KindShutdown, How: api.ShutWrite},
		{Kind: api.KindOption, Opt: api.NoDelay(true)},
		{Kind: api.KindClose},
	} {
		e.fails(r.Kind.String(), client.do(r).Err, net.ErrClosed)
	}
}

func refused(e *env) {
	ln, addr := e.listen()
	ln.close()
	client := e.socket(e.client, api.TCP)
	r := client.do(api.Request{Kind: api.KindConnect, Addr: addr})
	e.fails("connect", r.Err, syscall.ECONNREFUSED)
	client.close()
}

func addressInUse(e *env) {
	_, addr := e.listen()
	other := e.socket(e.server, api.TCP)
	err := other.do(api.Request{Kind: api.KindBind, Addr: addr}).Err
	if err == nil { // some transports find out only here
		err = other.do(api.Request{Kind: api.KindListen, Backlog: 1}).Err
	}
	e.fails("bind and listen", err, syscall.EADDRINUSE)
}

func backlog(e *env) {
	ln, addr := e.listen()
	want := map[netip.AddrPort]bool{}
	for range 3 {
		client := e.socket(e.client, api.TCP)
		r := client.must(api.Request{Kind: api.KindConnect, Addr: addr})
		client.write([]byte("hello"))
		want[r.Local] = true
	}
	for range 3 {
		r := ln.must(api.Request{Kind: api.KindAccept})
		if !want[r.Peer] {
			e.Errorf("accepted %v, which is not waiting", r.Peer)
		}
		delete(want, r.Peer)
		end{e, e.server, r.NewSock}.wantRead("hello")
	}
}

func wrongState(e *env) {
	s := e.socket(e.client, api.TCP)
	e.fails("read", s.do(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 1)}}).Err, syscall.ENOTCONN)
	e.fails("write", s.do(api.Request{Kind: api.KindWrite, Bufs: [][]byte{{1}}}).Err, syscall.ENOTCONN, syscall.EPIPE)
	e.fails("shutdown", s.do(api.Request{Kind: api.KindShutdown, How: api.ShutWrite}).Err, syscall.ENOTCONN)
	e.fails("accept", s.do(api.Request{Kind: api.KindAccept}).Err, syscall.EINVAL)
	_, client := e.pair()
	e.fails("listen", client.do(api.Request{Kind: api.KindListen, Backlog: 1}).Err, syscall.EINVAL, syscall.EISCONN)
	u := e.socket(e.client, api.UDP)
	e.fails("udp write", u.do(api.Request{Kind: api.KindWrite, Bufs: [][]byte{{1}}}).Err, syscall.EDESTADDRREQ, syscall.ENOTCONN)
	e.fails("udp listen", u.do(api.Request{Kind: api.KindListen, Backlog: 1}).Err, syscall.EOPNOTSUPP)
}

func connectedTwice(e *env) {
	_, client := e.pair()
	_, addr := e.listen()
	for range 2 {
		e.fails("connect", client.do(api.Request{Kind: api.KindConnect, Addr: addr}).Err, syscall.EISCONN)
	}
}

func options(e *env) {
	_, client := e.pair()
	get := func(o api.Option) api.Option {
		op := client.start(api.Request{Kind: api.KindQuery, Opt: o})
		<-op.over
		got := op.op.Opt
		if err := op.wait().Err; err != nil {
			e.Errorf("query of %T: %v", o, err)
		}
		return got
	}
	if got := get(api.NoDelay(false)); got != api.NoDelay(true) {
		e.Errorf("a new socket's NoDelay: %v", got)
	}
	client.must(api.Request{Kind: api.KindOption, Opt: api.NoDelay(false)})
	if got := get(api.NoDelay(true)); got != api.NoDelay(false) {
		e.Errorf("NoDelay, switched off: %v", got)
	}
	client.must(api.Request{Kind: api.KindOption, Opt: api.KeepAlive{On: true, Idle: 15 * time.Second}})
	client.must(api.Request{Kind: api.KindOption, Opt: api.KeepAlive{On: true, Interval: 20 * time.Second}})
	got, ok := get(api.KeepAlive{}).(api.KeepAlive)
	if !ok || !got.On || got.Idle != 15*time.Second || got.Interval != 20*time.Second || got.Count == 0 {
		e.Errorf("KeepAlive: %+v", got)
	}
}

func otherOption(e *env) {
	u := e.socket(e.client, api.UDP)
	e.fails("NoDelay of a datagram socket", u.do(api.Request{Kind: api.KindOption, Opt: api.NoDelay(true)}).Err,
		syscall.ENOPROTOOPT)
}

// udp makes a bound server and a client that is not.
func (e *env) udp() (server, client end, addr netip.AddrPort) {
	e.Helper()
	server = e.socket(e.server, api.UDP)
	server.must(api.Request{Kind: api.KindBind, Addr: netip.AddrPortFrom(e.addr, 0)})
	addr, _ = server.name()
	return server, e.socket(e.client, api.UDP), addr
}

func datagrams(e *env) {
	server, client, addr := e.udp()
	buf := make([]byte, 100)
	rd := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{buf}})
	client.must(api.Request{Kind: api.KindWrite, Addr: addr, Bufs: [][]byte{[]byte("pi"), []byte("ng")}})
	r := rd.wait()
	if r.Err != nil || string(buf[:r.N]) != "ping" {
		e.Fatalf("read %q, %v", buf[:r.N], r.Err)
	}
	if local, _ := client.name(); local.Port() == 0 || r.From.Port() != local.Port() {
		e.Errorf("from %v, but the client is %v", r.From, local)
	}
	server.must(api.Request{Kind: api.KindWrite, Addr: r.From, Bufs: [][]byte{[]byte("one")}})
	server.must(api.Request{Kind: api.KindWrite, Addr: r.From, Bufs: [][]byte{[]byte("two")}})
	for _, want := range []string{"one", "two"} {
		r := client.must(api.Request{Kind: api.KindRead, Bufs: [][]byte{buf}})
		if string(buf[:r.N]) != want || r.From != addr || r.Truncated {
			e.Errorf("read %q from %v, want %q from %v", buf[:r.N], r.From, want, addr)
		}
	}
}

func emptyDatagram(e *env) {
	server, client, addr := e.udp()
	client.must(api.Request{Kind: api.KindWrite, Addr: addr})
	alloc := func(_ *api.Op, n int) [][]byte {
		e.Errorf("memory asked for: %d", n)
		return [][]byte{make([]byte, n)}
	}
	r := server.must(api.Request{Kind: api.KindRead, Alloc: alloc, Max: 10})
	if r.N != 0 || r.EOF || r.Truncated || !r.From.IsValid() {
		e.Errorf("%+v", r)
	}
}

func truncatedDatagram(e *env) {
	server, client, addr := e.udp()
	for range 3 {
		client.must(api.Request{Kind: api.KindWrite, Addr: addr, Bufs: [][]byte{[]byte("0123456789")}})
	}
	buf := make([]byte, 4)
	if r := server.must(api.Request{Kind: api.KindRead, Bufs: [][]byte{buf}}); r.N != 4 || !r.Truncated || string(buf) != "0123" {
		e.Errorf("into a short buffer: %+v %q", r, buf)
	}
	var asked int
	alloc := func(_ *api.Op, n int) [][]byte {
		asked = n
		return [][]byte{make([]byte, n)}
	}
	if r := server.must(api.Request{Kind: api.KindRead, Alloc: alloc, Max: 5}); r.N != 5 || !r.Truncated || asked != 5 {
		e.Errorf("up to a maximum: %+v, asked for %d", r, asked)
	}
	buf = make([]byte, 10)
	if r := server.must(api.Request{Kind: api.KindRead, Bufs: [][]byte{buf}}); r.N != 10 || r.Truncated {
		e.Errorf("just fitting: %+v", r)
	}
}

func connectedDatagrams(e *env) {
	server, client, addr := e.udp()
	client.must(api.Request{Kind: api.KindConnect, Addr: addr})
	local, peer := client.name()
	if peer != addr || local.Port() == 0 {
		e.Errorf("names: %v, %v, want a peer %v", local, peer, addr)
	}
	client.must(api.Request{Kind: api.KindWrite, Bufs: [][]byte{[]byte("x")}})
	r := server.must(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 9)}})
	if r.From != local {
		e.Errorf("from %v, want %v", r.From, local)
	}
	server.must(api.Request{Kind: api.KindWrite, Addr: r.From, Bufs: [][]byte{[]byte("yes")}})
	client.wantRead("yes")
}

func cancelDatagramRead(e *env) {
	server, client, addr := e.udp()
	rd := server.start(api.Request{Kind: api.KindRead, Bufs: [][]byte{make([]byte, 10)}})
	server.t.Cancel(rd.ticket, errCause)
	e.fails("read", rd.wait().Err, errCause)
	client.must(api.Request{Kind: api.KindWrite, Addr: addr, Bufs: [][]byte{[]byte("x")}})
	server.wantRead("x")
}

func transportClose(e *env) {
	server, _ := e.pair()
	ln, _ := e.listen()
	u := e.socket(e.server, api.UDP)
	u.must(api.Request{Kind: api.KindBind, Addr: netip.AddrPortFrom(e.addr, 0)})
	buf := func() [][]byte { return [][]byte{make([]byte, 1)} }
	ops := []*pending{
		server.start(api.Request{Kind: api.KindRead, Bufs: buf()}),
		server.start(api.Request{Kind: api.KindRead, Bufs: buf()}),
		ln.start(api.Request{Kind: api.KindAccept}),
		u.start(api.Request{Kind: api.KindRead, Bufs: buf()}),
	}
	if err := e.server.Close(); err != nil {
		e.Errorf("Close: %v", err)
	}
	for _, p := range ops {
		if p.pending() {
			e.Errorf("%v is pending after Close", p.op.Kind)
		}
		e.fails("a pending op", p.wait().Err, net.ErrClosed)
	}
	late := e.start(e.server, api.Request{Kind: api.KindSocket, Network: api.TCP})
	if late.pending() {
		e.Error("an op after Close is pending")
	}
	e.fails("socket after Close", late.wait().Err, net.ErrClosed)
	if err := e.server.Close(); err != nil {
		e.Errorf("the second Close: %v", err)
	}
}
