package sim

import (
	"container/heap"
	"net"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A sequencer is a transport in front of another: what goroutines submit waits for
// its place in the order of the world, and so does what they get back.
//
// A close is the exception in what it returns: its caller goes on at once, and it
// is executed in its place. So a program that closes what it has in a map, as
// net/http's server does, closes in the order of the sockets all the same.
type sequencer struct {
	host   *Host
	inner  api.Transport
	memory bool
	linger map[uint64]bool // sockets whose close waits; guarded by World.mu
	closed bool            // guarded by World.mu
}

var (
	_ api.Transport = (*sequencer)(nil)
	_ api.Timers    = (*sequencer)(nil)
)

// A flight is an op between its Submit and its Done.
type flight struct {
	s      *sequencer
	op     *api.Op
	ticket api.Ticket
	done   func(*api.Op)
	task   task
	since  int64
}

// Submit implements api.Transport.
func (s *sequencer) Submit(op *api.Op) {
	w := s.host.w
	if op.Kind == api.KindClose && !s.waits(op) {
		op = s.detach(op)
	}
	f := &flight{s: s, op: op, ticket: op.Ticket(), done: op.Done, since: w.clock()}
	f.task = task{key: s.key(op), run: f.execute}
	op.Done = f.finished
	w.mu.Lock()
	s.note(op)
	if s.closed {
		w.wake() // it may be one of too many
		w.mu.Unlock()
		op.Err = net.ErrClosed
		op.Done = f.done
		op.Complete()
		return
	}
	w.flights[f.ticket] = f
	w.postLocked(&f.task)
	w.mu.Unlock()
}

// detach completes a close for its caller, and returns one that will be executed.
func (s *sequencer) detach(op *api.Op) *api.Op {
	own := api.NewOp()
	own.Request = op.Request
	own.Done = func(op *api.Op) { op.Free() }
	op.Complete()
	return own
}

func (s *sequencer) key(op *api.Op) key {
	k := key{host: s.host.number, memory: s.memory, kind: op.Kind, seq: op.Seq, label: op.Label}
	if op.Sock == nil {
		k.makes = true
	} else {
		k.sock = op.Sock.Number()
	}
	return k
}

// note remembers the sockets with Linger. w.mu is held.
func (s *sequencer) note(op *api.Op) {
	if l, ok := op.Opt.(api.Linger); ok && op.Kind == api.KindOption {
		s.linger[op.Sock.Number()] = l > 0
	}
}

func (s *sequencer) waits(op *api.Op) bool {
	w := s.host.w
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.linger[op.Sock.Number()]
}

// execute gives the op to the transport.
func (f *flight) execute() {
	f.s.inner.Submit(f.op)
	f.s.host.w.touch(f.s.host)
}

// finished is the Done that the transport calls: the caller hears of it in his
// turn.
func (f *flight) finished(*api.Op) { f.s.host.w.finish(f.release) }

// release tells the caller.
func (f *flight) release() {
	w := f.s.host.w
	w.mu.Lock()
	delete(w.flights, f.ticket)
	w.mu.Unlock()
	f.op.Done = f.done
	f.done(f.op)
}

// Cancel implements api.Transport.
func (s *sequencer) Cancel(t api.Ticket, cause error) {
	w := s.host.w
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.flights[t]
	if f == nil {
		return
	}
	k := f.task.key
	k.of, k.kind = k.kind, api.KindCancel
	w.postLocked(&task{key: k, run: func() { f.cancel(cause) }})
}

// cancel ends the op where it is: in the queue of tasks, or in the transport.
func (f *flight) cancel(cause error) {
	w := f.s.host.w
	w.mu.Lock()
	waiting := f.task.at >= 0
	if waiting {
		heap.Remove(&w.tasks, f.task.at)
	}
	w.mu.Unlock()
	if waiting {
		f.op.Err = cause
		f.op.Complete()
		return
	}
	f.s.inner.Cancel(f.ticket, cause)
	w.touch(f.s.host)
}

// Close implements api.Transport. What is in flight ends before it returns.
func (s *sequencer) Close() error {
	var err error
	s.host.w.do(func() { err = s.close() })
	return err
}

// close ends the transport. What was posted and not executed fails then.
func (s *sequencer) close() error {
	w := s.host.w
	w.mu.Lock()
	again := s.closed
	s.closed = true
	w.mu.Unlock()
	if again {
		return nil
	}
	// What waits for its place is executed yet, and fails by itself.
	err := s.inner.Close()
	w.touch(s.host)
	return err
}

// Now implements api.Timers.
func (s *sequencer) Now() time.Time { return s.host.Now() }

// AfterFunc implements api.Timers. The time is the host's.
func (s *sequencer) AfterFunc(d time.Duration, f func()) api.Timer {
	h := s.host
	return h.w.deadline(h.number, h.worldTime(h.Now().Add(d)), f)
}
