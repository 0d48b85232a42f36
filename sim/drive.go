package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// oldAge is how long a world of Test lives unless Limit says otherwise, and
// standstill how long nothing at all may happen in it. Grace is how long goroutines
// may go on when it has ended.
const (
	oldAge     = 7 * 24 * time.Hour
	standstill = 365 * 24 * time.Hour
	grace      = time.Hour
)

// Limit changes how much time may pass in a world of Test before it counts as
// stuck: a program that waits for ever on a connection whose keep-alives go on
// would otherwise never end. It is a week at first.
func (w *World) Limit(d time.Duration) { w.do(func() { w.limit = int64(d) }) }

// drive is the driver: it does one thing after the other, each when all goroutines
// of the bubble wait, and lets time pass when there is none.
func (w *World) drive(end <-chan struct{}) {
	timer := time.NewTimer(standstill)
	for {
		if !w.quiet {
			synctest.Wait()
			w.quiet = true
			if !w.stuck {
				w.now = w.clock()
			}
			w.beats.Add(1)
		}
		if w.step() {
			continue
		}
		if !w.rest(timer, end) {
			w.mu.Lock()
			w.over = true
			w.mu.Unlock()
			for w.step() {
			}
			return
		}
		w.quiet = false
	}
}

// rest lets time pass until the next event, or until a goroutine wants something.
// It returns false if that is the end.
func (w *World) rest(timer *time.Timer, end <-chan struct{}) bool {
	w.mu.Lock()
	when, ok := w.events.next()
	w.mu.Unlock()
	if !ok || w.stuck {
		when = w.now + int64(standstill)
	}
	if !w.stuck && when > w.limit && w.now < w.limit {
		when = w.limit
	}
	due := timer.C
	if w.stuck {
		due = nil // what still waits now is reported by package synctest
	} else {
		timer.Reset(time.Duration(when - w.now))
	}
	select {
	case <-due:
		if now := w.clock(); !ok || now >= w.limit {
			w.giveUp(now, ok)
		}
	case <-w.kick:
		if w.stuck && w.clock() > w.now+int64(grace) {
			panic("sim: the program goes on though it was stuck and all its hosts were ended")
		}
	case <-end:
		return false
	}
	return true
}

// giveUp fails the test and ends all hosts, so that what waits for them ends.
func (w *World) giveUp(now int64, alive bool) {
	w.stuck, w.now = true, now
	why := fmt.Sprintf("%v have passed (see World.Limit)", time.Duration(now))
	if !alive {
		why = "nothing can happen on the network any more"
	}
	w.T.Errorf("sim: %s, and the program still waits:\n%s", why, w.waiting())
	for _, h := range w.hosts {
		h.crash()
	}
}

// waiting says who waits for what.
func (w *World) waiting() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var fs []*flight
	for _, f := range w.flights {
		fs = append(fs, f)
	}
	slices.SortFunc(fs, func(a, b *flight) int { return cmp.Compare(a.task.key.came, b.task.key.came) })
	var b strings.Builder
	for _, f := range fs {
		k := &f.task.key
		fmt.Fprintf(&b, "\thost %s: %v on %v socket %d", f.s.host.name, k.kind, f.op.Network, k.sock)
		if f.op.Kind == api.KindConnect {
			fmt.Fprintf(&b, " to %v", f.op.Addr)
		}
		fmt.Fprintf(&b, ", since %v\n", time.Duration(f.since))
	}
	if len(fs) == 0 {
		b.WriteString("\tno call on a host is pending: the program waits for itself\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
