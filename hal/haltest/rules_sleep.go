package haltest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

var sleepRules = []rule{
	{
		name: "sleep-receive",
		text: "Whoever sleeps on the device wakes when a packet arrives.",
		far:  true,
		run: func(l *lab) {
			s := l.sleeper(l.dev)
			for seq := range 200 {
				got := l.sleepUntil(s, l.in, seq)
				l.must(l.farSend(seq, minPacket))
				l.must(within(l, got, "a sleeping receiver gets a packet"))
			}
		},
	},
	{
		name: "sleep-beside",
		text: "Rx works while another goroutine sleeps on the device.",
		far:  true,
		run: func(l *lab) {
			s := l.sleeper(l.dev)
			ended := make(chan error, 1)
			go func() {
				err := error(nil)
				for err == nil {
					err = s.Wait(time.Time{})
				}
				ended <- err
			}()
			for seq := range 200 {
				l.must(l.farSend(seq, minPacket))
				l.want(seq, minPacket)
				l.must(l.send(seq, minPacket))
				l.farWant(seq, minPacket)
			}
			s.Close()
			if err := within(l, ended, "Close of the sleeper"); !errors.Is(err, hal.ErrClosed) {
				l.Errorf("Wait ended with %v, want hal.ErrClosed", err)
			}
		},
	},
	{
		name: "wake",
		text: "Wake ends a Wait that is under way, or the next one; no Wake is lost.",
		run: func(l *lab) {
			s := l.sleeper(l.dev)
			var ask, answer atomic.Int64
			ended := make(chan error, 1)
			const n = 1000
			go func() {
				for answer.Load() < n {
					if err := s.Wait(time.Time{}); err != nil {
						ended <- err
						return
					}
					answer.Store(ask.Load())
				}
				ended <- nil
			}()
			for i := range int64(n) {
				ask.Store(i + 1)
				s.Wake()
				l.must(eventually(func() (bool, error) { return answer.Load() == i+1, nil }))
			}
			l.must(within(l, ended, "the last Wake"))
		},
	},
	{
		name: "deadline",
		text: "Wait returns when its deadline has passed, again and again.",
		run: func(l *lab) {
			s := l.sleeper(l.dev)
			ended := make(chan error, 1)
			go func() {
				for range 5 {
					for d := time.Now().Add(5 * time.Millisecond); time.Now().Before(d); {
						if err := s.Wait(d); err != nil {
							ended <- err
							return
						}
					}
				}
				ended <- s.Wait(time.Now().Add(-time.Hour))
			}()
			l.must(within(l, ended, "deadlines"))
		},
	},
	{
		name: "two-devices",
		text: "One sleeper wakes for the packets of either of its devices.",
		far:  true,
		run: func(l *lab) {
			other := newLab(l.T, l.open(l.T), l.open)
			s := l.sleeper(l.dev, other.dev)
			for seq := range 50 {
				got := l.sleepUntil(s, l.in, seq)
				l.must(l.farSend(seq, minPacket))
				l.must(within(l, got, "a packet on the first device"))
				got = other.sleepUntil(s, other.in, seq)
				l.must(other.farSend(seq, minPacket))
				l.must(within(l, got, "a packet on the second device"))
			}
		},
	},
	{
		name: "sleep-writable",
		text: "Whoever sleeps with a backlog wakes when a full device can take more.",
		far:  true,
		run:  sleepWritable,
	},
}

// sleepUntil lets a goroutine sleep until it has received packet seq.
func (l *lab) sleepUntil(s hal.Sleeper, in *inbox, seq int) <-chan error {
	done := make(chan error, 1)
	go func() {
		for {
			for more := true; more; { // until Rx says 0: only then may one sleep
				n, err := in.poll()
				if err != nil {
					done <- err
					return
				}
				more = n > 0
			}
			for a, ok := in.pop(); ok; a, ok = in.pop() {
				if got, ours := l.seqOf(l.toDev(), flowPort, a.data, a.meta); ours {
					done <- inOrder(seq, got, nil)
					return
				}
			}
			if err := s.Wait(time.Time{}); err != nil {
				done <- err
				return
			}
		}
	}()
	return done
}

func inOrder(want, got int, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("received packet %d, want packet %d", got, want)
	}
	return err
}

// sleepUntilClosed lets a goroutine sleep until the device is closed. What the
// device receives by itself it gives back; at the moment of Close it may have it
// in its hands.
func (l *lab) sleepUntilClosed(s hal.Sleeper, rx hal.RxQueue, asleep chan<- struct{}) <-chan struct{} {
	l.dev.abandon()
	done := make(chan struct{})
	fs := make([]hal.Frame, max(32, l.info.MaxChain))
	go func() {
		close(asleep)
		for s.Wait(time.Time{}) == nil {
			n, err := rx.Rx(fs)
			rx.Release(fs[:n])
			if errors.Is(err, hal.ErrClosed) {
				close(done)
				return
			}
		}
	}()
	return done
}

// sleepWritable fills the device, and sleeps until the far end has read.
func sleepWritable(l *lab) {
	chain := l.fillUp()
	if chain == nil {
		l.Skip("the device never becomes full: what is sent goes on, or is lost, by itself")
	}
	s := l.sleeper(l.dev)
	s.SetWritable(true)
	done := make(chan error, 1)
	go func() {
		for len(chain) > 0 {
			if err := s.Wait(time.Time{}); err != nil {
				done <- err
				return
			}
			n, err := l.tx.Tx(chain)
			if err := errors.Join(err, l.tx.Flush()); err != nil {
				done <- err
				return
			}
			chain = chain[n:]
		}
		s.SetWritable(false)
		done <- nil
	}()
	l.drainFar(done)
}

// fillUp sends until the device takes no more, and returns a packet that it did
// not take; nil if that does not happen.
func (l *lab) fillUp() []hal.Frame {
	for seq := range 1 << 14 {
		n, err := l.tx.Alloc(l.fs, l.packetMax())
		l.must(err)
		if n == 0 { // it has no memory for what it has not sent yet
			return nil
		}
		fill(l.fs[:n], l.flow(l.toFar(), flowPort, seq, l.packetMax()))
		sent, err := l.tx.Tx(l.fs[:n])
		l.must(errors.Join(err, l.tx.Flush()))
		if sent < n {
			return append([]hal.Frame(nil), l.fs[sent:n]...)
		}
	}
	return nil
}
