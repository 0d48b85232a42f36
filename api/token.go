package api

import (
	"net"
	"net/netip"
	"syscall"
)

// A Token is the ticket of an op in flight, good for one completion. The zero
// Token is none.
type Token uint64

// entry is what the queue face keeps of a call.
type entry struct {
	id      Token
	opcode  Opcode
	qd      QD
	peer    netip.AddrPort // the address of a PushTo or Connect
	sga     SGA
	sock    *socket // accepted
	order   uint64  // when it was done
	dropped bool    // nobody will ask for it
}

// Accept asks for the next connection of a listening queue. Its completion has
// the new descriptor in New, which is the caller's to close, and the peer's
// address in From. It fails as [LibOS.Pop]; that the queue does not listen
// (EINVAL), or that there is no descriptor left (EMFILE), is the completion's
// error.
func (l *LibOS) Accept(qd QD) (Token, error) {
	return l.submit(qd, OpAccept, netip.AddrPort{}, SGA{}, 0)
}

// Connect connects the queue to addr; one that is not bound yet is bound to a
// free port. A datagram socket takes addr as where Push sends to and the only one
// whose datagrams Pop gets. It fails with EINVAL if addr is none, and otherwise
// as [LibOS.Pop]; how the connecting went, ECONNREFUSED say, is the completion's
// error. A cancel ends the op, not the handshake: another Connect says how that
// went, or EALREADY; Close ends it.
func (l *LibOS) Connect(qd QD, addr netip.AddrPort) (Token, error) {
	if !addr.IsValid() {
		return 0, &Error{Op: "connect", QD: qd, Err: syscall.EINVAL}
	}
	return l.submit(qd, OpConnect, addr, SGA{}, 0)
}

// Push sends the bytes of s, which it borrows until the completion. Pushes on
// one queue complete in the order in which they were submitted. A completion
// without an error means that the transport has accepted every byte, or the
// peer acknowledged it, as [PushCompletion] says; one with an error says in N
// how many it had accepted before. Either way its SGA is s,
// the caller's again, to be freed or pushed once more. If Push itself fails it
// has borrowed nothing.
//
// On a datagram or memory queue each push is one message, also an empty one. On a
// stream, pushes are bytes without boundaries, and an empty one does nothing.
// With [NoDelay], which is on for new sockets, what a push accepts leaves at
// once, as far as the peer's window allows; to send a header and a body in one
// segment, push them as two segments of one SGA. Without NoDelay less than a
// whole segment waits until all before it is acknowledged (RFC 9293, section
// 3.7.4); the push is complete all the same. There is no cork.
//
// Push fails with EINVAL if s was freed before, with EBADF, with ENOBUFS (see
// [Config.MaxOps]), and after [LibOS.Exit] with [net.ErrClosed].
func (l *LibOS) Push(qd QD, s SGA) (Token, error) {
	return l.submit(qd, OpPush, netip.AddrPort{}, s, 0)
}

// PushTo is Push of one datagram to addr. A queue that is not bound yet is bound
// to a free port. On a connected datagram queue addr goes before the peer; on a
// stream it means nothing, as on Linux; memory queues fail with EOPNOTSUPP. PushTo fails as Push, and with EINVAL if
// addr is none; that the network refused the datagram is the completion's error.
func (l *LibOS) PushTo(qd QD, s SGA, addr netip.AddrPort) (Token, error) {
	if !addr.IsValid() {
		return 0, &Error{Op: "push", QD: qd, Err: syscall.EINVAL}
	}
	return l.submit(qd, OpPush, addr, s, 0)
}

