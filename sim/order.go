package sim

import (
	"cmp"

	"github.com/ringtail-net/ringtail/api"
)

// A task is something that goroutines of the program want of the simulation: an op
// to be executed, one to be cancelled, or a function to be called. Tasks wait until
// all goroutines do, and are then run one by one in an order that does not depend
// on which goroutine came first.
type task struct {
	key key
	run func()
	at  int // in the heap; -1: nowhere
}

// A key is a task's place in that order. What a host's sockets are asked comes by
// socket, kind and number; then come the ops that make sockets, by label.
type key struct {
	host   int // functions: -1
	memory bool
	makes  bool
	sock   uint64
	kind   api.Kind
	label  string
	of     api.Kind // of a cancel
	seq    uint64
	came   uint64 // the residue: the order of coming
}

func (k *key) compare(o *key) int {
	return cmp.Or(
		cmp.Compare(k.host, o.host),
		compareBool(k.memory, o.memory),
		compareBool(k.makes, o.makes),
		cmp.Compare(k.sock, o.sock),
		cmp.Compare(k.kind, o.kind),
		cmp.Compare(k.label, o.label),
		cmp.Compare(k.of, o.of),
		cmp.Compare(k.seq, o.seq),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// taskHeap has the canonically first task in front.
type taskHeap []*task

func (h taskHeap) Len() int { return len(h) }
func (h taskHeap) Less(i, j int) bool {
	if c := h[i].key.compare(&h[j].key); c != 0 {
		return c < 0
	}
	return h[i].key.came < h[j].key.came
}
func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *taskHeap) Push(x any) {
	t := x.(*task)
	t.at = len(*h)
	*h = append(*h, t)
}
func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.at = -1
	return t
}
