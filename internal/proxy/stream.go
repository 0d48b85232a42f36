package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A stream is a client's connection, and the one to its target once that is there.
type stream struct {
	p      *Proxy
	count  *counters
	client net.Conn

	// The mutex of the proxy guards these.
	target net.Conn
	over   bool  // both are closed, or will be
	err    error // why it was reset
}

// accept serves each connection of ln in a goroutine of its own.
func (p *Proxy) accept(ln net.Listener, count *counters, serve func(*stream) error) error {
	for {
		conn, err := ln.Accept()
		if isPassing(err) {
			p.cfg.Logger.Warn("a connection could not be accepted", "at", count.listen, "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-p.stopping:
			}
			continue
		}
		if err != nil {
			return err
		}
		s := &stream{p: p, count: count, client: conn}
		if !p.take() {
			s.reset()
			return net.ErrClosed
		}
		if !s.begin() {
			s.reset()
			p.give()
			return net.ErrClosed
		}
		p.running.Go(func() {
			defer p.give()
			s.end(serve(s))
		})
	}
}

// isPassing reports whether a failed accept says nothing about the next one.
func isPassing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *stream) begin() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.stopped {
		return false
	}
	s.p.streams[s] = struct{}{}
	s.count.begin()
	return true
}

// end closes what is open: by a reset if it did not end well, unless the client was
// told so in words.
func (s *stream) end(err error) {
	s.p.mu.Lock()
	if err == nil {
		err = s.err
	}
	if _, ok := err.(told); err != nil && !ok {
		s.reset()
	}
	s.over = true
	s.client.Close()
	if s.target != nil {
		s.target.Close()
	}
	delete(s.p.streams, s)
	if s.p.stopped && len(s.p.streams) == 0 {
		close(s.p.idle)
	}
	s.p.mu.Unlock()
	s.count.end(err)
	if err != nil {
		s.p.cfg.Logger.Debug("connection failed", "kind", s.count.kind, "client", s.client.RemoteAddr(), "err", err)
	}
}

// fail resets both connections: what one side has seen is not all that there
// should be.
func (s *stream) fail(err error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.reset()
}

// reset closes both connections by resets. The proxy's mutex is held, but for a
// stream that is not known yet.
func (s *stream) reset() {
	if s.over {
		return
	}
	s.over = true
	resetConn(s.client)
	if s.target != nil {
		resetConn(s.target)
	}
}

func resetConn(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0) // it fails with the connection, and then there is none to reset
	}
	c.Close()
}

// forward serves a connection by another to a target.
func (s *stream) forward(to Network, target string) error {
	if err := s.dial(to, target); err != nil {
		return err
	}
	return s.join()
}

// dial opens the connection to the target.
func (s *stream) dial(to Network, target string) error {
	ctx, cancel := context.WithTimeout(s.p.dialing, s.p.cfg.Patience)
	defer cancel()
	conn, err := to.DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.over {
		resetConn(conn)
		return net.ErrClosed
	}
	s.target = conn
	return nil
}

// join passes on both directions until both have ended.
func (s *stream) join() error {
	var up sync.WaitGroup
	up.Go(func() { s.pump(s.target, s.client, &s.count.toTarget) })
	s.pump(s.client, s.target, &s.count.toClient)
	up.Wait()
	return nil // what failed is in s.err
}

// pump passes on one direction, and its end.
func (s *stream) pump(dst, src net.Conn, n *atomic.Uint64) {
	err := carry(counted{dst, n}, src)
	if c, ok := dst.(interface{ CloseWrite() error }); ok && err == nil {
		// Who has gone already has heard all that it wanted.
		if err = c.CloseWrite(); errors.Is(err, syscall.ENOTCONN) {
			err = nil
		}
	}
	if err != nil {
		s.fail(err)
	}
}

// buffers are for what is read from the kernel; a connection of the net face has
// its own way, which holds no memory while nothing comes.
var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

func carry(dst io.Writer, src net.Conn) error {
	if _, ok := src.(*net.TCPConn); !ok {
		_, err := io.Copy(dst, src)
		return err
	}
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	_, err := io.CopyBuffer(dst, struct{ io.Reader }{src}, *b)
	return err
}

// counted counts what is written.
type counted struct {
	w io.Writer
	n *atomic.Uint64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n.Add(uint64(n))
	return n, err
}
