package stack

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
)

// role is the right to wait for the host's devices, apart from the turn. At
// most one goroutine has it: a caller that waits for completions and drives the
// host meanwhile, or else the background owner, which sees to it that the host
// gets on when nobody waits.
//
// A caller takes the role from the owner, who leaves at once. The owner comes
// back when no caller has had the role for a whole nap; while callers use the
// host it naps, so that the hand-over between a packet and the goroutine that
// wants it does not come back with every packet.
type role struct {
	mu      sync.Mutex
	left    *sync.Cond // the owner has left
	holder  holder
	wanted  int    // callers that wait for the owner to leave
	uses    uint64 // how often callers took the role
	resting bool   // the owner sleeps until it is kicked
	closed  bool
	kick    chan struct{}

	// woken is a Wake that has not ended a Sleep yet. The sleeper cannot keep
	// it: the owner waits there too, and would use it up.
	woken atomic.Bool
}

type holder uint8

const (
	nobody holder = iota
	caller
	owner
)

const nap = time.Millisecond

func (r *role) init() {
	r.left = sync.NewCond(&r.mu)
	r.kick = make(chan struct{}, 1)
}

// take gives the role to a caller, unless another one has it.
func (r *role) take(wakeOwner func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.holder == owner && !r.closed {
		r.wanted++
		wakeOwner()
		r.left.Wait()
		r.wanted--
	}
	if r.closed {
		return net.ErrClosed
	}
	if r.holder == caller {
		return api.ErrBusy
	}
	r.holder = caller
	r.uses++
	return nil
}

// give puts the role down.
func (r *role) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holder = nobody
	r.left.Broadcast()
	if r.resting {
		r.kickOwner()
	}
}

func (r *role) kickOwner() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// takeOwner gives the role to the owner if no caller has used it since the
// count was seen, and returns the new count.
func (r *role) takeOwner(seen uint64) (uses uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holder == nobody && r.wanted == 0 && r.uses == seen {
		r.holder = owner
		ok = true
	}
	return r.uses, ok
}

// rest naps. If a caller has the role and keeps it, the nap lasts until that
// caller gives it back: an idle host wakes up for nothing.
func (r *role) rest(timer *time.Timer, seen uint64) {
	r.mu.Lock()
	r.resting = r.holder == caller && r.uses == seen
	resting := r.resting
	r.mu.Unlock()
	if resting {
		<-r.kick
	} else {
		timer.Reset(nap)
		select {
		case <-r.kick:
			timer.Stop()
		case <-timer.C:
		}
	}
	r.mu.Lock()
	r.resting = false
	r.mu.Unlock()
}

func (r *role) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.left.Broadcast()
	r.kickOwner()
}

func (r *role) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// Sleep implements api.Driver.
func (h *Host) Sleep(deadline time.Time) error {
	if err := h.role.take(h.sleeper.Wake); err != nil {
		return err
	}
	defer h.role.give()
	if h.role.woken.Swap(false) {
		return nil
	}
	err := h.sleep(deadline)
	h.role.woken.Store(false) // a Wake meanwhile has ended this Sleep
	if errors.Is(err, hal.ErrClosed) {
		return net.ErrClosed // the sleeper's word for it
	}
	return err
}

// Wake implements api.Driver.
func (h *Host) Wake() {
	h.role.woken.Store(true)
	h.sleeper.Wake()
}

// sleep waits, holding the role and not the turn, until a turn has something to
// do. The order of its steps is what makes it sound: first it says how long it
// is going to sleep, then it looks whether there is something to do already; who
// makes something to do looks in the opposite order (clock.Reset, rouse).
func (h *Host) sleep(deadline time.Time) error {
	until := int64(never)
	if !deadline.IsZero() {
		until = int64(deadline.Sub(h.clock.base))
	}
	defer h.clock.sleeping.Store(awake)
	for {
		h.clock.sleeping.Store(until)
		next := h.clock.next()
		if next >= until {
			break
		}
		until = next
	}
	if h.needsTurn() {
		return nil
	}
	var wake time.Time
	if until != never {
		wake = h.clock.time(until)
	}
	return h.sleeper.Wait(wake)
}

// rouse makes somebody run a turn: whoever sleeps for the host, or the owner.
func (h *Host) rouse() {
	h.sleeper.Wake()
	h.role.kickOwner()
}

// own is the background owner's goroutine.
func (h *Host) own() {
	defer close(h.owned)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var seen uint64
	for !h.role.isClosed() {
		uses, ok := h.role.takeOwner(seen)
		if !ok {
			h.role.rest(timer, seen)
			seen = uses
			h.help()
			continue
		}
		err := h.sleep(time.Time{})
		h.role.give()
		if err != nil {
			return // the sleeper is closed, and so is the host
		}
		h.Turn()
	}
}
