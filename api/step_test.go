package api_test

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A stepNet is a network in memory. Ops run only in step, one at a time, in the
// order of (host, socket, kind, seq): it is the smallest sequencer there is.
type stepNet struct {
	mu     sync.Mutex // also held while ops are completed
	hosts  []*stepHost
	posted []posted
	bound  map[binding]*stepSock
	kick   chan struct{} // something was posted
	trace  []string      // the ops run, if tracing
	record bool
}

type posted struct {
	op   *api.Op
	host *stepHost
}

type binding struct {
	stream bool
	addr   netip.AddrPort
}

// stepBuffer is how many bytes a stream holds on their way.
const stepBuffer = 64 << 10

func newStepNet() *stepNet {
	return &stepNet{bound: map[binding]*stepSock{}, kick: make(chan struct{}, 1)}
}

// A stepHost is a transport on a stepNet.
type stepHost struct {
	net      *stepNet
	id       int
	addr     netip.Addr
	socks    []*stepSock
	port     uint16
	closed   bool
	wake     chan struct{}
	sleeping bool
}

func (n *stepNet) host(addr string) *stepHost {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &stepHost{net: n, id: len(n.hosts), addr: netip.MustParseAddr(addr), port: 40000, wake: make(chan struct{}, 1)}
	n.hosts = append(n.hosts, h)
	return h
}

func (h *stepHost) Submit(op *api.Op) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.closed {
		op.Err = net.ErrClosed
		op.Complete()
		return
	}
	n.posted = append(n.posted, posted{op, h})
	signal(n.kick)
	for _, h := range n.hosts {
		signal(h.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (h *stepHost) Cancel(t api.Ticket, cause error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	op := t.Op()
	if op == nil {
		return
	}
	h.net.posted = slices.DeleteFunc(h.net.posted, func(p posted) bool { return p.op == op })
	for _, s := range h.socks {
		s.drop(op)
	}
	op.Err = cause
	op.Complete()
}

func (h *stepHost) Close() error {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	h.closed = true
	var mine []posted
	for _, p := range n.posted {
		if p.host == h {
			mine = append(mine, p)
		}
	}
	n.posted = slices.DeleteFunc(n.posted, func(p posted) bool { return p.host == h })
	for _, p := range mine {
		p.op.Err = net.ErrClosed
		p.op.Complete()
	}
	for _, s := range h.socks {
		s.close()
	}
	signal(h.wake)
	return nil
}

// step runs the first op, if there is one.
func (n *stepNet) step() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.posted) == 0 {
		return false
	}
	slices.SortStableFunc(n.posted, func(a, b posted) int {
		return cmp.Or(a.host.id-b.host.id, cmp.Compare(number(a.op), number(b.op)),
			cmp.Compare(a.op.Kind, b.op.Kind), cmp.Compare(a.op.Seq, b.op.Seq))
	})
	p := n.posted[0]
	n.posted = n.posted[1:]
	if n.record {
		n.trace = append(n.trace, fmt.Sprintf("%d/%d %v %d", p.host.id, number(p.op), p.op.Kind, p.op.Seq))
	}
	p.host.run(p.op)
	return true
}

func number(op *api.Op) uint64 {
	if op.Sock == nil {
		return 0
	}
	return op.Sock.Number()
}

// drive steps whenever there is something to do, until stop is called. While a
// caller sleeps in a host it leaves the work to him, for a moment.
func (n *stepNet) drive() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-n.kick:
			}
			if n.sleepers() {
				select {
				case <-quit:
					return
				case <-time.After(time.Millisecond):
				}
			}
			for n.step() {
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (n *stepNet) sleepers() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.hosts, func(h *stepHost) bool { return h.sleeping })
}

// A drivenHost is a stepHost with the Driver interface.
type drivenHost struct{ *stepHost }

func (h drivenHost) Turn() bool {
	for range 64 {
		if !h.net.step() {
			break
		}
	}
	return true
}

func (h drivenHost) Sleep(deadline time.Time) error {
	h.net.mu.Lock()
	if h.closed || h.sleeping {
		defer h.net.mu.Unlock()
		if h.closed {
			return net.ErrClosed
		}
		return api.ErrBusy
	}
	h.sleeping = true
	h.net.mu.Unlock()
	<-h.wake
	h.net.mu.Lock()
	h.sleeping = false
	h.net.mu.Unlock()
	return nil
}

func (h drivenHost) Wake() { signal(h.wake) }
