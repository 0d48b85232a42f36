package settle

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// conn is a socket of an application that is served whenever gVisor says that
// something has changed. It sends what is in out and collects in in.
type conn struct {
	h      *host
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	entry  waiter.Entry
	queued bool // guarded by h.mu

	out    []byte
	in     bytes.Buffer
	eof    bool        // the peer has ended its stream
	err    tcpip.Error // what ended the connection
	closed bool
	// then is called when all is read and written that can be.
	then func(*conn)
}

func newConn(h *host, ep tcpip.Endpoint, wq *waiter.Queue, then func(*conn)) *conn {
	c := &conn{h: h, ep: ep, wq: wq, then: then}
	c.entry.Init(c, waiter.ReadableEvents|waiter.WritableEvents|waiter.EventErr|waiter.EventHUp)
	wq.EventRegister(&c.entry)
	c.NotifyEvent(0) // what was there before
	return c
}

// NotifyEvent implements waiter.EventListener.
func (c *conn) NotifyEvent(waiter.EventMask) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if !c.queued {
		c.queued = true
		c.h.ready = append(c.h.ready, c)
	}
}

func socket(t testing.TB, h *host) (tcpip.Endpoint, *waiter.Queue) {
	t.Helper()
	wq := new(waiter.Queue)
	ep, err := h.st.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if err != nil {
		t.Fatal(err)
	}
	return ep, wq
}

// dial starts a connection to a port of the other host.
func dial(t testing.TB, h *host, port uint16, then func(*conn)) (c *conn) {
	t.Helper()
	h.enter(func() {
		ep, wq := socket(t, h)
		c = newConn(h, ep, wq, then)
		err := ep.Connect(tcpip.FullAddress{Addr: h.w.hosts[1-h.i].addr, Port: port})
		if _, started := err.(*tcpip.ErrConnectStarted); !started {
			t.Errorf("connect: %v", err)
		}
	})
	return c
}

// listen accepts connections to a port. With accepted nil it leaves them
// pending.
func listen(t testing.TB, h *host, port uint16, accepted func(*conn)) (l *conn) {
	t.Helper()
	h.enter(func() {
		ep, wq := socket(t, h)
		if err := ep.Bind(tcpip.FullAddress{Port: port}); err != nil {
			t.Fatal(err)
		}
		if err := ep.Listen(1000); err != nil {
			t.Fatal(err)
		}
		l = newConn(h, ep, wq, nil)
		l.then = func(*conn) {
			for accepted != nil {
				ep, wq, err := l.ep.Accept(nil)
				if err != nil {
					return
				}
				accepted(newConn(h, ep, wq, nop))
			}
		}
	})
	return l
}

func nop(*conn) {}

func (c *conn) serve() {
	if c.closed {
		return
	}
	if tcp.EndpointState(c.ep.State()) != tcp.StateListen {
		c.read()
		c.write()
	}
	c.then(c)
}

func (c *conn) read() {
	for c.err == nil && !c.eof {
		_, err := c.ep.Read(&c.in, tcpip.ReadOptions{})
		if err == nil {
			continue
		}
		_, c.eof = err.(*tcpip.ErrClosedForReceive)
		if !c.eof {
			c.failed(err)
			return
		}
	}
}

func (c *conn) write() {
	for c.err == nil && len(c.out) > 0 {
		n, err := c.ep.Write(bytes.NewReader(c.out), tcpip.WriteOptions{})
		c.out = c.out[n:]
		if err != nil {
			c.failed(err)
			return
		}
	}
}

// failed notes an error, unless it is a state.
func (c *conn) failed(err tcpip.Error) {
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		return
	case *tcpip.ErrNotConnected, *tcpip.ErrClosedForSend:
		if !c.over() {
			return // still connecting
		}
		if last := c.ep.LastError(); last != nil {
			err = last
		}
	}
	c.err = err
}

func (c *conn) over() bool {
	s := tcp.EndpointState(c.ep.State())
	return s == tcp.StateError || s == tcp.StateClose
}

func (c *conn) close() {
	c.closed = true
	c.ep.Close()
}

// echo makes an accepted connection send back what it gets, and close when the
// peer has ended its stream.
func echo(c *conn) {
	c.then = func(c *conn) {
		c.out = append(c.out, c.in.Next(c.in.Len())...)
		c.write()
		if c.err != nil || c.eof && len(c.out) == 0 {
			c.close()
		}
	}
}
