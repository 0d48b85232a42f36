package api

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/netip"
	"runtime"
	"syscall"
)

// An Opcode says which call a completion belongs to.
type Opcode Kind

// The opcodes.
const (
	OpAccept  = Opcode(KindAccept)
	OpConnect = Opcode(KindConnect)
	OpPush    = Opcode(KindWrite)
	OpPop     = Opcode(KindRead)
	OpClose   = Opcode(KindClose)
)

func (o Opcode) String() string {
	switch o {
	case OpPush:
		return "push"
	case OpPop:
		return "pop"
	}
	return Kind(o).String()
}

// A Completion is the result of an op. An op that failed has Err set; to wait
// for it has succeeded.
type Completion struct {
	Token Token
	QD    QD
	Op    Opcode

	New       QD             // of an accept: the connection
	From      netip.AddrPort // of a pop: the sender of a datagram; of an accept: the peer
	SGA       SGA            // of a pop: what came; of a push: what went. The receiver's to free
	N         int            // bytes moved, also before an error
	EOF       bool           // of a pop: the stream has ended
	Truncated bool           // of a pop: the datagram was longer

	// Err is nil or an [*Error] around the cause: ECANCELED if the queue was
	// closed or the op cancelled, else what the transport says.
	Err error
}

// Wait waits for one op by name. A token that somebody waits for goes to that
// waiter; every other completion goes to the completion queue, where Wait still
// finds it until [LibOS.Completions] or [LibOS.WaitNext] has handed it out.
//
// The end of ctx ends the wait, not the op: the token stays good. With a ctx
// that has ended already Wait polls. It fails with EINVAL if the token is none,
// its completion has been taken, or it occurs twice, with EBUSY if somebody else waits for it,
// with the error of ctx, and with [ErrDeadlock].
func (l *LibOS) Wait(ctx context.Context, id Token) (Completion, error) {
	_, c, err := l.WaitAny(ctx, []Token{id})
	return c, err
}

// WaitAny waits until one of several ops is done and returns its index, and its
// completion: of several that are done the first to have been. It takes time in
// proportion to their number: to serve many queues use [LibOS.Completions].
// Otherwise it is as [LibOS.Wait].
func (l *LibOS) WaitAny(ctx context.Context, ids []Token) (int, Completion, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.newWaiter()
	defer l.freeWaiter(w)
	n, err := l.reserve(w, ids)
	if err == nil && l.firstDone(ids) < 0 {
		err = l.wait(ctx, w)
	}
	i := -1
	if n == len(ids) {
		i = l.firstDone(ids)
	}
	wake := l.release(w, ids[:n], i)
	if i < 0 {
		l.wakeUnlocked(wake)
		return -1, Completion{}, err
	}
	var done Completion
	c, _ := l.tokens.get(uint64(ids[i]))
	l.take(c, &done)
	l.wakeUnlocked(wake)
	return i, done, nil
}

// WaitAll waits until all of several ops are done, and returns their completions
// in the order of ids. It takes all of them or none: if it fails every token
// stays good, also those that are done. Of no tokens it returns at once. It
// allocates what it returns. Otherwise it is as [LibOS.Wait].
func (l *LibOS) WaitAll(ctx context.Context, ids []Token) ([]Completion, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.newWaiter()
	defer l.freeWaiter(w)
	n, err := l.reserve(w, ids)
	if err == nil {
		for _, id := range ids {
			c, _ := l.tokens.get(uint64(id))
			c.place.remove() // from here on nobody else takes it
			if !c.over {
				w.left++
			}
		}
		if w.left > 0 {
			err = l.wait(ctx, w)
		}
	}
	if err != nil && (n < len(ids) || w.left > 0) {
		l.wakeUnlocked(l.release(w, ids[:n], -1))
		return nil, err
	}
	all := make([]Completion, len(ids))
	for i, id := range ids {
		c, _ := l.tokens.get(uint64(id))
		l.take(c, &all[i])
	}
	return all, nil
}

// reserve makes w the waiter of tokens, and returns of how many before an error.
// l.mu is held.
func (l *LibOS) reserve(w *waiter, ids []Token) (int, error) {
	if len(ids) == 0 {
		return 0, &Error{Op: "wait", Err: syscall.EINVAL}
	}
	for i, id := range ids {
		c, ok := l.tokens.get(uint64(id))
		switch {
		case !ok:
			return i, &Error{Op: "wait", Err: syscall.EINVAL}
		case c.w == w:
			return i, &Error{Op: "wait", QD: c.entry.qd, Err: syscall.EINVAL} // twice
		case c.w != nil:
			return i, &Error{Op: "wait", QD: c.entry.qd, Err: syscall.EBUSY}
		}
		c.w = w
	}
	return len(ids), nil
}

