package transporttest

import (
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

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
