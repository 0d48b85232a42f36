package hal

import (
	"sync"
	"sync/atomic"
	"time"
)

// chanSleeper waits on channels only. Its bell is a channel of one token, and
// that is the whole argument against lost wake-ups: a token put in before Wait
// is found by Wait, one put in during Wait ends it, and if the bell holds one
// already then a Wait that will look again is certain.
type chanSleeper struct {
	halves
	bell   chan struct{}
	closed chan struct{}
	once   sync.Once
	timer  *time.Timer // of the goroutine in Wait, made there: it belongs to its bubble
}

func newChanSleeper(h halves) *chanSleeper {
	h.writable = new(atomic.Bool)
	s := &chanSleeper{halves: h, bell: make(chan struct{}, 1), closed: make(chan struct{})}
	s.listen(s.Wake)
	return s
}

func (s *chanSleeper) Wake() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// SetWritable wakes when it is switched on: a transmit half that became writable
// after the caller found it full, and before this call, has told nobody.
func (s *chanSleeper) SetWritable(on bool) {
	if !s.writable.Swap(on) && on {
		s.Wake()
	}
}

func (s *chanSleeper) Wait(deadline time.Time) error {
	select {
	case <-s.closed:
		return ErrClosed
	default:
	}
	var due <-chan time.Time
	if at := s.until(deadline); !at.IsZero() {
		d := time.Until(at)
		if d <= 0 {
			return nil
		}
		due = s.start(d)
		defer s.timer.Stop()
	}
	select {
	case <-s.bell:
		s.nap = 0
	case <-due:
	case <-s.closed:
		return ErrClosed
	}
	return nil
}

func (s *chanSleeper) start(d time.Duration) <-chan time.Time {
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	return s.timer.C
}

func (s *chanSleeper) Close() error {
	s.once.Do(func() {
		s.leave()
		close(s.closed)
	})
	return nil
}
