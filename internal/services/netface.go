package services

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/ringtail-net/ringtail/api"
)

// ServeNet serves on the net face until ctx ends, and then returns nil with
// everything closed. It calls ready, if it is not nil, once all services listen.
func (s *Services) ServeNet(ctx context.Context, n *api.Net, ready func()) error {
	f := &netFace{Services: s, conns: map[net.Conn]struct{}{}}
	defer f.stop()
	if err := f.listen(ctx, n); err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-f.failed:
		return err
	}
}

// A netFace is one run of ServeNet.
type netFace struct {
	*Services
	failed chan error // holds the first failure of a listener
	open   []io.Closer
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil: stopped
}

// listen opens all services and starts their goroutines.
func (f *netFace) listen(ctx context.Context, n *api.Net) error {
	config := api.ListenConfig{Net: n, Backlog: backlog}
	f.failed = make(chan error, 1)
	for _, l := range []struct {
		port    int
		counter *counter
		serve   func(net.Conn) error
	}{
		{echoPort, &f.echoTCP, f.echo},
		{discardPort, &f.discard, f.swallow},
		{chargenPort, &f.chargen, f.generate},
	} {
		ln, err := config.Listen(ctx, "tcp", address(l.port))
		if err != nil {
			return err
		}
		f.start(ln, func() error { return f.accept(ln, l.counter, l.serve) })
	}
	pc, err := config.ListenPacket(ctx, "udp", address(echoPort))
	if err != nil {
		return err
	}
	f.start(pc, func() error { return f.echoDatagrams(pc) })
	ln, err := config.Listen(ctx, "tcp", address(httpPort))
	if err != nil {
		return err
	}
	server := f.webServer()
	f.start(server, func() error { return server.Serve(webListener{ln, f.Services}) })
	return nil
}

func address(port int) string { return ":" + strconv.Itoa(port) }

// start runs serve until it fails or c is closed.
func (f *netFace) start(c io.Closer, serve func() error) {
	f.open = append(f.open, c)
	f.wg.Go(func() {
		if err := serve(); err != nil {
			select {
			case f.failed <- err:
			default:
			}
		}
	})
}

// stop closes everything and waits for all goroutines.
func (f *netFace) stop() {
	for _, c := range f.open {
		c.Close()
	}
	f.mu.Lock()
	conns := f.conns
	f.conns = nil
	f.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	f.wg.Wait()
}

// accept serves each connection of ln in a goroutine of its own.
func (f *netFace) accept(ln net.Listener, count *counter, serve func(net.Conn) error) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		if !f.adopt(c) {
			c.Close()
			continue
		}
		count.opened()
		f.wg.Go(func() {
			err := serve(&netConn{Conn: c, s: f.Services, count: count, limitRead: true})
			f.disown(c)
			if err != nil && !errors.Is(err, net.ErrClosed) {
				f.log.Debug("connection failed", "peer", c.RemoteAddr(), "err", err)
			}
			count.closed(err)
		})
	}
}

// adopt notes that c is open, unless the face has stopped.
func (f *netFace) adopt(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil {
		return false
	}
	f.conns[c] = struct{}{}
	return true
}

func (f *netFace) disown(c net.Conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	c.Close()
}

// A netConn counts what passes and gives up a connection that stands still.
type netConn struct {
	net.Conn
	s     *Services
	count *counter
	// limitRead is false under net/http, which sets read deadlines by itself.
	limitRead bool
}

func (c *netConn) Read(b []byte) (int, error) {
	if c.limitRead {
		c.SetReadDeadline(c.s.now().Add(c.s.idle))
	}
	n, err := c.Conn.Read(b)
	c.count.rx(n)
	return n, err
}

func (c *netConn) Write(b []byte) (int, error) {
	c.SetWriteDeadline(c.s.now().Add(c.s.idle))
	n, err := c.Conn.Write(b)
	c.count.tx(n)
	return n, err
}

// echo sends everything back until the client ends, and then ends too.
func (f *netFace) echo(c net.Conn) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, chunk))
	return err
}

func (f *netFace) swallow(c net.Conn) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, chunk))
	return err
}

// generate sends characters until the client has had enough, and throws away what
// it says.
func (f *netFace) generate(c net.Conn) error {
	f.wg.Go(func() { f.swallow(c) })
	for offset := int64(0); ; offset += chunk {
		if _, err := c.Write(chargenPattern.at(offset, chunk)); err != nil {
			return err
		}
	}
}

func (f *netFace) echoDatagrams(pc net.PacketConn) error {
	b := make([]byte, 64<<10)
	for {
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			return err
		}
		f.echoUDP.rx(n)
		if addr, ok := from.(*net.UDPAddr); ok && addr.Port < lowestUDPPort {
			continue
		}
		if n, err = pc.WriteTo(b[:n], from); errors.Is(err, net.ErrClosed) {
			return err
		}
		f.echoUDP.tx(n)
	}
}
