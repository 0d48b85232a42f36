package api

import (
	"net"
	"sync"
	"syscall"
)

// MemoryQueue makes a queue in memory, of the process's own: a pipe whose
// messages keep their boundaries. Everybody who has the descriptor may push and
// pop. Each push is one message, also an empty one; each pop takes the oldest.
// Its completions come with those of sockets, so that one goroutine serves both.
//
// A push is complete when the queue holds a copy of the message: the one copy
// that is made, because the pop gets the queue's memory. A full queue makes
// pushes wait, in order. A message longer than the queue's limit fails with
// EMSGSIZE. PopN of less than the message cuts it, and says so by Truncated.
//
// Shutdown with ShutWrite is the end of the messages: later pushes fail with
// EPIPE, those that wait still count, and pops find EOF after the last message.
// ShutRead says that nobody pops any more: what is left is thrown away, pushes
// fail with EPIPE, pops find EOF. Close ends pending ops with ECANCELED and throws
// away what is left.
//
// Of the options a memory queue has [MemoryLimit] only; calls about addresses and
// connections fail with EOPNOTSUPP. MemoryQueue fails with EINVAL if the limit
// is negative, with EMFILE if there are too many queues, and after
// [LibOS.Exit] with [net.ErrClosed]. It is safe for concurrent use.
func (l *LibOS) MemoryQueue(limit MemoryLimit) (QD, error) {
	return l.newQueue("memoryqueue", l.memory, Memory, limit)
}

// MemoryLimit is an option of memory queues: what one holds while nobody pops.
// Zero fields mean the default: 1 MiB and 1024 messages. It can be changed while
// the queue is in use; what is there stays.
type MemoryLimit struct {
	Bytes    int
	Messages int
}

func (MemoryLimit) option() {}

func (m MemoryLimit) check() (MemoryLimit, error) {
	if m.Bytes < 0 || m.Messages < 0 {
		return m, syscall.EINVAL
	}
	if m.Bytes == 0 {
		m.Bytes = 1 << 20
	}
	if m.Messages == 0 {
		m.Messages = 1024
	}
	return m, nil
}

// NewMemory returns a transport of memory queues: sockets of the network
// [Memory]. Every LibOS has one of its own. It is for sequencers, which put
// themselves in front of it and go into [Config.Memory].
func NewMemory() Transport { return new(memory) }

// memory is the transport of memory queues. Its ops take no time, so one lock
// does for all of them.
type memory struct {
	mu     sync.Mutex // guards everything, also in the queues
	queues list[memoryQueue]
	made   uint64
	closed bool
}

// Submit implements [Transport].
func (m *memory) Submit(op *Op) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		op.finish(net.ErrClosed)
		return
	}
	if op.Kind == KindSocket {
		op.finish(m.open(op))
		return
	}
	q, ok := op.Sock.(*memoryQueue)
	if !ok || q.m != m || q.place.in == nil {
		op.finish(net.ErrClosed)
		return
	}
	q.execute(op)
}

// Cancel implements [Transport].
func (m *memory) Cancel(t Ticket, cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op := t.Op()
	if op == nil {
		return
	}
	q, ok := op.Sock.(*memoryQueue)
	if ok && q.m == m && (q.reads.Remove(op) || q.writes.Remove(op)) {
		op.finish(cause)
	}
}

// Close implements [Transport].
func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for m.queues.n > 0 {
		m.queues.front.of.close()
	}
	return nil
}

// open executes KindSocket.
func (m *memory) open(op *Op) error {
	limit, ok := op.Opt.(MemoryLimit)
	if op.Network != Memory || op.Opt != nil && !ok {
		return syscall.EPROTONOSUPPORT
	}
	limit, err := limit.check()
	if err != nil {
		return err
	}
	m.made++
	q := &memoryQueue{m: m, number: m.made, limit: limit}
	q.place.of = q
	m.queues.push(&q.place)
	op.NewSock = q
	return nil
}

