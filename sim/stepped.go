package sim

import (
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// New makes a stepped world, for programs of one goroutine that use the queue face,
// in tests or outside of them. Its time goes on in Step, RunFor and RunUntil, and
// while the goroutine waits in one of the faces: that takes the steps itself. Where
// it waits for what can never come it fails with [api.ErrDeadlock].
//
// Package time knows nothing of this world: contexts and timers of it are real.
func New(seed uint64) *World {
	w := newWorld(seed)
	w.clock = func() int64 { return w.now }
	return w
}

// Step does the next thing there is, however far off, and reports whether there was
// one.
func (w *World) Step() bool {
	w.mustBeStepped("Step")
	return w.step() || w.skip(forever) && w.step()
}

const forever = 1<<63 - 1

// skip lets time pass until the next event, if that is not later than end.
func (w *World) skip(end int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	when, ok := w.events.next()
	if !ok || when > end {
		return false
	}
	w.now = max(w.now, when)
	return true
}

// RunFor lets d pass.
func (w *World) RunFor(d time.Duration) {
	w.mustBeStepped("RunFor")
	end := w.now + int64(d)
	for w.step() || w.skip(end) {
	}
	w.now = end
}

// RunUntil takes steps until cond holds, and reports whether it does; false: nothing
// can happen any more. As most hosts have timers that go on for ever, cond should
// also look at the time.
func (w *World) RunUntil(cond func() bool) bool {
	w.mustBeStepped("RunUntil")
	for !cond() {
		if !w.Step() {
			return cond()
		}
	}
	return true
}

// Close ends all hosts of a stepped world. A world of Test ends by itself.
func (w *World) Close() error {
	w.mustBeStepped("Close")
	for _, h := range w.hosts {
		h.Crash()
	}
	for w.step() {
	}
	return nil
}

func (w *World) mustBeStepped(call string) {
	if !w.isStepped() {
		panic("sim: " + call + " is for worlds of New: in a test, time goes on when everybody waits, as in time.Sleep")
	}
}

// A stepper is the sequencer of a stepped world. Whoever waits takes the steps.
type stepper struct{ *sequencer }

var _ api.Driver = stepper{}

// Turn implements api.Driver.
func (s stepper) Turn() bool {
	s.host.w.step()
	return true
}

// Sleep implements api.Driver.
func (s stepper) Sleep(deadline time.Time) error {
	w := s.host.w
	w.mu.Lock()
	busy := len(w.released) > 0 || len(w.tasks) > 0
	w.mu.Unlock()
	if busy || w.skip(forever) {
		return nil
	}
	return api.ErrDeadlock
}

// Wake implements api.Driver.
func (s stepper) Wake() {}

// Cancel implements api.Transport. The op ends before it returns: nobody else
// could take the step.
func (s stepper) Cancel(t api.Ticket, cause error) {
	s.sequencer.Cancel(t, cause)
	for t.Op() != nil && s.host.w.step() {
	}
	for len(s.host.w.released) > 0 {
		s.host.w.step()
	}
}
