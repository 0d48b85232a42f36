package transporttest

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

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
