package transporttest

import (
	"bytes"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

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
