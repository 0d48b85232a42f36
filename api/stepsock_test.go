package api_test

import (
	"cmp"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A stepSock is a socket.
type stepSock struct {
	host        *stepHost
	num         uint64
	network     api.Network
	local, peer netip.AddrPort
	other       *stepSock // of a connection
	listening   bool
	backlog     int
	waiting     []*stepSock // for an accept
	in          []byte
	dgrams      []dgram
	eof         bool // nothing follows in
	reset       bool
	shutR       bool
	shutW       bool
	linger0     bool
	closed      bool
	opts        map[reflect.Type]api.Option

	reads, writes, accepts []*api.Op
}

type dgram struct {
	p    []byte
	from netip.AddrPort
}

func (s *stepSock) Number() uint64 { return s.num }

func (h *stepHost) newSock(n api.Network) *stepSock {
	s := &stepSock{host: h, num: uint64(len(h.socks) + 1), network: n, opts: map[reflect.Type]api.Option{}}
	if n.Stream() {
		s.opts[reflect.TypeFor[api.NoDelay]()] = api.NoDelay(true)
		s.opts[reflect.TypeFor[api.KeepAlive]()] = defaultKeepAlive
	}
	h.socks = append(h.socks, s)
	return s
}

// run executes op, and what it makes possible.
func (h *stepHost) run(op *api.Op) {
	if op.Kind == api.KindSocket {
		op.NewSock = h.newSock(op.Network)
		op.Complete()
		return
	}
	s := op.Sock.(*stepSock)
	if s.closed {
		op.Err = net.ErrClosed
		op.Complete()
		return
	}
	switch op.Kind {
	case api.KindRead:
		s.reads = append(s.reads, op)
	case api.KindWrite:
		s.write(op)
	case api.KindAccept:
		if !s.listening {
			op.Err = syscall.EINVAL
			op.Complete()
			break
		}
		s.accepts = append(s.accepts, op)
	default:
		op.Err = s.simple(op)
		op.Complete()
	}
	s.settle()
}

// simple executes the kinds that never wait.
func (s *stepSock) simple(op *api.Op) error {
	switch op.Kind {
	case api.KindClose:
		s.close()
	case api.KindBind:
		return s.bind(op.Addr)
	case api.KindListen:
		return s.listen(op.Backlog)
	case api.KindConnect:
		err := s.connect(op.Addr)
		op.Local, op.Peer = s.local, s.peer
		return err
	case api.KindName:
		op.Local, op.Peer = s.local, s.peer
	case api.KindShutdown:
		return s.shutdown(op.How)
	case api.KindOption:
		if l, ok := op.Opt.(api.Linger); ok {
			s.linger0 = l == 0
			return nil
		}
		if _, ok := s.opts[reflect.TypeOf(op.Opt)]; !ok {
			return syscall.ENOPROTOOPT
		}
		setOption(s.opts, op.Opt)
	case api.KindQuery:
		o, ok := s.opts[reflect.TypeOf(op.Opt)]
		if !ok {
			return syscall.ENOPROTOOPT
		}
		op.Opt = o
	default:
		return syscall.EOPNOTSUPP
	}
	return nil
}

var defaultKeepAlive = api.KeepAlive{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9}

// setOption notes an option. Zero fields of a KeepAlive keep their values.
func setOption(opts map[reflect.Type]api.Option, o api.Option) {
	if k, ok := o.(api.KeepAlive); ok {
		old := opts[reflect.TypeOf(o)].(api.KeepAlive)
		k.Idle, k.Interval, k.Count = cmp.Or(k.Idle, old.Idle), cmp.Or(k.Interval, old.Interval), cmp.Or(k.Count, old.Count)
		o = k
	}
	opts[reflect.TypeOf(o)] = o
}

func (s *stepSock) bind(addr netip.AddrPort) error {
	h := s.host
	ip := addr.Addr()
	if ip.IsUnspecified() || ip.IsLoopback() { // there is one address, and everybody is at home
		ip = h.addr
	}
	if ip != h.addr {
		return syscall.EADDRNOTAVAIL
	}
	if s.local.IsValid() {
		return syscall.EINVAL
	}
	port := addr.Port()
	if port == 0 {
		h.port++
		port = h.port
	}
	b := binding{s.network.Stream(), netip.AddrPortFrom(ip, port)}
	if _, taken := h.net.bound[b]; taken {
		return syscall.EADDRINUSE
	}
	s.local = b.addr
	h.net.bound[b] = s
	return nil
}

func (s *stepSock) listen(backlog int) error {
	switch {
	case !s.network.Stream():
		return syscall.EOPNOTSUPP
	case s.other != nil:
		return syscall.EINVAL
	}
	s.listening, s.backlog = true, backlog
	return nil
}

func (s *stepSock) connect(addr netip.AddrPort) error {
	if s.other != nil {
		return syscall.EISCONN
	}
	if addr.Addr().IsLoopback() {
		addr = netip.AddrPortFrom(s.host.addr, addr.Port())
	}
	if !s.network.Stream() {
		if err := s.bindAny(); err != nil {
			return err
		}
		s.peer = addr
		return nil
	}
	ln := s.host.net.bound[binding{true, addr}]
	if ln == nil || !ln.listening || len(ln.waiting) >= ln.backlog {
		return syscall.ECONNREFUSED
	}
	if err := s.bindAny(); err != nil {
		return err
	}
	c := ln.host.newSock(ln.network)
	c.local, c.peer, c.other = ln.local, s.local, s
	s.peer, s.other = c.local, c
	ln.waiting = append(ln.waiting, c)
	ln.settle()
	return nil
}

// bindAny binds s if it is not bound yet.
func (s *stepSock) bindAny() error {
	if s.local.IsValid() {
		return nil
	}
	return s.bind(netip.AddrPortFrom(s.host.addr, 0))
}

func (s *stepSock) shutdown(how api.Shut) error {
	if s.other == nil {
		return syscall.ENOTCONN
	}
	s.shutR = s.shutR || how&api.ShutRead != 0
	if how&api.ShutWrite != 0 {
		s.shutW, s.other.eof = true, true
		s.other.settle()
	}
	return nil
}

func (s *stepSock) close() {
	if s.closed {
		return
	}
	s.closed = true
	end(&s.reads, net.ErrClosed)
	end(&s.writes, net.ErrClosed)
	end(&s.accepts, net.ErrClosed)
	if b := (binding{s.network.Stream(), s.local}); s.host.net.bound[b] == s {
		delete(s.host.net.bound, b)
	}
	for _, c := range s.waiting {
		c.linger0 = true
		c.close()
	}
	if o := s.other; o != nil && !o.closed {
		o.eof, o.shutW = true, true
		o.reset = s.linger0 || len(s.in) > 0
		o.settle()
	}
}

func end(ops *[]*api.Op, err error) {
	for len(*ops) > 0 {
		op := (*ops)[0]
		*ops = (*ops)[1:]
		op.Err = err
		op.Complete()
	}
}

func (s *stepSock) drop(op *api.Op) {
	is := func(o *api.Op) bool { return o == op }
	s.reads = slices.DeleteFunc(s.reads, is)
	s.writes = slices.DeleteFunc(s.writes, is)
	s.accepts = slices.DeleteFunc(s.accepts, is)
}

// write starts a write.
func (s *stepSock) write(op *api.Op) {
	if s.network.Stream() {
		if s.other == nil {
			op.Err = syscall.ENOTCONN
			op.Complete()
			return
		}
		s.writes = append(s.writes, op)
		return
	}
	defer op.Complete()
	to := op.Addr
	if !to.IsValid() {
		to = s.peer
	}
	if !to.IsValid() {
		op.Err = syscall.EDESTADDRREQ
		return
	}
	if op.Err = s.bindAny(); op.Err != nil {
		return
	}
	p := slices.Concat(op.Bufs...)
	op.N = len(p)
	d := s.host.net.bound[binding{false, to}]
	if d != nil && (!d.peer.IsValid() || d.peer == s.local) {
		d.dgrams = append(d.dgrams, dgram{p, s.local})
		d.settle()
	}
}

// settle completes what can be.
func (s *stepSock) settle() {
	for s.readOne() || s.acceptOne() || s.writeOne() || s.other != nil && (s.other.readOne() || s.other.writeOne()) {
	}
}

func (s *stepSock) acceptOne() bool {
	if len(s.accepts) == 0 || len(s.waiting) == 0 {
		return false
	}
	op, c := s.accepts[0], s.waiting[0]
	s.accepts, s.waiting = s.accepts[1:], s.waiting[1:]
	op.NewSock, op.Local, op.Peer = c, c.local, c.peer
	op.Complete()
	return true
}

// writeOne moves some bytes of the first write. It reports whether it did
// something.
func (s *stepSock) writeOne() bool {
	if len(s.writes) == 0 {
		return false
	}
	op := s.writes[0]
	moved := 0
	if s.shutW {
		op.Err = syscall.EPIPE
	} else {
		skip := op.N
		for _, p := range op.Bufs {
			k := min(skip, len(p))
			skip -= k
			m := min(len(p)-k, stepBuffer-len(s.other.in))
			s.other.in = append(s.other.in, p[k:k+m]...)
			moved += m
		}
		op.N += moved
	}
	if op.Err != nil || op.N == size(op.Bufs) {
		s.writes = s.writes[1:]
		op.Complete()
		return true
	}
	return moved > 0
}

func size(bufs [][]byte) (n int) {
	for _, p := range bufs {
		n += len(p)
	}
	return n
}

// readOne completes the first read, if there is something for it.
func (s *stepSock) readOne() bool {
	if len(s.reads) == 0 {
		return false
	}
	op := s.reads[0]
	switch {
	case s.reset:
		op.Err = syscall.ECONNRESET
	case len(s.dgrams) > 0:
		d := s.dgrams[0]
		s.dgrams = s.dgrams[1:]
		op.N, op.From = fill(op, d.p), d.from
		op.Truncated = op.N < len(d.p)
	case s.network.Stream() && s.other == nil:
		op.Err = syscall.ENOTCONN
	case s.shutR:
		op.EOF = true
	case len(s.in) > 0:
		op.N = fill(op, s.in)
		s.in = s.in[op.N:]
	case s.eof:
		op.EOF = true
	default:
		return false
	}
	s.reads = s.reads[1:]
	op.Complete()
	return true
}

// fill puts bytes of p into a read.
func fill(op *api.Op, p []byte) (n int) {
	bufs := op.Bufs
	if op.Alloc != nil && bufs == nil {
		if op.Max > 0 {
			p = p[:min(len(p), op.Max)]
		}
		if len(p) == 0 {
			return 0
		}
		bufs = op.Alloc(op, len(p))
	}
	for _, b := range bufs {
		n += copy(b, p[n:])
	}
	return n
}
