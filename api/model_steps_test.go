package api_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"pgregory.net/rapid"

	"github.com/ringtail-net/ringtail/api"
)

// What is open at a time, at most.
const (
	maxListeners = 4
	maxStreams   = 12
	maxDgrams    = 4
	maxMemories  = 3
	maxWaiters   = 8
)

// actions are the steps of the test. What they draw does not depend on what has
// completed so far, so that a seed means the same calls every time as nearly as
// can be; on what they act does.
func (m *model) actions() map[string]func(*rapid.T) {
	steps := []struct {
		weight int
		do     func(*rapid.T)
	}{
		{2, m.stepListen},
		{5, m.stepConnect},
		{3, m.stepAccept},
		{12, m.stepPush},
		{14, m.stepPop},
		{1, m.stepShut},
		{2, m.stepClose},
		{5, m.stepDgram},
		{7, m.stepMemory},
		{2, m.stepCancel},
		{1, m.stepDrop},
		{4, m.stepWait},
		{8, m.stepNext},
		{4, func(t *rapid.T) { time.Sleep(duration(t, "pause")) }},
	}
	var all []func(*rapid.T)
	for _, s := range steps {
		all = append(all, slices.Repeat([]func(*rapid.T){s.do}, s.weight)...)
	}
	return map[string]func(*rapid.T){
		"": m.check,
		"step": func(t *rapid.T) {
			m.steps++
			all[even(t, "step", len(all))](t)
		},
	}
}

// even draws a number below n, all with the same chance. (Rapid's own numbers
// are mostly small.)
func even(t *rapid.T, label string, n int) int {
	x := rapid.Uint32().Draw(t, label) * 2654435761 // Knuth's: spreads the small ones
	return int(uint64(x) * uint64(n) >> 32)
}

// duration draws a time: none, or that of a few round trips, or of a few
// retransmissions.
func duration(t *rapid.T, label string) time.Duration {
	limit := []int{1, 3_000, 3_000, 500_000}[even(t, label+" about", 4)]
	return time.Duration(even(t, label, limit)) * time.Microsecond
}

// drawSize draws a number of bytes from 1 on, with most attention to where
// segments, buffers and windows end.
func drawSize(t *rapid.T, limit int) int {
	most := []int{1, 2, 100, 1448, 5000, 20_000, 64 << 10, limit}[even(t, "size about", 8)]
	return max(min(most, limit)-rapid.IntRange(0, 50).Draw(t, "less"), 1)
}

// pick draws one of the last n things.
func pick[T any](t *rapid.T, list []T, n int) (v T, ok bool) {
	i := even(t, "which", 1<<16)
	if len(list) == 0 {
		return v, false
	}
	list = list[max(len(list)-n, 0):]
	return list[i*len(list)>>16], true
}

func (m *model) host(t *rapid.T) *modelHost {
	return m.hosts[even(t, "host", 2)]
}

func (m *model) lock() func() {
	m.mu.Lock()
	return m.mu.Unlock
}

func (m *model) stepListen(t *rapid.T) {
	h := m.host(t)
	defer m.lock()()
	if m.stepCloseListener(t) {
		return
	}
	ln := &modelListener{host: h, qd: must1(h.lib.Socket(api.TCP))}
	must(h.lib.Bind(ln.qd, netip.AddrPortFrom(netip.IPv6Unspecified(), 0)))
	must(h.lib.Listen(ln.qd, maxStreams)) // TestBacklog has less
	ln.addr = netip.AddrPortFrom(h.addr, must1(h.lib.LocalAddr(ln.qd)).Port())
	m.listeners = append(m.listeners, ln)
}

// stepCloseListener closes a listener if there are enough.
func (m *model) stepCloseListener(t *rapid.T) bool {
	ln, ok := pick(t, m.listeners, maxListeners)
	if !ok || len(m.listeners) < maxListeners || ln.closed {
		return false
	}
	ln.close()
	return true
}

