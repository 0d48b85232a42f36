package hal

import (
	"runtime"
	"time"
)

// lookSleeper waits for halves that are looked at: in naps that are as short as they
// say. Nothing ends a nap, so Wake and Close may be late by it, a millisecond at most.
type lookSleeper struct{ *chanSleeper }

// newChannelSleeper returns the sleeper for halves none of which has a descriptor.
func newChannelSleeper(h halves) Sleeper {
	s := newChanSleeper(h)
	if len(h.lookers) > 0 && !h.blind {
		return lookSleeper{s}
	}
	return s
}

func (s lookSleeper) Wait(deadline time.Time) error {
	for {
		select {
		case <-s.closed:
			return ErrClosed
		case <-s.bell:
			return nil
		default:
		}
		ready, nap := s.look()
		at := s.bound(deadline)
		if ready || !at.IsZero() && !time.Now().Before(at) {
			return nil
		}
		backlog := s.txPolled && s.writable.Load()
		if backlog {
			nap = min(nap, shortNap)
		}
		if s.rest(nap, at); backlog {
			return nil
		}
	}
}

// look asks every half, and returns after how long it has to be asked again.
func (s lookSleeper) look() (ready bool, nap time.Duration) {
	nap = longNap
	for _, l := range s.lookers {
		r, again := l.Look()
		ready, nap = ready || r, min(nap, again)
	}
	return ready, nap
}

// rest does nothing for a while, but not beyond a time, unless that is zero.
func (s lookSleeper) rest(nap time.Duration, at time.Time) {
	if nap <= 0 {
		runtime.Gosched()
		return
	}
	if !at.IsZero() {
		nap = min(nap, time.Until(at))
	}
	if nap > 0 {
		pause(nap)
	}
}
