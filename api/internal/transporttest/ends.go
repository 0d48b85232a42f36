package transporttest

import (
	"net"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

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