func (m *model) stepConnect(t *rapid.T) {
	h := m.host(t)
	defer m.lock()()
	ln, ok := pick(t, m.listeners, maxListeners)
	if another, _ := pick(t, m.listeners, maxListeners); ok && ln.closed {
		ln = another // it is for once in a while only
	}
	open := 0
	for _, s := range m.streams {
		if !s.ends[0].closed || s.ends[1] != nil && !s.ends[1].closed {
			open++
		}
	}
	if ok && open < maxStreams {
		h.connect(ln)
	}
}

func (m *model) stepAccept(t *rapid.T) {
	defer m.lock()()
	if ln, ok := pick(t, m.listeners, maxListeners); ok && ln.accepts < maxStreams {
		ln.accept()
	}
}

// end draws an end of one of the last streams: it may be closed.
func (m *model) end(t *rapid.T) (e *streamEnd, ok bool) {
	side := even(t, "side", 2)
	s, ok := pick(t, m.streams, 2*maxStreams)
	if !ok || s.ends[side] == nil {
		return nil, false
	}
	return s.ends[side], true
}

func (m *model) stepPush(t *rapid.T) {
	size := drawSize(t, 200<<10)
	segs := rapid.IntRange(1, 5).Draw(t, "segments")
	own := rapid.Bool().Draw(t, "own memory")
	defer m.lock()()
	if e, ok := m.end(t); ok {
		e.push(size, segs, own)
	}
}

func (m *model) stepPop(t *rapid.T) {
	size := drawSize(t, 300<<10)
	defer m.lock()()
	if e, ok := m.end(t); ok {
		e.pop(size)
	}
}

func (m *model) stepShut(t *rapid.T) {
	how := []api.Shut{api.ShutWrite, api.ShutWrite, api.ShutWrite, api.ShutRead, api.ShutRead | api.ShutWrite}[even(t, "how", 5)]
	defer m.lock()()
	if e, ok := m.end(t); ok && !e.early() {
		e.shutdown(how)
	}
}

func (m *model) stepClose(t *rapid.T) {
	async := rapid.Bool().Draw(t, "async")
	reset := even(t, "reset", 4) == 3
	defer m.lock()()
	if e, ok := m.end(t); ok {
		e.close(async, reset)
	}
}

func (m *model) stepDgram(t *rapid.T) {
	what := even(t, "what", 16)
	size := drawSize(t, 20_000)
	h := m.host(t)
	defer m.lock()()
	from, ok := pick(t, m.dgrams, maxDgrams)
	to, _ := pick(t, m.dgrams, maxDgrams)
	switch {
	case !ok || what == 0:
		h.newDgramSocket()
	case what < 8:
		from.send(to, size)
	case what < 15:
		from.pop(size)
	default:
		from.close()
	}
}

func (m *model) stepMemory(t *rapid.T) {
	what := even(t, "what", 24)
	size := drawSize(t, 20_000)
	h := m.host(t)
	defer m.lock()()
	q, ok := pick(t, m.memories, maxMemories)
	switch {
	case !ok || what == 0:
		h.newMemory(size)
	case what == 1:
		q.push(0)
	case what < 12:
		q.push(size)
	case what < 22:
		q.pop(size)
	case what == 22:
		q.shutdown()
	default:
		q.close()
	}
}

func (m *model) stepDrop(t *rapid.T) {
	h := m.host(t)
	defer m.lock()()
	o, ok := pick(t, h.pending, 1<<10)
	if !ok {
		return
	}
	switch err := h.lib.Drop(o.token); {
	case err == nil:
		h.dropped(o)
	case !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EBUSY):
		m.errorf("drop: %v", err)
	}
}

