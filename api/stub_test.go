package api_test

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A stub is a transport without a network: ops that make, bind or close
// something succeed, reads bring one byte, writes take all. While hold is set,
// reads and writes wait for finish.
type stub struct {
	mu   sync.Mutex
	hold bool
	held []*api.Op
	num  stubSock
}

type stubSock uint64

func (s stubSock) Number() uint64 { return uint64(s) }

func (s *stub) Submit(op *api.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch op.Kind {
	case api.KindSocket:
		s.num++
		op.NewSock = s.num
	case api.KindRead, api.KindWrite, api.KindAccept, api.KindConnect:
		if s.hold {
			s.held = append(s.held, op)
			return
		}
	}
	s.execute(op)
}

func (s *stub) execute(op *api.Op) {
	switch op.Kind {
	case api.KindRead:
		op.N = fill(op, []byte{42})
	case api.KindWrite:
		op.N = size(op.Bufs)
	case api.KindConnect:
		op.Peer = op.Addr
	}
	op.Complete()
}

// finish ends all held ops.
func (s *stub) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range s.held {
		if err != nil && op.Alloc != nil {
			op.Alloc(op, 1) // too early, but not forbidden
		}
		if op.Err = err; err != nil {
			op.Complete()
			continue
		}
		s.execute(op)
	}
	s.held = s.held[:0]
}

func (s *stub) Cancel(t api.Ticket, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := t.Op()
	for i, h := range s.held {
		if h == op {
			s.held = append(s.held[:i], s.held[i+1:]...)
			op.Err = cause
			op.Complete()
			return
		}
	}
}

func (s *stub) Close() error {
	s.finish(net.ErrClosed)
	return nil
}

// A driverStub is a stub with a driver whose every step the test sees.
type driverStub struct {
	stub
	turns   atomic.Int64
	sleeps  chan struct{} // one for each begun Sleep
	wakes   chan struct{}
	deadend atomic.Bool
	busy    atomic.Bool
	closed  atomic.Bool
}

func newDriverStub() *driverStub {
	return &driverStub{sleeps: make(chan struct{}, 100), wakes: make(chan struct{}, 1)}
}

func (d *driverStub) Turn() bool {
	d.turns.Add(1)
	return true
}

func (d *driverStub) Sleep(time.Time) error {
	switch {
	case d.closed.Load():
		return net.ErrClosed
	case d.deadend.Load():
		return api.ErrDeadlock
	case d.busy.Load():
		d.sleeps <- struct{}{}
		return api.ErrBusy
	}
	d.sleeps <- struct{}{}
	<-d.wakes
	return nil
}

func (d *driverStub) Wake() { signal(d.wakes) }

func (d *driverStub) Close() error {
	d.closed.Store(true)
	d.Wake()
	return d.stub.Close()
}

// held makes a LibOS with n pops that wait.
func held(d api.Transport, s *stub, n int) (l *api.LibOS, ids []api.Token) {
	l = api.New(d, api.Config{Strict: true})
	qd := must1(l.Socket(api.TCP))
	s.mu.Lock()
	s.hold = true
	s.mu.Unlock()
	for range n {
		ids = append(ids, must1(l.Pop(qd)))
	}
	return l, ids
}
