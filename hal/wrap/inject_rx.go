package wrap

import (
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// injectRx is the receive half of an [Injector].
type injectRx struct {
	*lane
	inner  hal.RxQueue
	frames []hal.Frame // for a burst of the device
	todo   []hal.Frame // the part of frames that is not in the hold yet
}

var (
	_ hal.RxQueue = (*injectRx)(nil)
	_ hal.Pending = (*injectRx)(nil)
)

// Unwrap returns the half without faults.
func (r *injectRx) Unwrap() hal.RxQueue { return r.inner }

// Rx gives what is due. It takes from the device only what it needs for that.
func (r *injectRx) Rx(fs []hal.Frame) (int, error) {
	switch {
	case r.dev.closed.Load():
		return 0, hal.ErrClosed
	case len(fs) == 0:
		return 0, hal.ErrShortBurst
	}
	now := r.dev.now()
	for n := 0; ; {
		n += r.due(fs[n:], now)
		if n == len(fs) || r.loans.left() == 0 {
			return n, nil
		}
		more, err := r.fetch(now)
		if !more {
			if n > 0 {
				err = nil // it comes again
			}
			return n, err
		}
	}
}

// due lends packets whose time has come.
func (r *injectRx) due(fs []hal.Frame, now time.Time) int {
	n := 0
	for n < len(fs) && r.loans.left() > 0 {
		p, ok := r.hold.pop(now)
		if !ok {
			break
		}
		fs[n] = r.loans.lend(p.packet, 0)
		fs[n].Meta.CsumValid = p.valid
		r.passed(len(p.packet))
		n++
	}
	return n
}

// fetch moves a burst from the device into the hold, or what was left of the
// last one. It returns false if there is none, or no room.
func (r *injectRx) fetch(now time.Time) (more bool, err error) {
	if r.hold.full() {
		return false, nil
	}
	if len(r.todo) == 0 {
		n, err := r.inner.Rx(r.frames)
		if n == 0 {
			return false, err
		}
		r.todo = r.frames[:n]
		r.waiting.Store(int64(packets(r.todo)))
	}
	for len(r.todo) > 0 {
		chain := r.todo[:hal.ChainLen(r.todo)]
		if !r.absorb(chain, now) {
			return true, nil // what is in the hold may be due
		}
		r.inner.Release(chain)
		r.waiting.Add(-1)
		r.todo = r.todo[len(chain):]
	}
	return true, nil
}

// Release takes buffers back.
func (r *injectRx) Release(fs []hal.Frame) {
	for i := range fs {
		if buf := r.loans.back(&fs[i]); buf != nil {
			r.bufs.give(buf)
		}
	}
}
