package api_test

import (
	"bytes"
	"errors"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
)

// A modelMemory is a memory queue. Its messages come out as they went in.
type modelMemory struct {
	host         *modelHost
	qd           api.QD
	limit        int // of one message
	closed, shut bool
	over         bool // a pop has found the end
	lost         bool // messages went to pops that nobody has seen
	pushes, pops []*modelOp
	waiting      int // pushes that are pending
}

func (h *modelHost) newMemory(limit int) {
	q := &modelMemory{host: h, limit: limit}
	q.qd = must1(h.lib.MemoryQueue(api.MemoryLimit{Bytes: limit, Messages: 4}))
	h.m.memories = append(h.m.memories, q)
}

// push pushes size bytes, or none.
func (q *modelMemory) push(size int) {
	o := &modelOp{op: api.OpPush, qd: q.qd, memory: q, push: &modelPush{seed: uint64(len(q.pushes)), size: size}}
	sga := q.host.lib.Alloc(size)
	for i, rest := 0, o.push.content(); i < len(sga.Segs); i++ {
		rest = rest[copy(sga.Segs[i], rest):]
	}
	if !q.host.submit(o, func() (api.Token, error) { return q.host.lib.Push(q.qd, sga) }) {
		sga.Free()
		return
	}
	q.waiting++
	q.pushes = append(q.pushes, o)
}

func (q *modelMemory) pop(size int) {
	o := &modelOp{op: api.OpPop, qd: q.qd, memory: q, pop: &modelPop{}, max: size}
	if q.host.submit(o, func() (api.Token, error) { return q.host.lib.PopN(q.qd, size) }) {
		q.pops = append(q.pops, o)
	}
}

func (m *model) gotMemory(o *modelOp, c api.Completion) {
	q := o.memory
	o.done = c.Err == nil && !c.EOF
	if o.op == api.OpPush {
		q.waiting--
	} else {
		o.pop.p, o.truncated = c.SGA.Append(nil), c.Truncated
		q.over = q.over || c.EOF
	}
	switch {
	case c.Err == nil && o.op == api.OpPush && (c.N != o.push.size || c.N > q.limit),
		c.Err == nil && o.op == api.OpPop && (c.N > o.max || c.N != len(o.pop.p) || c.EOF && !q.shut):
		m.errorf("memory queue: %+v", c)
	case c.Err == nil, errors.Is(c.Err, syscall.ECANCELED):
	case errors.Is(c.Err, syscall.EPIPE) && q.shut:
	case errors.Is(c.Err, syscall.EMSGSIZE) && o.op == api.OpPush && o.push.size > q.limit:
	default:
		m.errorf("memory queue: %v", c.Err)
	}
}

func (q *modelMemory) shutdown() {
	q.shut = true
	if err := q.host.lib.Shutdown(q.qd, api.ShutWrite); q.closed != errors.Is(err, syscall.EBADF) || err != nil && !q.closed {
		q.host.m.errorf("shutdown of a memory queue, closed %v: %v", q.closed, err)
	}
}

func (q *modelMemory) close() {
	if err := q.host.lib.Close(q.qd); q.closed != errors.Is(err, syscall.EBADF) {
		q.host.m.errorf("close of a memory queue, closed %v: %v", q.closed, err)
	}
	q.closed = true
}

// drain is a step towards the end of the queue.
func (q *modelMemory) drain() (done bool) {
	if q.closed || q.over {
		return true
	}
	if !q.shut && q.waiting == 0 {
		q.shutdown()
	}
	q.pop(1 << 20)
	return false
}

// compare compares what went in with what came out. It expects that drain has
// come to the end.
func (q *modelMemory) compare() {
	var in []*modelPush
	for _, o := range q.pushes {
		if o.done {
			in = append(in, o.push)
		}
	}
	for _, o := range q.pops {
		switch {
		case !o.done || q.lost:
			continue
		case len(in) == 0:
			q.host.m.errorf("a memory queue gives what nobody has pushed: %d bytes", len(o.pop.p))
			return
		case o.truncated != (in[0].size > o.max), !bytes.Equal(o.pop.p, in[0].content()[:min(in[0].size, o.max)]):
			q.host.m.errorf("a memory queue makes of %d bytes, for a pop of %d, %d others, or these", in[0].size, o.max, len(o.pop.p))
		}
		in = in[1:]
	}
	if len(in) > 0 && q.over && !q.lost {
		q.host.m.errorf("a memory queue has lost %d messages", len(in))
	}
}
