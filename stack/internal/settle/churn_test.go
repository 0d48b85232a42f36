package settle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/internal/testenv"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// churn is many connections from host 0 to host 1 that end in all ways.
type churn struct {
	t      *testing.T
	w      *world
	checks []func()   // at the end
	held   [2][]*conn // both ends of connections for simultaneousClose
	bytes  int        // sent on those
}

// The ports of the server.
const (
	portEcho   = 80
	portHold   = 81 // accepts, reads, and says nothing
	portDeaf   = 82 // does not accept, and is closed
	portNobody = 83
)

func (c *churn) run() {
	client, server := c.w.hosts[0], c.w.hosts[1]
	listen(c.t, server, portEcho, echo)
	listen(c.t, server, portHold, func(a *conn) { c.held[1] = append(c.held[1], a) })
	deaf := listen(c.t, server, portDeaf, nil)

	ways := []func(data []byte){c.halfClose, c.reset, c.abort, c.refused, c.unaccepted, c.hold}
	dice := rand.New(rand.NewPCG(1, 1))
	conns := 100
	if testenv.Long() {
		conns = 2000
	}
	for i := range conns {
		data := randomBytes(10_000+dice.IntN(40_000), uint64(i))
		start := time.Duration(dice.IntN(20_000)) * time.Microsecond
		if i%2 == 0 {
			start = 0 // half of them at once
		}
		c.w.in(start, client, func() { ways[i%len(ways)](data) })
	}
	c.w.in(300*time.Millisecond, server, deaf.close)
	c.w.in(time.Second, client, c.simultaneousClose)
	c.w.finish() // and so after TIME-WAIT

	for _, check := range c.checks {
		check()
	}
	for i, open := range []int{0, 2} {
		if n := len(c.w.hosts[i].st.RegisteredEndpoints()); n != open {
			c.t.Errorf("host %d has %d endpoints at the end, want %d", i, n, open)
		}
	}
}

func (c *churn) check(f func()) { c.checks = append(c.checks, f) }

func (c *churn) dial(port uint16, data []byte, then func(*conn)) *conn {
	s := dial(c.t, c.w.hosts[0], port, then)
	s.out = data
	return s
}

func (c *churn) halfClose(data []byte) {
	s := request(c.t, c.w.hosts[0], portEcho, data)
	c.check(func() { s.echoed(c.t, data) })
}

// reset closes with SO_LINGER 0, which sends a reset.
func (c *churn) reset(data []byte) {
	c.inTheMiddle(data, func(s *conn) {
		s.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	})
}

func (c *churn) abort(data []byte) {
	c.inTheMiddle(data, func(s *conn) { s.ep.Abort() })
}

// inTheMiddle ends a connection when half of the data has come back.
func (c *churn) inTheMiddle(data []byte, end func(*conn)) {
	s := c.dial(portEcho, data, func(s *conn) {
		if s.in.Len() >= len(data)/2 {
			end(s)
			s.close()
		}
	})
	c.check(func() {
		if !s.closed || s.err != nil || s.in.Len() == len(data) {
			c.t.Errorf("closed: %v, after %d of %d bytes, error %v", s.closed, s.in.Len(), len(data), s.err)
		}
	})
}

func (c *churn) refused([]byte) {
	s := c.dial(portNobody, nil, nop)
	c.check(func() {
		if _, ok := s.err.(*tcpip.ErrConnectionRefused); !ok {
			c.t.Errorf("connect to a port where nobody listens: %v", s.err)
		}
	})
}

func (c *churn) unaccepted([]byte) {
	s := c.dial(portDeaf, nil, nop)
	c.check(func() {
		if _, ok := s.err.(*tcpip.ErrConnectionReset); !ok {
			c.t.Errorf("a connection that was pending when the listener was closed: %v", s.err)
		}
	})
}

func (c *churn) hold(data []byte) {
	c.held[0] = append(c.held[0], c.dial(portHold, data, nop))
	c.bytes += len(data)
}

// simultaneousClose closes both ends of connections in the same instant, so that
// their FINs cross on the wire.
func (c *churn) simultaneousClose() {
	got := 0
	for i, ends := range c.held {
		if len(ends) == 0 || len(ends) != len(c.held[0]) {
			c.t.Errorf("host %d has %d ends of %d connections", i, len(ends), len(c.held[0]))
		}
		for _, s := range ends {
			got += s.in.Len()
			c.w.in(time.Millisecond, s.h, s.close)
			c.w.in(time.Millisecond+delay, s.h, func() {
				// Every FIN has arrived, no acknowledgement has (RFC 9293,
				// figure 13).
				c.w.in(0, s.h, func() {
					if state := tcp.EndpointState(s.ep.State()); state != tcp.StateClosing {
						c.t.Errorf("after FINs have crossed: %v, want CLOSING", state)
					}
				})
			})
		}
	}
	if got != c.bytes {
		c.t.Errorf("%d bytes came of %d", got, c.bytes)
	}
}
