package hal_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// guard ends a test that hangs; no test's success depends on it.
const guard = 20 * time.Second

// bare is a device of one queue with no abilities: it is polled.
type bare struct {
	rx hal.RxQueue
	tx hal.TxQueue
}

func (d *bare) Info() hal.Info { return hal.Info{Queues: 1} }
func (d *bare) Close() error   { return nil }
func (d *bare) Queue(int) (hal.RxQueue, hal.TxQueue, error) {
	return d.rx, d.tx, nil
}

// The halves of the devices below. Their queue methods are never called.
type (
	silentRx struct{ hal.RxQueue }
	silentTx struct{ hal.TxQueue }
	tellRx   struct {
		hal.RxQueue
		bell
	}
	tellTx struct {
		hal.TxQueue
		bell
	}
	pendingRx struct {
		tellRx
		at *time.Time
	}
)

func (p *pendingRx) Pending() (time.Time, bool) { return *p.at, true }

func notifying() (*bare, *bell, *bell) {
	rx, tx := new(tellRx), new(tellTx)
	return &bare{rx: rx, tx: tx}, &rx.bell, &tx.bell
}

func newSleeper(t *testing.T, devs ...hal.Device) hal.Sleeper {
	t.Helper()
	s, err := hal.NewSleeper(devs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ends(t, s, nil) // the first Wait returns at once
	return s
}

// ends expects Wait to return before the guard.
func ends(t *testing.T, s hal.Sleeper, want error) {
	t.Helper()
	select {
	case err := <-waiting(s):
		if !errors.Is(err, want) {
			t.Fatalf("Wait returned %v, want %v", err, want)
		}
	case <-time.After(guard):
		t.Fatal("Wait does not return")
	}
}

// waiting runs Wait without a deadline and returns where its result will be.
func waiting(s hal.Sleeper) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Wait(time.Time{}) }()
	return done
}

