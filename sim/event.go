package sim

import "container/heap"

// An event is something that happens at a moment: a frame arrives, a host's clock
// is due, a deadline passes, an action was planned. Those of one moment happen by
// class, then by who, then in the order of their making.
type event struct {
	when  int64 // nanoseconds since the world began
	class class
	who   int // the number of a host, or 0
	seq   uint64
	run   func()
	at    int // in the heap; -1: nowhere
}

type class uint8

const (
	classFrame    class = iota // on a cable
	classClock                 // of a host
	classDeadline              // of the net face
	classAction                // World.At
)

func (e *event) before(o *event) bool {
	switch {
	case e.when != o.when:
		return e.when < o.when
	case e.class != o.class:
		return e.class < o.class
	case e.who != o.who:
		return e.who < o.who
	}
	return e.seq < o.seq
}

// events is a heap of them, the next one first.
type events struct {
	heap eventHeap
	made uint64
}

// add plans run. The event can be taken out, and moved, as long as it has not run.
func (q *events) add(when int64, c class, who int, run func()) *event {
	q.made++
	e := &event{when: when, class: c, who: who, seq: q.made, run: run}
	heap.Push(&q.heap, e)
	return e
}

// move changes when an event runs, also of one that is nowhere.
func (q *events) move(e *event, when int64) {
	q.made++
	e.when, e.seq = when, q.made
	if e.at < 0 {
		heap.Push(&q.heap, e)
		return
	}
	heap.Fix(&q.heap, e.at)
}

// remove takes an event out and reports whether it was there.
func (q *events) remove(e *event) bool {
	if e.at < 0 {
		return false
	}
	heap.Remove(&q.heap, e.at)
	return true
}

// next returns when the first event is, if there is one.
func (q *events) next() (when int64, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].when, true
}

// take takes the first event out if it is due.
func (q *events) take(now int64) *event {
	if len(q.heap) == 0 || q.heap[0].when > now {
		return nil
	}
	return heap.Pop(&q.heap).(*event)
}

type eventHeap []*event

func (h eventHeap) Len() int           { return len(h) }
func (h eventHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h eventHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *eventHeap) Push(x any) {
	e := x.(*event)
	e.at = len(*h)
	*h = append(*h, e)
}
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.at = -1
	return e
}
