package stack

import (
	"sync"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/api"
)

// The bounds of one turn. They keep a goroutine that only wanted to submit an
// op from working for everybody else, and say nothing about correctness: what is
// left over makes needsTurn true.
const (
	turnFrames = 64  // received frames of a device
	turnBurst  = 8   // of them, between two settlings: see receive
	turnTasks  = 64  // posted ops and cancels
	turnTimers = 256 // due timers
	turnRounds = 8   // rounds of settling and serving sockets
)

// A task is something posted to the host by a goroutine that is not in a turn:
// an op to execute, or a cancel.
type task struct {
	op     *api.Op // nil: a cancel
	cancel api.Ticket
	cause  error
}

// mailbox is where tasks are posted.
type mailbox struct {
	mu    sync.Mutex
	tasks []task
	taken int // of tasks
	count atomic.Int64
}

func (m *mailbox) post(t task) {
	m.mu.Lock()
	m.tasks = append(m.tasks, t)
	m.count.Add(1)
	m.mu.Unlock()
}

// take moves up to n tasks to the end of into, oldest first. Those that stay are
// moved up when they are the fewer: then each is moved once at most, however many
// there are.
func (m *mailbox) take(into []task, n int) []task {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.tasks[m.taken:]
	next = next[:min(n, len(next))]
	into = append(into, next...)
	clear(next)
	m.taken += len(next)
	if m.taken >= len(m.tasks)-m.taken {
		rest := copy(m.tasks, m.tasks[m.taken:])
		clear(m.tasks[rest:])
		m.tasks, m.taken = m.tasks[:rest], 0
	}
	m.count.Add(-int64(len(next)))
	return into
}

// Submit implements api.Transport.
func (h *Host) Submit(op *api.Op) { h.post(task{op: op}) }

// Cancel implements api.Transport.
func (h *Host) Cancel(t api.Ticket, cause error) { h.post(task{cancel: t, cause: cause}) }

// post hands a task to whoever is in a turn, or runs a turn here. No task is
// lost: one that is posted while another goroutine holds the turn is seen by it,
// since it looks at the mailbox again after it has let go (help).
func (h *Host) post(t task) {
	h.mailbox.post(t)
	h.help()
}

// Turn implements api.Driver: it runs one turn that looks at the devices, or
// makes whoever is in a turn do so.
func (h *Host) Turn() bool {
	h.received.Store(true)
	return h.help()
}

// help runs turns as long as there is something to do and nobody else does it,
// within reason: after a few it leaves the rest to the sleeper. It reports
// whether it ran any.
func (h *Host) help() (ran bool) {
	for n := 0; h.needsTurn(); n++ {
		if n >= 4 && !h.unattended() {
			h.rouse()
			return ran
		}
		if !h.turn.TryLock() {
			return ran
		}
		h.runTurn()
		h.turn.Unlock()
		ran = true
	}
	return ran
}

// unattended reports whether something was posted that no sleeper will ever see
// to, because the host is closed.
func (h *Host) unattended() bool { return h.role.isClosed() && h.mailbox.count.Load() > 0 }

// needsTurn reports whether a turn would find something to do. It is called
// without the turn, by goroutines that are about to give up on it.
func (h *Host) needsTurn() bool {
	return h.received.Load() || h.mailbox.count.Load() > 0 || h.ready.some.Load() || h.changed.Load() ||
		h.clock.next() <= h.clock.nanos()
}

// runTurn is the turn: receive, settle, run timers and ops, serve sockets,
// send. The caller holds h.turn. Every exit from the stack ends with Settle: what
// happens in a turn is complete when it ends.
func (h *Host) runTurn() {
	if h.closed {
		h.runTasks() // they fail; the devices and the stack are Close's
		return
	}
	if h.received.Swap(false) {
		h.receive()
	}
	h.settle.Settle()
	if h.clock.run(turnTimers) {
		h.settle.Settle()
		h.heed()
	}
	if h.changed.Swap(false) {
		h.reconfigure()
	}
	h.runTasks()
	h.settle.Settle()
	for range turnRounds {
		if !h.serveReady() {
			break
		}
		h.settle.Settle()
	}
	h.neighbors.settled()
	h.flush()
	h.checkDrain()
	h.turns.Add(1)
}

// runTasks executes what was posted.
func (h *Host) runTasks() {
	h.tasks = h.mailbox.take(h.tasks[:0], turnTasks)
	for i := range h.tasks {
		h.execute(&h.tasks[i])
		h.tasks[i] = task{}
	}
}

// isCongested reports whether so much waits for a device that no new send may
// start. It is asked for each, since each may be the one that is too many.
func (h *Host) isCongested() bool {
	for _, i := range h.interfaces {
		if i.failed == nil && i.link.Congested() {
			return true
		}
	}
	return false
}

// receive takes what has arrived from every device.
//
// TCP settles several times within a long burst: gVisor acknowledges once a
// settling, and a peer that hears one acknowledgement for a whole flight has to
// wait for its retransmission timer if that one is lost.
func (h *Host) receive() {
	for _, i := range h.interfaces {
		more := i.failed == nil
		for n := 0; more && n < turnFrames; n += turnBurst {
			var err error
			if more, err = i.link.Receive(turnBurst); err != nil {
				h.fail(i, err)
			}
			if more {
				h.settle.Settle()
			}
		}
		if more {
			h.received.Store(true)
		}
	}
}

// flush sends what the turn has produced, and makes the sleeper wait for the
// devices to become writable if they do not take it all.
func (h *Host) flush() {
	waiting, congested := false, false
	for _, i := range h.interfaces {
		if i.failed != nil {
			continue
		}
		w, err := i.link.Flush()
		if err != nil {
			h.fail(i, err)
			continue
		}
		if at, ok := i.link.Pending(); ok && int64(at.Sub(h.clock.base)) < h.clock.sleeping.Load() {
			h.sleeper.Wake() // a packet that is delayed is due before the sleeper's deadline
		}
		waiting = waiting || w
		congested = congested || i.link.Congested()
	}
	if !congested && len(h.stalled) > 0 {
		for _, s := range h.stalled {
			s.stalled = false
			h.ready.add(s)
		}
		clear(h.stalled)
		h.stalled = h.stalled[:0]
	}
	if h.waiting.Swap(waiting) != waiting {
		h.sleeper.SetWritable(waiting)
		if waiting {
			h.sleeper.Wake() // who sleeps armed without it
		}
	}
}

// readyList holds the sockets that gVisor has notified. Its lock is a leaf: it
// is taken under endpoint locks.
type readyList struct {
	mu   sync.Mutex
	list []*socket
	some atomic.Bool
	// added, if set, is called after a socket was added. With Config.Foreign
	// that happens on goroutines that are in no turn.
	added func()
}

func (r *readyList) add(s *socket) {
	if r.put(s) && r.added != nil {
		r.added()
	}
}

func (r *readyList) put(s *socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.queued {
		return false
	}
	s.queued = true
	r.list = append(r.list, s)
	r.some.Store(true)
	return true
}

// take returns the sockets that are ready and uses spare for the next ones.
func (r *readyList) take(spare []*socket) []*socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = spare[:0]
	for _, s := range list {
		s.queued = false
	}
	r.some.Store(false)
	return list
}

// serveReady lets the ops parked on notified sockets get on. It reports whether
// there were any.
func (h *Host) serveReady() bool {
	list := h.ready.take(h.spare)
	for i, s := range list {
		s.serve()
		list[i] = nil
	}
	h.spare = list[:0]
	return len(list) > 0
}
