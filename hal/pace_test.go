package hal

import (
	"testing"
	"testing/synctest"
	"time"
)

// moderatedRx asks for a time between wake-ups.
type moderatedRx struct {
	RxQueue
	gap time.Duration
}

func (m moderatedRx) Moderation() time.Duration { return m.gap }

// A sleeper naps, or spins, only if nobody minds.
func TestPaceOfSeveral(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		gaps []time.Duration // 0: does not ask at all
		want time.Duration
	}{
		{nil, 0},
		{[]time.Duration{0}, 0},
		{[]time.Duration{50 * us}, 50 * us},
		{[]time.Duration{50 * us, 20 * us}, 20 * us},
		{[]time.Duration{20 * us, 50 * us, 0}, 0},
		{[]time.Duration{0, 20 * us}, 0},
		{[]time.Duration{-1}, -1},
		{[]time.Duration{-1, -1}, -1},
		{[]time.Duration{-1, 50 * us}, 50 * us},
		{[]time.Duration{50 * us, -1}, 50 * us},
		{[]time.Duration{-1, 0}, 0},
		{[]time.Duration{0, -1}, 0},
		{[]time.Duration{time.Hour}, longPause},
	} {
		var p pace
		for _, gap := range c.gaps {
			if gap == 0 {
				p.add(nil)
			} else {
				p.add(moderatedRx{gap: gap})
			}
		}
		if p.gap != c.want || p.spins() != (c.want < 0) {
			t.Errorf("halves that ask for %v: %v, spins %v, want %v", c.gaps, p.gap, p.spins(), c.want)
		}
	}
}

// Two wake-ups are at least the gap apart, but no deadline is missed, and after a
// quiet time nobody naps.
func TestPaceHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gap = 100 * time.Microsecond
		p := pace{gap: gap}
		napped := func(until time.Time) (d time.Duration) {
			p.hold(until, func(nap time.Duration) { d = nap })
			return d
		}
		never := time.Time{}
		if d := napped(never); d != 0 {
			t.Errorf("a nap of %v before the first wake-up", d)
		}
		p.woke()
		if d := napped(never); d != gap {
			t.Errorf("a nap of %v at once after a wake-up, want %v", d, gap)
		}
		time.Sleep(30 * time.Microsecond)
		if d := napped(never); d != 70*time.Microsecond {
			t.Errorf("a nap of %v, want the rest of %v", d, gap)
		}
		if d := napped(time.Now().Add(time.Microsecond)); d != time.Microsecond {
			t.Errorf("a nap of %v, and the deadline is in 1µs", d)
		}
		if d := napped(past); d > 0 {
			t.Errorf("a nap of %v after the deadline", d)
		}
		time.Sleep(gap)
		if d := napped(never); d != 0 {
			t.Errorf("a nap of %v after a quiet time", d)
		}
		p = pace{}
		p.woke()
		if d := napped(never); d != 0 {
			t.Errorf("a nap of %v that nobody asked for", d)
		}
	})
}
