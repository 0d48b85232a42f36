package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A World is a network of hosts in a time of its own. Nothing in it happens but by
// its driver, one thing after the other.
//
// In a world of [Test] all methods may be called by any goroutine of the test, but
// for Step, RunFor and RunUntil, which are for worlds of [New]; those belong to one
// goroutine.
type World struct {
	// T is the test of a world of Test: use it, and not the one outside. In a
	// world of New it is nil.
	T *testing.T

	seed  uint64
	begin time.Time
	clock func() int64 // nanoseconds since begin

	// Of the driver.
	now        int64
	quiet      bool // no goroutine of the program can run
	hosts      []*Host
	switches   []*Switch
	cables     int
	partitions []*partition
	touched    []*Host  // have to be driven
	released   []func() // callers that have to be told, in order
	trace      trace
	stats      Stats

	// Of a world of Test.
	kick  chan struct{} // nil in a stepped world
	limit int64         // of now
	stuck bool          // the limit has been reached
	beats atomic.Uint64 // how often all goroutines were found waiting

	mu      sync.Mutex // guards the following; a leaf
	tasks   taskHeap
	came    uint64
	flights map[api.Ticket]*flight
	events  events
	names   map[string][]netip.Addr
	over    bool // nobody drives any more
}

// Stats counts what has happened in a world.
type Stats struct {
	Events   uint64            // frames that arrived, clocks that were due, deadlines, actions
	Ops      uint64            // calls of the program that were executed
	Sent     uint64            // frames, by hosts
	Received uint64            // frames, by hosts
	Lost     map[string]uint64 // frames, by reason

	// Ambiguous counts sockets that different goroutines of a host opened at the
	// same moment without labels: which got which is up to the scheduler. See
	// [api.WithLabel].
	Ambiguous uint64
}

// beginning is when a world begins: also the time of a testing/synctest bubble.
var beginning = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// newWorld makes a world without a driver.
func newWorld(seed uint64) *World {
	w := &World{seed: seed, begin: beginning, flights: map[api.Ticket]*flight{}, names: map[string][]netip.Addr{}}
	w.stats.Lost = map[string]uint64{}
	w.trace.init(w)
	w.newSwitch("lan")
	return w
}

// Seed returns what decides all chances.
func (w *World) Seed() uint64 { return w.seed }

// Rand returns a source of chance for the program: when to break what, what to send.
// Every call begins anew, with the seed and label; goroutines need one each.
func (w *World) Rand(label string) *rand.Rand {
	n := uint64(0)
	for _, c := range []byte(label) {
		n = mix(n, uint64(c))
	}
	return rand.New(rand.NewPCG(w.seed, n))
}

// Now returns the time of the world. It begins with the year 2000.
func (w *World) Now() time.Time { return w.at(w.clock()) }

// isStepped reports whether w is a world of New.
func (w *World) isStepped() bool { return w.kick == nil }

func (w *World) at(ns int64) time.Time { return w.begin.Add(time.Duration(ns)) }

func (w *World) ns(t time.Time) int64 { return int64(t.Sub(w.begin)) }

// Stats returns the counters as they are now.
func (w *World) Stats() Stats {
	var s Stats
	w.do(func() {
		s = w.stats
		s.Lost = map[string]uint64{}
		for reason, n := range w.stats.Lost {
			s.Lost[reason] = n
		}
	})
	return s
}

// At calls f when d has passed: in a goroutine of its own, or, in a stepped world,
// within Step. So f may change the network, crash hosts, and use them.
func (w *World) At(d time.Duration, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events.add(w.clock()+int64(max(d, 0)), classAction, 0, func() { w.act(f) })
	w.wake()
}

// act calls a function of the program.
func (w *World) act(f func()) {
	if w.isStepped() {
		f()
		return
	}
	if w.trace.over {
		return // the test is
	}
	w.quiet = false
	go f()
}

// plan is for the driver.
func (w *World) plan(when int64, c class, who int, run func()) *event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events.add(when, c, who, run)
}

// A deadline is a timer of the net face.
type deadline struct {
	w *World
	e *event
}

// Stop implements api.Timer.
func (d deadline) Stop() bool {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	return d.w.events.remove(d.e)
}

func (w *World) deadline(who int, when int64, f func()) api.Timer {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.events.add(max(when, w.clock()), classDeadline, who, f)
	w.wake()
	return deadline{w, e}
}

// do calls f within the simulation: at once if nothing runs, or else in its place
// among the tasks.
func (w *World) do(f func()) { w.doAs("", f) }

// doAs is do for functions that have an order: by label.
func (w *World) doAs(label string, f func()) {
	if w.isStepped() {
		f()
		w.settle()
		return
	}
	done := make(chan struct{})
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		f()
		return
	}
	w.postLocked(&task{key: key{host: -1, label: label}, run: func() {
		f()
		w.finish(func() { close(done) })
	}})
	w.mu.Unlock()
	<-done
}

// postLocked adds a task. w.mu is held.
func (w *World) postLocked(t *task) {
	w.came++
	t.key.came = w.came
	heap.Push(&w.tasks, t)
	w.wake()
}

// wake makes the driver look again.
func (w *World) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// finish notes that a caller is to be told something, after those before him.
func (w *World) finish(release func()) { w.released = append(w.released, release) }

// touch notes that a host has to be driven.
func (w *World) touch(h *Host) {
	if !h.touched {
		h.touched = true
		w.touched = append(w.touched, h)
	}
}

// settle drives the hosts that something has happened to.
func (w *World) settle() {
	for len(w.touched) > 0 {
		h := w.touched[0]
		w.touched = w.touched[1:]
		h.touched = false
		h.drive()
	}
}

// lose counts a frame that does not arrive, and returns the words for it.
func (w *World) lose(reason string) (note string) {
	w.stats.Lost[reason]++
	return "lost: " + reason
}

// step does the next thing that can be done at this moment, and reports whether
// there was any: tell a caller, run a task, let an event happen.
func (w *World) step() bool {
	if len(w.released) > 0 {
		release := w.released[0]
		w.released = w.released[1:]
		w.quiet = false
		release()
		return true
	}
	if t := w.nextTask(); t != nil {
		w.stats.Ops++
		t.run()
		w.settle()
		return true
	}
	return w.happen()
}

func (w *World) nextTask() *task {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tasks) == 0 {
		return nil
	}
	t := heap.Pop(&w.tasks).(*task)
	if len(w.tasks) > 0 && t.key.makes && t.key.compare(&w.tasks[0].key) == 0 {
		w.stats.Ambiguous++
	}
	return t
}

// happen lets the events of this moment happen that are frames or clocks, and then
// drives whom they concern; or one event of another kind.
func (w *World) happen() bool {
	some := false
	for {
		w.mu.Lock()
		e := w.events.take(w.now)
		w.mu.Unlock()
		if e == nil {
			break
		}
		some = true
		w.stats.Events++
		e.run()
		if e.class > classClock {
			break
		}
	}
	w.settle()
	return some
}

func (w *World) String() string { return fmt.Sprintf("world of seed %d at %v", w.seed, w.Now()) }