// A memoryQueue is a socket of memory. While reads wait there are no messages;
// while writes wait there is at least one.
type memoryQueue struct {
	m      *memory
	number uint64
	place  node[memoryQueue] // in memory.queues until it is closed

	limit         MemoryLimit
	messages      ring
	bytes         int // of the messages
	reads, writes OpList
	shut          bool // for either direction: there will be no more messages
}

// Number implements [Socket].
func (q *memoryQueue) Number() uint64 { return q.number }

func (q *memoryQueue) execute(op *Op) {
	switch op.Kind {
	case KindRead:
		q.read(op)
	case KindWrite:
		q.write(op)
	case KindClose:
		q.close()
		op.finish(nil)
	case KindShutdown:
		q.shutdown(op.How)
		op.finish(nil)
	case KindOption, KindQuery:
		op.finish(q.option(op))
	default:
		op.finish(syscall.EOPNOTSUPP)
	}
}

func (q *memoryQueue) write(op *Op) {
	n := SGA{Segs: op.Bufs}.Len()
	switch {
	case op.Addr.IsValid():
		op.finish(syscall.EOPNOTSUPP)
	case q.shut:
		op.finish(syscall.EPIPE)
	case n > q.limit.Bytes:
		op.finish(syscall.EMSGSIZE)
	case !q.room(n) || q.writes.Len() > 0:
		op.Mark = int64(n) // once: it may have many buffers
		q.writes.Push(op)
	default:
		q.accept(op)
	}
}

// room reports whether a message of n bytes fits. An empty queue has room for
// any, or lowering the limit could leave a write there for ever.
func (q *memoryQueue) room(n int) bool {
	return q.messages.n == 0 || q.messages.n < q.limit.Messages && q.bytes+n <= q.limit.Bytes
}

// accept takes over the message of a write, and completes it.
func (q *memoryQueue) accept(op *Op) {
	msg := newMessage(op.Bufs)
	op.N = msg.n
	if read := q.reads.Pop(); read != nil {
		msg.deliver(read)
	} else {
		q.messages.push(msg)
		q.bytes += msg.n
	}
	op.finish(nil)
}

func (q *memoryQueue) read(op *Op) {
	switch {
	case q.messages.n > 0:
		msg := q.messages.pop()
		q.bytes -= msg.n
		msg.deliver(op)
		q.refill()
	case q.shut:
		op.EOF = true
		op.finish(nil)
	default:
		q.reads.Push(op)
	}
}

// refill lets waiting writes get on.
func (q *memoryQueue) refill() {
	for op := q.writes.Front(); op != nil && q.room(int(op.Mark)); op = q.writes.Front() {
		q.accept(q.writes.Pop())
	}
}

func (q *memoryQueue) shutdown(how Shut) {
	q.shut = true
	for op := q.reads.Pop(); op != nil; op = q.reads.Pop() {
		op.EOF = true
		op.finish(nil)
	}
	if how&ShutRead != 0 {
		q.empty(syscall.EPIPE)
	}
}

// empty throws away the messages, and ends the writes that wait.
func (q *memoryQueue) empty(cause error) {
	for q.messages.n > 0 {
		q.messages.pop().drop()
	}
	q.bytes = 0
	for op := q.writes.Pop(); op != nil; op = q.writes.Pop() {
		op.finish(cause)
	}
}

func (q *memoryQueue) close() {
	q.place.remove()
	for op := q.reads.Pop(); op != nil; op = q.reads.Pop() {
		op.finish(net.ErrClosed)
	}
	q.empty(net.ErrClosed)
}

// option executes KindOption and KindQuery.
func (q *memoryQueue) option(op *Op) error {
	limit, ok := op.Opt.(MemoryLimit)
	if !ok {
		return syscall.ENOPROTOOPT
	}
	if op.Kind == KindQuery {
		op.Opt = q.limit
		return nil
	}
	limit, err := limit.check()
	if err != nil {
		return err
	}
	q.limit = limit
	q.refill()
	return nil
}
