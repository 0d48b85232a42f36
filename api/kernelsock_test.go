package api_test

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A kernelSock is a socket. Ops that wait are in lanes: the first of a lane is
// with the lane's goroutine.
type kernelSock struct {
	host    *kernelHost
	num     uint64
	network api.Network
	local   netip.AddrPort
	opts    map[reflect.Type]api.Option

	ln     *net.TCPListener
	tcp    *net.TCPConn
	udp    *net.UDPConn
	to     netip.AddrPort // where a connected datagram socket sends to
	closed bool

	rd, wr lane // accepts are in rd
}

type lane struct {
	ops    []*api.Op
	cause  error // of the first op's cancel
	cancel func()
}

func (s *kernelSock) Number() uint64 { return s.num }

// queue adds an op to a lane, and starts the goroutine of a lane that was empty.
func (s *kernelSock) queue(l *lane, op *api.Op) {
	l.ops = append(l.ops, op)
	if len(l.ops) > 1 {
		return
	}
	s.host.wg.Add(1)
	go func() {
		defer s.host.wg.Done()
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		for len(l.ops) > 0 {
			s.serve(l, l.ops[0])
		}
	}()
}

// serve executes the first op of a lane. The host's mutex is held, but not while
// the operating system is called.
func (s *kernelSock) serve(l *lane, op *api.Op) {
	call := s.prepare(l, op)
	if l.cause != nil { // cancelled before it began
		cause := l.cause
		call = func() error { return cause }
	}
	s.host.mu.Unlock()
	err := call()
	s.host.mu.Lock()
	switch {
	case s.closed:
		err = net.ErrClosed
	case l.cause != nil && err != nil:
		err = l.cause
	}
	l.cause, l.cancel = nil, nil
	l.ops = l.ops[1:]
	op.Err = leaf(err)
	op.Complete()
}

// aLongTimeAgo ends calls that wait.
var aLongTimeAgo = time.Unix(1, 0)

// prepare returns the call that executes op, and notes what cancels it.
func (s *kernelSock) prepare(l *lane, op *api.Op) func() error {
	fail := func(err error) func() error { return func() error { return err } }
	switch op.Kind {
	case api.KindConnect:
		return s.connect(l, op)
	case api.KindAccept:
		if s.ln == nil {
			return fail(syscall.EINVAL)
		}
		s.ln.SetDeadline(time.Time{})
		l.cancel = func() { s.ln.SetDeadline(aLongTimeAgo) }
		return func() error { return s.accept(op) }
	case api.KindRead:
		if s.conn() == nil {
			return fail(syscall.ENOTCONN)
		}
		s.conn().SetReadDeadline(time.Time{})
		l.cancel = func() { s.conn().SetReadDeadline(aLongTimeAgo) }
		return func() error { return s.read(op) }
	}
	if !s.network.Stream() && s.udp == nil && op.Addr.IsValid() {
		if err := s.listenUDP(netip.AddrPort{}); err != nil {
			return fail(err)
		}
	}
	if s.conn() == nil {
		return fail(syscall.ENOTCONN)
	}
	s.conn().SetWriteDeadline(time.Time{})
	l.cancel = func() { s.conn().SetWriteDeadline(aLongTimeAgo) }
	return func() error { return s.write(op) }
}

func (s *kernelSock) conn() net.Conn {
	switch {
	case s.tcp != nil:
		return s.tcp
	case s.udp != nil:
		return s.udp
	}
	return nil
}

func (s *kernelSock) connect(l *lane, op *api.Op) func() error {
	if s.tcp != nil || s.ln != nil {
		return func() error { return syscall.EISCONN }
	}
	if !s.network.Stream() {
		return func() error { return s.connectUDP(op) }
	}
	ctx, cancel := context.WithCancel(s.host.ctx)
	l.cancel = cancel
	d := net.Dialer{KeepAlive: -1}
	if s.local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(s.local)
	}
	return func() error {
		defer cancel()
		c, err := d.DialContext(ctx, s.network.String(), op.Addr.String())
		if err != nil {
			return err
		}
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		if s.closed {
			c.Close()
			return net.ErrClosed
		}
		s.tcp = c.(*net.TCPConn)
		op.Local, op.Peer = s.names()
		return nil
	}
}

// connectUDP opens the socket anew, connected, if it is not bound; a bound one
// only remembers where to send.
func (s *kernelSock) connectUDP(op *api.Op) error {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if s.udp == nil {
		c, err := net.DialUDP(s.network.String(), nil, net.UDPAddrFromAddrPort(op.Addr))
		if err != nil {
			return err
		}
		s.udp = c
	} else {
		s.to = op.Addr
	}
	op.Local, op.Peer = s.names()
	return nil
}

