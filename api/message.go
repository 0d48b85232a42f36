package api

// A message is what a memory queue holds of a push: a copy of its bytes.
type message struct {
	memory *lease // nil if there are none; nobody's yet
	n      int
}

func newMessage(bufs [][]byte) message {
	m := message{n: SGA{Segs: bufs}.Len()}
	if m.n > 0 {
		m.memory = newLease(m.n)
		scatter(m.memory.segs, bufs)
	}
	return m
}

// deliver completes a read with the message. A pop of the queue face gets the
// memory itself; any other read gets a copy, as it would of any transport.
func (m message) deliver(op *Op) {
	op.N = m.n
	if op.Max > 0 && op.N > op.Max {
		op.N, op.Truncated = op.Max, true
	}
	c, pop := op.User.(*call)
	switch {
	case m.memory == nil:
	case op.Bufs == nil && pop:
		c.entry.sga = m.memory.give(c.lib)
	default:
		if op.Bufs == nil && op.Alloc != nil {
			op.Bufs = op.Alloc(op, op.N)
		}
		op.N = scatter(op.Bufs, m.memory.segs)
		op.Truncated = op.N < m.n
		m.drop()
	}
	op.finish(nil)
}

// drop ends a message that nobody gets.
func (m message) drop() {
	if m.memory != nil {
		m.memory.recycle()
	}
}

// scatter copies from one array to another, as much as fits, and returns how
// many bytes that was.
func scatter(to, from [][]byte) (n int) {
	var room []byte
	for _, p := range from {
		for len(p) > 0 {
			for len(room) == 0 {
				if len(to) == 0 {
					return n
				}
				room, to = to[0], to[1:]
			}
			k := copy(room, p)
			n, room, p = n+k, room[k:], p[k:]
		}
	}
	return n
}

// A ring is a queue of messages that grows as needed, and keeps its size.
type ring struct {
	slots []message // a power of two, or none
	first int
	n     int
}

func (r *ring) push(m message) {
	if r.n == len(r.slots) {
		bigger := make([]message, max(2*r.n, 8))
		k := copy(bigger, r.slots[r.first:])
		copy(bigger[k:], r.slots[:r.first])
		r.slots, r.first = bigger, 0
	}
	r.slots[(r.first+r.n)&(len(r.slots)-1)] = m
	r.n++
}

// pop takes the oldest message. There is one.
func (r *ring) pop() message {
	m := r.slots[r.first]
	r.slots[r.first] = message{}
	r.first = (r.first + 1) & (len(r.slots) - 1)
	r.n--
	return m
}

// finish completes op with an error, or without.
func (o *Op) finish(err error) {
	o.Err = err
	o.Complete()
}
