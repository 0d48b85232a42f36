package api

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// A socket is a transport's socket as both faces hold it.
type socket struct {
	lib  *LibOS
	t    Transport
	h    Socket
	net  Network
	qd   QD                            // 0 on the net face
	seqs [KindSocket + 1]atomic.Uint64 // ops submitted, by kind
}

// A call is one op of a face in flight, with whoever waits for it. Calls are
// pooled.
type call struct {
	lib    *LibOS
	t      Transport
	op     Op
	ticket Ticket
	one    [1][]byte // op.Bufs, where that is one slice

	// The mutex of lib guards these.
	over bool
	w    *waiter

	// stage tells a cancel whether the transport has the op yet; cause is that
	// of one that came too early.
	stage atomic.Uint32
	cause error
	due   node[call] // in deadline.calls

	entry entry      // what the queue face keeps
	place node[call] // in LibOS.ready
}

// The stages of a call.
const (
	stageNew uint32 = iota
	stageSubmitted
	stageDoomed // to be cancelled as soon as it is submitted
)

var calls = sync.Pool{New: func() any {
	c := new(call)
	c.due.of, c.place.of = c, c
	return c
}}

// newCall returns a call of an op that has no socket yet.
func (l *LibOS) newCall(t Transport, kind Kind) *call {
	return calls.Get().(*call).begin(l, t, kind)
}

func (c *call) begin(l *LibOS, t Transport, kind Kind) *call {
	c.lib, c.t = l, t
	c.ticket = c.op.Ticket()
	c.op.Kind, c.op.User, c.op.Done = kind, c, callDone
	return c
}

// newToken is newCall for an op with a token. It takes the call from those that
// the LibOS keeps: with its mutex held that is cheaper than a pool. l.mu is held.
func (l *LibOS) newToken(t Transport, kind Kind) *call {
	k := len(l.spare)
	if k == 0 {
		return l.newCall(t, kind)
	}
	c := l.spare[k-1]
	l.spare = l.spare[:k-1]
	return c.begin(l, t, kind)
}

// freeToken takes back a call of newToken. l.mu is held.
func (l *LibOS) freeToken(c *call) {
	if len(l.spare) >= maxIdle {
		c.free()
		return
	}
	c.reset()
	l.spare = append(l.spare, c)
}

// call returns a call of an op of s.
func (s *socket) call(kind Kind) *call { return s.of(s.lib.newCall(s.t, kind)) }

// of makes c's op one of s.
func (s *socket) of(c *call) *call {
	c.op.Network, c.op.Sock, c.op.Seq = s.net, s.h, s.seqs[c.op.Kind].Add(1)
	return c
}

func (c *call) free() {
	c.reset()
	calls.Put(c)
}

func (c *call) reset() {
	c.op.reset()
	c.lib, c.t, c.ticket = nil, nil, Ticket{}
	c.one[0], c.over, c.w, c.cause = nil, false, nil, nil
	if c.stage.Load() != stageNew {
		c.stage.Store(stageNew)
	}
	c.entry = entry{}
}

// buffer makes p the op's only buffer.
func (c *call) buffer(p []byte) {
	c.one[0] = p
	c.op.Bufs = c.one[:]
}

// callDone is the Done of ops whose caller waits for them.
func callDone(op *Op) {
	c := op.User.(*call)
	l := c.lib
	l.mu.Lock()
	c.over = true
	wake := c.w != nil && l.call(c.w)
	l.mu.Unlock()
	if wake {
		l.driver.Wake()
	}
}

// run submits the op and waits until it is done. The end of ctx cancels it.
func (c *call) run(ctx context.Context) {
	c.submit()
	c.wait(ctx)
}

func (c *call) submit() {
	c.t.Submit(&c.op)
	if !c.stage.CompareAndSwap(stageNew, stageSubmitted) {
		c.t.Cancel(c.ticket, c.cause)
	}
}

// wait is the second half of run.
func (c *call) wait(ctx context.Context) {
	l := c.lib
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.over {
		return
	}
	w := l.newWaiter()
	c.w = w
	if err := l.wait(ctx, w); err != nil {
		l.mu.Unlock()
		c.t.Cancel(c.ticket, err)
		l.mu.Lock()
		w.drive = false
		_ = l.wait(context.Background(), w) // fails for no reason
	}
	c.w = nil
	l.freeWaiter(w)
}

// doom prepares a cancel, in a goroutine that does not own the call but knows
// that it is not freed yet. If it returns true the caller cancels c.ticket, of
// which it takes a copy; otherwise run does it.
func (c *call) doom(cause error) bool {
	if c.stage.Load() == stageSubmitted {
		return true
	}
	c.cause = cause
	return !c.stage.CompareAndSwap(stageNew, stageDoomed)
}

// do runs an op that takes no time, frees it, and returns its result.
func (c *call) do() Result {
	c.run(context.Background())
	r := c.op.Result
	c.free()
	return r
}

// The synchronous ops, for both faces. Their errors are leaves.

func (l *LibOS) newSocket(ctx context.Context, t Transport, n Network, o Option) (*socket, error) {
	c := l.newCall(t, KindSocket)
	c.op.Network, c.op.Opt, c.op.Label = n, o, labelOf(ctx)
	c.run(ctx)
	r := c.op.Result
	c.free()
	if r.Err != nil {
		return nil, r.Err
	}
	return &socket{lib: l, t: t, h: r.NewSock, net: n}, nil
}

func (s *socket) bind(addr netip.AddrPort) error {
	c := s.call(KindBind)
	c.op.Addr = addr
	return c.do().Err
}

func (s *socket) listen(backlog int) error {
	c := s.call(KindListen)
	c.op.Backlog = backlog
	return c.do().Err
}

func (s *socket) shutdown(how Shut) error {
	if how&^(ShutRead|ShutWrite) != 0 || how == 0 {
		return syscall.EINVAL
	}
	c := s.call(KindShutdown)
	c.op.How = how
	return c.do().Err
}

func (s *socket) setOption(o Option) error {
	if o == nil {
		return syscall.EINVAL
	}
	c := s.call(KindOption)
	c.op.Opt = o
	return c.do().Err
}

func (s *socket) option(o Option) (Option, error) {
	if o == nil {
		return nil, syscall.EINVAL
	}
	c := s.call(KindQuery)
	c.op.Opt = o
	c.run(context.Background())
	o, err := c.op.Opt, c.op.Err
	c.free()
	return o, err
}

func (s *socket) name() (local, peer netip.AddrPort, err error) {
	r := s.call(KindName).do()
	return unmap(r.Local), unmap(r.Peer), r.Err
}

// membership joins or leaves a multicast group.
func (s *socket) membership(kind Kind, group netip.Addr) error {
	c := s.call(kind)
	c.op.Addr = netip.AddrPortFrom(group, 0)
	return c.do().Err
}

func (s *socket) close() error { return s.call(KindClose).do().Err }

// unmap gives an IPv4 address in IPv6 clothes its own form.
func unmap(ap netip.AddrPort) netip.AddrPort {
	if !ap.Addr().Is4In6() {
		return ap
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