// Pop asks for bytes: of a stream at least one and at most [Config.PopSize], of
// a datagram queue one datagram, and its sender in From. The completion's SGA
// belongs to the caller, who frees it. The end of a stream is a completion with
// EOF and an empty SGA, an empty datagram one without EOF. A pop that waits holds
// no memory. Pops on one queue complete in the order in which they were
// submitted.
//
// On a datagram queue that is not bound yet a pop waits, as on Linux: the first
// PushTo or Connect binds it to a free port, and the answers come to the pop.
// Pop fails with EBADF, with ENOBUFS (see [Config.MaxOps]), and after
// [LibOS.Exit] with [net.ErrClosed]; all else, such as ENOTCONN, is the
// completion's error.
func (l *LibOS) Pop(qd QD) (Token, error) { return l.PopN(qd, l.cfg.PopSize) }

// PopN is Pop of at most n bytes. A datagram that is longer is cut, and the
// completion has Truncated set. It fails with EINVAL if n is not above zero.
func (l *LibOS) PopN(qd QD, n int) (Token, error) {
	if n <= 0 {
		return 0, &Error{Op: "pop", QD: qd, Err: syscall.EINVAL}
	}
	return l.submit(qd, OpPop, netip.AddrPort{}, SGA{}, n)
}

// AsyncClose is Close with a completion: it comes after those of the pending
// ops, with a [Linger] above zero when the wait is over, and says how the close
// went. A cancel ends the wait, not the close. The descriptor is void at once, so
// that every later call with it fails with EBADF, as AsyncClose does if it was void
// before; after [LibOS.Exit] it fails with [net.ErrClosed].
func (l *LibOS) AsyncClose(qd QD) (Token, error) {
	return l.submit(qd, OpClose, netip.AddrPort{}, SGA{}, 0)
}

// submit starts an op and gives it a token.
func (l *LibOS) submit(qd QD, opcode Opcode, addr netip.AddrPort, s SGA, n int) (Token, error) {
	if opcode == OpPush && !s.lend() {
		return 0, &Error{Op: opcode.String(), QD: qd, Addr: addr, Err: syscall.EINVAL}
	}
	c, err := l.begin(qd, opcode)
	if err != nil {
		if opcode == OpPush {
			s.restore()
			l.tracker.hold(s.lease)
		}
		return 0, &Error{Op: opcode.String(), QD: qd, Addr: addr, Err: err}
	}
	c.entry.peer, c.entry.sga = addr, s
	c.op.Addr = addr
	switch opcode {
	case OpPush:
		c.op.Bufs = s.Segs
	case OpPop:
		c.op.Max, c.op.Alloc = n, popMemory
	}
	id := c.entry.id // once it is submitted, the call may be over and gone
	c.t.Submit(&c.op)
	return id, nil
}

// begin makes a call with a token. Its errors are leaves.
func (l *LibOS) begin(qd QD, opcode Opcode) (*call, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exiting {
		return nil, net.ErrClosed
	}
	s, ok := l.queues.get(uint64(uint32(qd)))
	switch {
	case !ok:
		return nil, syscall.EBADF
	case l.open >= l.cfg.MaxOps && opcode != OpClose:
		l.refused++
		return nil, syscall.ENOBUFS
	case opcode == OpClose:
		l.queues.remove(uint64(uint32(qd)))
	}
	c := s.of(l.newToken(s.t, Kind(opcode)))
	c.op.Done = tokenDone
	c.entry.id, c.entry.opcode, c.entry.qd = Token(l.tokens.add(c)), opcode, qd
	l.flying++
	l.open++
	return c, nil
}

// popMemory is the allocator of pops: it is called when there are n bytes.
func popMemory(op *Op, n int) [][]byte {
	c := op.User.(*call)
	if n <= 0 {
		return nil
	}
	c.entry.sga = newLease(n).give(c.lib)
	return c.entry.sga.Segs
}