func TestChannelSleeper(t *testing.T) {
	// In a bubble "asleep" can be asserted: after synctest.Wait a goroutine
	// that has not returned is blocked for good.
	asleep := func(t *testing.T, done <-chan error) {
		t.Helper()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Wait returned %v, should sleep", err)
		default:
		}
	}
	awake := func(t *testing.T, done <-chan error, want error) {
		t.Helper()
		synctest.Wait()
		select {
		case err := <-done:
			if !errors.Is(err, want) {
				t.Fatalf("Wait returned %v, want %v", err, want)
			}
		default:
			t.Fatal("Wait sleeps, should have returned")
		}
	}
	tests := map[string]func(*testing.T){
		"wake before, once": func(t *testing.T) {
			d, _, _ := notifying()
			s := newSleeper(t, d)
			s.Wake()
			s.Wake()
			awake(t, waiting(s), nil)
			done := waiting(s)
			asleep(t, done)
			s.Wake()
			awake(t, done, nil)
		},
		"receive half": func(t *testing.T) {
			d, rx, _ := notifying()
			s := newSleeper(t, d)
			done := waiting(s)
			asleep(t, done)
			rx.ringIt()
			awake(t, done, nil)
			rx.ringIt() // before Wait
			awake(t, waiting(s), nil)
		},
		"second device": func(t *testing.T) {
			a, _, _ := notifying()
			b, rx, _ := notifying()
			done := waiting(newSleeper(t, a, b))
			asleep(t, done)
			rx.ringIt()
			awake(t, done, nil)
		},
		"transmit half": func(t *testing.T) {
			d, _, tx := notifying()
			s := newSleeper(t, d)
			done := waiting(s)
			tx.ringIt()
			asleep(t, done)
			s.SetWritable(true)
			awake(t, done, nil) // the ring above may have been the one
			done = waiting(s)
			s.SetWritable(true)
			asleep(t, done)
			tx.ringIt()
			awake(t, done, nil)
			s.SetWritable(false)
			done = waiting(s)
			tx.ringIt()
			asleep(t, done)
			s.Wake()
			awake(t, done, nil)
		},
		"deadline": func(t *testing.T) {
			d, _, _ := notifying()
			s := newSleeper(t, d)
			start := time.Now()
			for range 3 { // the timer is used again
				start = start.Add(time.Hour)
				if err := s.Wait(start); err != nil || !time.Now().Equal(start) {
					t.Fatalf("Wait returned %v at %v, want nil at %v", err, time.Now(), start)
				}
			}
			if err := s.Wait(start.Add(-time.Hour)); err != nil || !time.Now().Equal(start) {
				t.Fatal("a deadline in the past does not end Wait at once")
			}
			s.Wake()
			if s.Wait(start.Add(time.Hour)); !time.Now().Equal(start) {
				t.Fatal("Wait with a deadline does not notice Wake")
			}
		},
		"pending": func(t *testing.T) {
			start := time.Now()
			at := start.Add(time.Minute)
			s := newSleeper(t, &bare{rx: &pendingRx{at: &at}, tx: new(tellTx)})
			s.Wait(start.Add(time.Hour))
			if got := time.Since(start); got != time.Minute {
				t.Fatalf("a packet due in a minute ended Wait after %v", got)
			}
			at = time.Time{}
			if s.Wait(start.Add(time.Hour)); time.Since(start) != time.Minute {
				t.Fatal("Pending with the zero time does not end Wait at once")
			}
			at = start.Add(time.Hour)
			if s.Wait(start.Add(2 * time.Minute)); time.Since(start) != 2*time.Minute {
				t.Fatal("a pending packet puts off the deadline")
			}
		},
		"polled": func(t *testing.T) {
			s := newSleeper(t, &bare{rx: silentRx{}, tx: silentTx{}})
			naps := func(n int) (d time.Duration) {
				for range n {
					start := time.Now()
					s.Wait(time.Time{})
					d = time.Since(start)
				}
				return d
			}
			if d := naps(1); d != 20*time.Microsecond {
				t.Fatalf("the first nap is %v", d)
			}
			if d := naps(20); d != time.Millisecond {
				t.Fatalf("the longest nap is %v", d)
			}
			s.Wake()
			naps(1)
			if d := naps(1); d != 20*time.Microsecond {
				t.Fatalf("after a Wake a nap is %v", d)
			}
		},
		"polled transmit half": func(t *testing.T) {
			s := newSleeper(t, &bare{rx: new(tellRx), tx: silentTx{}})
			done := waiting(s)
			asleep(t, done)
			s.SetWritable(true)
			awake(t, done, nil)
			if err := s.Wait(time.Time{}); err != nil { // ends by itself
				t.Fatal(err)
			}
		},
		"close": func(t *testing.T) {
			d, rx, _ := notifying()
			s := newSleeper(t, d)
			done := waiting(s)
			asleep(t, done)
			s.Close()
			awake(t, done, hal.ErrClosed)
			s.Close()
			s.Wake()
			s.SetWritable(true)
			awake(t, waiting(s), hal.ErrClosed)
			if rx.f.Load() != nil {
				t.Fatal("the device still calls a closed sleeper")
			}
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
}

// lookedRx has to be looked at, and says whether it is worth it.
type lookedRx struct {
	silentRx
	again time.Duration
	looks atomic.Int64
	ready func(looks int64) bool
}

func (r *lookedRx) Look() (bool, time.Duration) {
	return r.ready(r.looks.Add(1)), r.again
}

func never(int64) bool { return false }

// A half that says itself whether there is something is looked at until there is:
// in naps of any length, and by spinning.
func TestLookedAt(t *testing.T) {
	for _, again := range []time.Duration{-1, 0, 1, 20 * time.Microsecond, time.Millisecond, time.Hour} {
		rx := &lookedRx{again: again, ready: func(n int64) bool { return n%10 == 0 }}
		s := newSleeper(t, &bare{rx: rx, tx: silentTx{}})
		for i := range int64(5) {
			ends(t, s, nil)
			if got := rx.looks.Load(); got != 10*(i+1) {
				t.Errorf("again=%v: Wait ended after %d looks, want %d", again, got, 10*(i+1))
			}
		}
	}
}

// Whoever sleeps by looking hears of Wake, deadlines, a backlog and Close.
func TestLookedAtInVain(t *testing.T) {
	for _, again := range []time.Duration{-1, 20 * time.Microsecond, time.Hour} {
		s := newSleeper(t, &bare{rx: &lookedRx{again: again, ready: never}, tx: silentTx{}})
		done := waiting(s)
		s.Wake()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.Wake()
		ends(t, s, nil)
		for range 3 {
			if err := s.Wait(time.Now().Add(3 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		s.SetWritable(true)
		for range 10 {
			ends(t, s, nil)
		}
		s.SetWritable(false)
		done = waiting(s)
		s.Close()
		if err := <-done; !errors.Is(err, hal.ErrClosed) {
			t.Errorf("again=%v: Wait beside Close: %v", again, err)
		}
		ends(t, s, hal.ErrClosed)
	}
}

// One half that does not say it makes all of them be polled by turns.
func TestLookedAtBesideOthers(t *testing.T) {
	s := newSleeper(t, &bare{rx: &lookedRx{again: time.Hour, ready: never}, tx: silentTx{}}, &bare{rx: silentRx{}, tx: silentTx{}})
	for range 10 {
		ends(t, s, nil)
	}
}
