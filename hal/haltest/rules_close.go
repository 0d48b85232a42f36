package haltest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ringtail-net/ringtail/hal"
)

var closeRules = []rule{
	{
		name: "close-twice",
		text: "Close is idempotent.",
		run: func(l *lab) {
			for i := range 3 {
				if err := l.dev.Close(); err != nil {
					l.Errorf("Close, call %d: %v", i+1, err)
				}
			}
		},
	},
	{
		name: "after-close",
		text: "After Close every call fails with ErrClosed, and releasing does nothing.",
		run: func(l *lab) {
			n, err := l.tx.Alloc(l.fs, minPacket)
			l.must(err)
			l.dev.abandon()
			l.must(l.dev.Close())
			burst := make([]hal.Frame, l.info.MaxChain)
			_, rxErr := l.rx.Rx(burst)
			_, allocErr := l.tx.Alloc(burst, minPacket)
			_, txErr := l.tx.Tx(l.fs[:n])
			_, _, queueErr := l.dev.Queue(0)
			errs := map[string]error{"Rx": rxErr, "Alloc": allocErr, "Tx": txErr, "Flush": l.tx.Flush(), "Queue": queueErr}
			if _, err := hal.NewSleeper(l.dev); true {
				errs["NewSleeper"] = err
			}
			if _, ok := hal.As[hal.Steerer](l.dev); ok {
				errs["SetLocal"] = hal.SetLocal(l.dev, hal.Local{})
			}
			for call, err := range errs {
				if !errors.Is(err, hal.ErrClosed) {
					l.Errorf("%s after Close: %v, want hal.ErrClosed", call, err)
				}
			}
			l.tx.Release(l.fs[:n])
			l.tx.Release(l.fs[:n])
			if got := l.dev.Info(); got.Driver != l.info.Driver {
				l.Errorf("Info after Close forgets the driver: %+v", got)
			}
		},
	},
	{
		name: "close-with-loans",
		text: "Close takes back every loan; the frames stay readable.",
		far:  true,
		run: func(l *lab) {
			l.must(l.farSend(1, minPacket))
			rx, held := l.hold(1)
			n, err := l.tx.Alloc(l.fs, minPacket)
			l.must(err)
			l.dev.abandon()
			l.must(l.dev.Close())
			sum := 0
			for _, f := range append(held[:len(held):len(held)], l.fs[:n]...) {
				for _, b := range f.Data {
					sum += int(b)
				}
			}
			l.Logf("%d received and %d allocated frames, bytes add up to %d", len(held), n, sum)
			rx.Release(held)
			l.tx.Release(l.fs[:n])
		},
	},
	{
		name: "close-wakes",
		text: "Close wakes whoever sleeps on the device.",
		run: func(l *lab) {
			asleep := make(chan struct{})
			done := l.sleepUntilClosed(l.sleeper(l.dev), l.rx, asleep)
			within(l, asleep, "the goroutine starts")
			l.must(l.dev.Close())
			within(l, done, "a sleeper notices Close")
		},
	},
	{
		name: "close-one-of-two",
		text: "A sleeper of two devices works on when one of them is closed.",
		far:  true,
		run: func(l *lab) {
			other := newLab(l.T, l.open(l.T), l.open)
			s := l.sleeper(other.dev, l.dev)
			l.must(other.dev.Close())
			s.SetWritable(true)
			s.SetWritable(false)
			for seq := range 20 {
				got := l.sleepUntil(s, l.in, seq)
				l.must(l.farSend(seq, minPacket))
				l.must(within(l, got, "a packet on the open device"))
			}
		},
	},
	{
		name: "close-beside",
		text: "Close may be called while both halves are in use.",
		run: func(l *lab) {
			l.dev.abandon()
			var wg sync.WaitGroup
			var started sync.WaitGroup
			started.Add(2)
			use := func(what string, f func() error) {
				wg.Go(func() {
					err := f()
					started.Done()
					for err == nil {
						err = f()
					}
					if !errors.Is(err, hal.ErrClosed) {
						l.Errorf("%s beside Close: %v, want hal.ErrClosed", what, err)
					}
				})
			}
			use("Rx", func() error {
				burst := make([]hal.Frame, l.info.MaxChain)
				n, err := l.rx.Rx(burst)
				l.rx.Release(burst[:n])
				return err
			})
			use("Tx", func() error {
				n, err := l.tx.Alloc(l.fs, minPacket)
				if err != nil {
					return fmt.Errorf("Alloc: %w", err)
				}
				fill(l.fs[:n], l.flow(l.toFar(), flowPort, 0, minPacket))
				sent, err := l.tx.Tx(l.fs[:n])
				l.tx.Release(l.fs[sent:n])
				return errors.Join(err, l.tx.Flush())
			})
			started.Wait()
			l.must(l.dev.Close())
			wg.Wait()
		},
	},
}