// tokenDone is the Done of ops with a token.
func tokenDone(op *Op) {
	c := op.User.(*call)
	l := c.lib
	e := &c.entry
	if e.opcode == OpPush {
		e.sga.restore()
	}
	l.mu.Lock()
	l.flying--
	l.order++
	c.over, e.order = true, l.order
	if op.NewSock != nil {
		e.sock = &socket{lib: l, t: c.t, h: op.NewSock, net: op.Network}
		if !e.dropped {
			l.adopt(e.sock)
		}
	}
	wake := false
	switch {
	case e.dropped:
		l.open--
		l.noneLeft()
		l.mu.Unlock()
		c.discard()
		return
	case c.w == nil:
		wake = l.offer(c)
	default:
		if c.w.left--; c.w.left <= 0 {
			wake = l.call(c.w)
		}
	}
	l.mu.Unlock()
	if wake {
		l.driver.Wake()
	}
}

// offer puts a call that is over into the completion queue, in the order in which
// calls were over. If it returns true the caller wakes the driver. l.mu is held.
func (l *LibOS) offer(c *call) (wake bool) {
	l.ready.insert(&c.place, doneBefore)
	if w := l.takers.pop(); w != nil {
		wake = l.call(w)
	}
	l.noneLeft()
	return wake
}

func doneBefore(a, b *call) bool { return a.entry.order < b.entry.order }

// noneLeft tells those who wait for any completion if there will be none. l.mu
// is held.
func (l *LibOS) noneLeft() {
	if l.dead && l.flying == 0 {
		l.die()
	}
}

// Cancel hastens the end of an op: if it is still pending it completes with
// ECANCELED, and N says what was moved before. If it is done already its
// completion stays what it is. Either way the completion comes to whoever waits
// for it, and has to be taken. Cancel fails with EINVAL if the token is none, or
// its completion has been taken.
func (l *LibOS) Cancel(id Token) error {
	l.mu.Lock()
	c, ok := l.tokens.get(uint64(id))
	if !ok {
		l.mu.Unlock()
		return &Error{Op: "cancel", Err: syscall.EINVAL}
	}
	t, ticket := c.t, c.ticket
	l.mu.Unlock()
	t.Cancel(ticket, syscall.ECANCELED)
	return nil
}

// Drop gives up a token: nobody will ask for its completion. The op goes on;
// when it is done its completion is thrown away, its SGA freed, and a connection
// that it accepted closed. A push that is dropped is sent and forgotten: memory
// of [LibOS.Alloc] takes care of itself; memory of the caller's own, as of
// [SGAOf], is still borrowed for as long as the push takes, of which he learns
// nothing any more.
//
// The token is void at once. Drop fails with EINVAL if it was void before, and
// with EBUSY if somebody waits for it by name, or if another push has the same
// memory of [LibOS.Alloc]: whose would it be then?
func (l *LibOS) Drop(id Token) error {
	l.mu.Lock()
	c, ok := l.tokens.get(uint64(id))
	switch {
	case !ok:
		l.mu.Unlock()
		return &Error{Op: "drop", Err: syscall.EINVAL}
	case c.w != nil:
		qd := c.entry.qd
		l.mu.Unlock()
		return &Error{Op: "drop", QD: qd, Err: syscall.EBUSY}
	}
	over := c.over
	if c.entry.opcode == OpPush && !c.entry.sga.drop(over) {
		l.mu.Unlock()
		return &Error{Op: "drop", QD: c.entry.qd, Err: syscall.EBUSY}
	}
	l.tokens.remove(uint64(id))
	c.entry.dropped = true
	if over {
		l.open--
		c.place.remove()
		if s := c.entry.sock; s != nil {
			l.queues.remove(uint64(uint32(s.qd)))
		}
	}
	l.mu.Unlock()
	if over {
		c.discard()
	}
	return nil
}

// discard ends a call that is over and was dropped. It may run within Done, so
// that the close of a connection is left to a goroutine.
func (c *call) discard() {
	if s := c.entry.sock; s != nil {
		go s.close()
	}
	if c.entry.opcode == OpPush {
		c.entry.sga.freeDropped()
	} else {
		c.entry.sga.Free()
	}
	c.free()
}