// release ends the reservation. What was done meanwhile, but for the chosen
// index, goes to the completion queue. l.mu is held.
func (l *LibOS) release(w *waiter, ids []Token, chosen int) (wake bool) {
	for _, id := range ids {
		c, ok := l.tokens.get(uint64(id))
		if !ok || c.w != w {
			continue
		}
		c.w = nil
		if c.over && c.place.in == nil && (chosen < 0 || id != ids[chosen]) {
			wake = l.offer(c) || wake
		}
	}
	return wake
}

// firstDone returns the index of the op that was done first, or -1. l.mu is
// held.
func (l *LibOS) firstDone(ids []Token) int {
	first, order := -1, uint64(0)
	for i, id := range ids {
		c, ok := l.tokens.get(uint64(id))
		if ok && c.over && (first < 0 || c.entry.order < order) {
			first, order = i, c.entry.order
		}
	}
	return first
}

// wakeUnlocked wakes the driver with l.mu released.
func (l *LibOS) wakeUnlocked(wake bool) {
	if wake {
		l.mu.Unlock()
		l.driver.Wake()
		l.mu.Lock()
	}
}

// WaitNext takes up to len(out) completions out of the completion queue, oldest
// first, and waits if there are none; with an empty out it returns at once. It costs the same however many ops are pending. After
// [LibOS.Exit] it fails with [net.ErrClosed] once all have been taken. Otherwise
// it is as [LibOS.Wait].
func (l *LibOS) WaitNext(ctx context.Context, out []Completion) (int, error) {
	if len(out) == 0 {
		return 0, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready.n == 0 {
		if err := l.waitReady(ctx); err != nil {
			return 0, err
		}
	}
	return l.takeReady(out), nil
}

// Poll takes completions out of the completion queue, as [LibOS.WaitNext] does,
// but never waits: it returns how many there were, also none. If there are none
// it runs one turn of a transport that can be driven, and looks again; so a loop
// around Poll is all that a program needs which spins on its own core. If it has
// nothing it lets other goroutines run before it returns, or those that its own
// turns have woken would wait for the scheduler to notice the loop. That the
// LibOS has exited, and to poll for one op by name, is for [LibOS.WaitNext] and
// [LibOS.Wait] with a context that has ended.
func (l *LibOS) Poll(out []Completion) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready.n == 0 && l.driver != nil && !l.dead {
		l.mu.Unlock()
		l.driver.Turn()
		l.mu.Lock()
	}
	n := l.takeReady(out)
	if n == 0 {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	return n
}

// takeReady takes what there is in the completion queue. l.mu is held.
func (l *LibOS) takeReady(out []Completion) int {
	n := min(len(out), l.ready.n)
	for i := range out[:n] {
		l.take(l.ready.front.of, &out[i])
	}
	return n
}

// waitReady waits until there is a completion in the queue. l.mu is held.
func (l *LibOS) waitReady(ctx context.Context) error {
	w := l.newWaiter()
	defer l.freeWaiter(w)
	for l.ready.n == 0 {
		if l.dead && l.flying == 0 {
			return net.ErrClosed
		}
		w.called = false
		l.takers.push(&w.taker)
		err := l.wait(ctx, w)
		w.taker.remove()
		if err != nil && l.ready.n == 0 {
			return err
		}
	}
	return nil
}

// Completions returns an iterator over the completion queue: the form to write a
// server in. It costs the same however many ops are pending. When waiting fails
// (see [LibOS.WaitNext]), because ctx has ended most of all, it yields that error
// and ends. Several may run at once: each completion goes to one of them.
func (l *LibOS) Completions(ctx context.Context) iter.Seq2[Completion, error] {
	return func(yield func(Completion, error) bool) {
		var out [1]Completion
		for {
			if _, err := l.WaitNext(ctx, out[:]); err != nil {
				yield(Completion{}, err)
				return
			}
			if !yield(out[0], nil) {
				return
			}
		}
	}
}

// take turns a call that is over into its completion. l.mu is held.
func (l *LibOS) take(c *call, done *Completion) {
	e, op := &c.entry, &c.op
	*done = Completion{} // field by field: a literal takes the way over the stack
	done.Token, done.QD, done.Op = e.id, e.qd, e.opcode
	done.SGA, done.N, done.EOF, done.Truncated = e.sga, op.N, op.EOF, op.Truncated
	err := op.Err
	switch {
	case e.opcode == OpPop && op.N == 0:
		done.SGA.Free()
		done.SGA = SGA{}
		done.From = unmap(op.From)
	case e.opcode == OpPop:
		done.SGA.trim(op.N)
		done.From = unmap(op.From)
	case e.sock != nil:
		done.New, done.From = e.sock.qd, unmap(op.Peer)
		if done.New == 0 { // no descriptor left for it
			go e.sock.close()
			err = syscall.EMFILE
		}
	}
	l.tracker.hold(done.SGA.lease)
	if err != nil {
		if errors.Is(err, net.ErrClosed) {
			err = syscall.ECANCELED
		}
		done.Err = &Error{Op: e.opcode.String(), QD: e.qd, Addr: e.peer, Err: err}
	}
	c.place.remove()
	l.tokens.remove(uint64(e.id))
	l.open--
	l.freeToken(c)
}