// dropped notes that an op goes on, and nobody will learn how. m.mu is held.
func (h *modelHost) dropped(o *modelOp) {
	h.pending = slices.DeleteFunc(h.pending, func(p *modelOp) bool { return p == o })
	h.seen["drop"]++
	switch {
	case o.op == api.OpClose:
	case o.listener != nil:
		o.listener.accepts--
		o.listener.dropped = true
		for _, s := range h.m.streams {
			s.cut = s.cut || s.listener == o.listener && s.ends[1] == nil
		}
	case o.memory != nil && o.op == api.OpPush:
		o.memory.waiting--
		o.memory.lost = true
	case o.memory != nil:
		o.memory.lost = true
	case o.end != nil:
		o.end.s.cut = true
		switch {
		case o.push != nil:
			o.end.pushes--
			o.push.n = o.push.size
		case o.pop != nil:
			o.end.pops--
			o.end.in().holes = true
		default:
			o.end.s.connecting = false
		}
	}
}

func (m *model) stepCancel(t *rapid.T) {
	h := m.host(t)
	defer m.lock()()
	o, ok := pick(t, h.pending, 1<<10)
	if !ok {
		return
	}
	o.cancelled = true
	if o.op == api.OpConnect {
		o.end.s.cut = true
	}
	// Who has taken the completion may not have noted it yet.
	if err := h.lib.Cancel(o.token); err != nil && !errors.Is(err, syscall.EINVAL) {
		m.errorf("cancel: %v", err)
	}
}

// stepWait waits for some ops by name, as long as a context lasts.
func (m *model) stepWait(t *rapid.T) {
	h, limit := m.host(t), duration(t, "wait")
	n, all := rapid.IntRange(1, 5).Draw(t, "tokens"), even(t, "all", 4) == 3
	defer m.lock()()
	var tokens []api.Token
	for range n {
		if o, ok := pick(t, h.pending, 1<<10); ok && !slices.Contains(tokens, o.token) {
			tokens = append(tokens, o.token)
		}
	}
	if len(tokens) == 0 {
		return
	}
	m.wait(limit, func(ctx context.Context) ([]api.Completion, error) {
		if all {
			return h.lib.WaitAll(ctx, tokens)
		}
		i, c, err := h.lib.WaitAny(ctx, tokens)
		if err != nil {
			return nil, err
		}
		if c.Token != tokens[i] {
			return nil, errors.New("the completion of another token")
		}
		return []api.Completion{c}, nil
	}, h)
}

// stepNext waits for whatever comes next, as long as a context lasts.
func (m *model) stepNext(t *rapid.T) {
	h, limit := m.host(t), duration(t, "wait")
	out := make([]api.Completion, rapid.IntRange(1, 8).Draw(t, "completions"))
	poll := even(t, "poll", 4) == 3
	defer m.lock()()
	m.wait(limit, func(ctx context.Context) ([]api.Completion, error) {
		if poll {
			return out[:h.lib.Poll(out)], nil
		}
		n, err := h.lib.WaitNext(ctx, out)
		return out[:n], err
	}, h)
}

// wait waits in a goroutine of its own. What makes it fail is the end of its
// context, or that somebody else waits for the same op (EBUSY), or has taken its
// completion (EINVAL).
func (m *model) wait(limit time.Duration, wait func(context.Context) ([]api.Completion, error), h *modelHost) {
	if m.waiting >= maxWaiters {
		return
	}
	m.waiting++
	m.waits.Go(func() {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		done, err := wait(limited)
		defer m.lock()()
		m.waiting--
		if err != nil {
			h.seen["waits in vain"]++
		} else {
			h.seen["waits"]++
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, syscall.EBUSY) &&
			!errors.Is(err, syscall.EINVAL) && !errors.Is(err, net.ErrClosed) {
			m.errorf("wait: %v", err)
		}
		for _, c := range done {
			h.got(c)
		}
	})
}

// take takes completions until the host's end.
func (m *model) take(h *modelHost) {
	m.waits.Go(func() {
		for c, err := range h.lib.Completions(ctx) {
			m.mu.Lock()
			if err == nil {
				h.got(c)
			} else if !errors.Is(err, net.ErrClosed) {
				m.errorf("Completions: %v", err)
			}
			m.mu.Unlock()
		}
	})
}