func (s *kernelSock) accept(op *api.Op) error {
	c, err := s.ln.AcceptTCP()
	if err != nil {
		return err
	}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	n := s.host.sock(s.network)
	n.tcp = c
	op.NewSock = n
	op.Local, op.Peer = n.names()
	return nil
}

func (s *kernelSock) read(op *api.Op) error {
	p := make([]byte, 64<<10)
	if s.udp != nil {
		n, from, err := s.udp.ReadFromUDPAddrPort(p)
		if err != nil {
			return err
		}
		op.From = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		op.N = fill(op, p[:n])
		op.Truncated = op.N < n
		return nil
	}
	room := op.Max
	if op.Bufs != nil {
		room = size(op.Bufs)
	}
	if room > 0 && room < len(p) {
		p = p[:room]
	}
	n, err := s.tcp.Read(p)
	if n > 0 {
		op.N = fill(op, p[:n])
		return nil
	}
	if err != nil && err.Error() == "EOF" {
		op.EOF = true
		return nil
	}
	return err
}

func (s *kernelSock) write(op *api.Op) error {
	if s.udp != nil {
		p := slices.Concat(op.Bufs...)
		to := op.Addr
		if !to.IsValid() {
			to = s.to
		}
		var err error
		if to.IsValid() {
			_, err = s.udp.WriteToUDPAddrPort(p, to)
		} else {
			_, err = s.udp.Write(p)
		}
		if err == nil {
			op.N = len(p)
		}
		return err
	}
	for _, p := range op.Bufs {
		n, err := s.tcp.Write(p)
		op.N += n
		if err != nil {
			return err
		}
	}
	return nil
}

// simple executes the kinds that never wait.
func (s *kernelSock) simple(op *api.Op) error {
	switch op.Kind {
	case api.KindClose:
		s.close()
	case api.KindBind:
		if s.network.Stream() {
			s.local = op.Addr
			return nil
		}
		return s.listenUDP(op.Addr)
	case api.KindListen:
		return s.listen()
	case api.KindName:
		op.Local, op.Peer = s.names()
	case api.KindShutdown:
		if s.tcp == nil {
			return syscall.ENOTCONN
		}
		if op.How&api.ShutRead != 0 {
			return s.tcp.CloseRead()
		}
		return s.tcp.CloseWrite()
	case api.KindOption:
		return s.set(op.Opt)
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

func (s *kernelSock) set(o api.Option) error {
	if _, ok := s.opts[reflect.TypeOf(o)]; !ok {
		return syscall.ENOPROTOOPT
	}
	setOption(s.opts, o)
	if l, ok := o.(api.Linger); ok && s.tcp != nil {
		return s.tcp.SetLinger(int(time.Duration(l) / time.Second))
	}
	return nil
}

func (s *kernelSock) listen() error {
	switch {
	case !s.network.Stream():
		return syscall.EOPNOTSUPP
	case s.tcp != nil:
		return syscall.EINVAL
	}
	lc := net.ListenConfig{KeepAlive: -1}
	ln, err := lc.Listen(s.host.ctx, s.network.String(), s.local.String())
	if err != nil {
		return err
	}
	s.ln = ln.(*net.TCPListener)
	return nil
}

func (s *kernelSock) listenUDP(addr netip.AddrPort) error {
	var a *net.UDPAddr
	if addr.IsValid() {
		a = net.UDPAddrFromAddrPort(addr)
	}
	c, err := net.ListenUDP(s.network.String(), a)
	if err != nil {
		return err
	}
	s.udp = c
	return nil
}

func (s *kernelSock) names() (local, peer netip.AddrPort) {
	switch {
	case s.ln != nil:
		return addrPort(s.ln.Addr()), peer
	case s.conn() != nil:
		peer = s.to
		if a := s.conn().RemoteAddr(); a != nil {
			peer = addrPort(a)
		}
		return addrPort(s.conn().LocalAddr()), peer
	}
	return s.local, peer
}

// close ends the socket and its queued ops. Those which the operating system has
// end by its being closed, in their goroutines; the mutex is released until then.
func (s *kernelSock) close() {
	s.closed = true
	delete(s.host.socks, s)
	for _, l := range []*lane{&s.rd, &s.wr} {
		for len(l.ops) > 1 {
			op := l.ops[1]
			l.ops = slices.Delete(l.ops, 1, 2)
			op.Err = net.ErrClosed
			op.Complete()
		}
		if l.cancel != nil {
			l.cancel()
		}
	}
	if s.ln != nil {
		s.ln.Close()
	}
	if c := s.conn(); c != nil {
		c.Close()
	}
	for len(s.rd.ops)+len(s.wr.ops) > 0 {
		s.host.mu.Unlock()
		time.Sleep(10 * time.Microsecond)
		s.host.mu.Lock()
	}
}
