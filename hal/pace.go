package hal

import "time"

// longPause bounds a nap between two wake-ups: Wake does not end it.
const longPause = time.Millisecond

// pace keeps wake-ups apart, as the interrupt moderation of a network card does.
// It belongs to the goroutine in Wait.
type pace struct {
	halves int           // receive halves that were added
	gap    time.Duration // the least time between two wake-ups; negative: do not sleep
	last   time.Time     // when Wait ended by itself
}

// add takes the wish of one more receive half into account.
func (p *pace) add(rx RxQueue) {
	gap := time.Duration(0)
	if m, ok := As[Moderated](rx); ok {
		gap = min(m.Moderation(), longPause)
	}
	switch {
	case p.halves == 0:
		p.gap = gap
	case p.gap < 0 && gap < 0, p.gap == 0:
	case p.gap < 0:
		p.gap = gap
	case gap >= 0:
		p.gap = min(p.gap, gap)
	}
	p.halves++
}

// spins reports whether nobody should sleep.
func (p *pace) spins() bool { return p.gap < 0 }

// hold naps if the last wake-up was a moment ago, but not beyond until, unless
// that is zero.
func (p *pace) hold(until time.Time, nap func(time.Duration)) {
	if p.gap <= 0 || p.last.IsZero() {
		return
	}
	now := time.Now()
	d := p.gap - now.Sub(p.last)
	if !until.IsZero() {
		d = min(d, until.Sub(now))
	}
	if d > 0 {
		nap(d)
	}
}

// woke notes that a wait has ended.
func (p *pace) woke() {
	if p.gap > 0 {
		p.last = time.Now()
	}
}
