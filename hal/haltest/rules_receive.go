package haltest

import (
	"errors"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

var receiveRules = []rule{
	{
		name: "receive",
		text: "A packet of any length up to the MTU is received as it was sent.",
		far:  true,
		run: func(l *lab) {
			for seq, size := range l.sizes() {
				l.must(l.farSend(seq, size))
				l.want(seq, size)
			}
		},
	},
	{
		name: "receive-order",
		text: "The packets of a flow are received in their order, whichever queue it is on.",
		far:  true,
		run: func(l *lab) {
			const rounds, flows = 16, 8
			for r := range rounds {
				for f := range flows {
					for i := range window / 2 {
						l.must(l.far.Send(l.flow(l.toDev(), flowPort+uint16(f), r*window/2+i, minPacket)))
					}
					for i := range window / 2 {
						l.wantOf(flowPort+uint16(f), r*window/2+i)
					}
				}
			}
		},
	},
	{
		name: "nothing",
		text: "Rx returns 0 and no error when nothing has arrived.",
		run: func(l *lab) {
			l.must(eventually(func() (bool, error) {
				n, err := l.in.poll()
				return n == 0, err
			}))
		},
	},
	{
		name: "short-burst",
		text: "Rx with room for fewer than Info.MaxChain frames fails with ErrShortBurst.",
		run: func(l *lab) {
			if n, err := l.rx.Rx(l.fs[:l.info.MaxChain-1]); n != 0 || !errors.Is(err, hal.ErrShortBurst) {
				l.Errorf("Rx of %d frames = %d, %v, want 0, hal.ErrShortBurst", l.info.MaxChain-1, n, err)
			}
			l.works(1)
		},
	},
	{
		name: "chains",
		text: "Rx with room for Info.MaxChain frames makes progress, and never splits a packet.",
		far:  true,
		run: func(l *lab) {
			l.in.burst = l.in.burst[:l.info.MaxChain]
			for seq := 0; seq < 30; seq += 3 {
				sizes := []int{minPacket, l.packetMax(), minPacket}
				for i, size := range sizes {
					l.must(l.farSend(seq+i, size))
				}
				for i, size := range sizes {
					l.want(seq+i, size)
				}
			}
		},
	},
	{
		name: "loans",
		text: "A queue lends Info.Loans frames at most, and receives again when some come back.",
		far:  true,
		run:  loansExhausted,
	},
	{
		name: "release",
		text: "Received frames may be released in any order, in pieces or at once.",
		far:  true,
		run: func(l *lab) {
			for r := range 64 { // a leak would show
				for i := range window {
					l.must(l.farSend(r*window+i, minPacket))
				}
				rx, held := l.hold(window)
				rx.Release(held[1:2])
				rx.Release(held[2:])
				rx.Release(held[:1])
				rx.Release(nil)
			}
		},
	},
	{
		name: "both-ways",
		text: "The halves of a queue have an owner each, and work at the same time.",
		far:  true,
		run:  bothWays,
	},
}

// hold receives until a queue, whichever the flow is on, has lent n frames. What
// other queues gave is noise.
func (l *lab) hold(n int) (hal.RxQueue, []hal.Frame) {
	l.Helper()
	held := make([][]hal.Frame, len(l.in.rx))
	full := -1
	l.must(eventually(func() (bool, error) {
		for i, rx := range l.in.rx {
			burst := make([]hal.Frame, max(window, l.info.MaxChain))
			got, err := rx.Rx(burst)
			if err != nil {
				return false, err
			}
			if held[i] = append(held[i], burst[:got]...); len(held[i]) >= n {
				full = i
				return true, nil
			}
		}
		return false, nil
	}))
	for i, rx := range l.in.rx {
		if i != full {
			rx.Release(held[i])
		}
	}
	return l.in.rx[full], held[full]
}

// wantOf expects packet seq of one flow among several.
func (l *lab) wantOf(port uint16, seq int) {
	l.Helper()
	got := -1
	err := eventually(func() (bool, error) {
		if _, err := l.in.poll(); err != nil {
			return false, err
		}
		for {
			a, ok := l.in.pop()
			if !ok {
				return false, nil
			}
			if got, ok = l.seqOf(l.toDev(), port, a.data, a.meta); ok {
				return true, nil
			}
		}
	})
	if err != nil || got != seq {
		l.Fatalf("flow to port %d: received packet %d, %v, want packet %d", port, got, err, seq)
	}
}

// loansExhausted holds what it receives until no more comes.
func loansExhausted(l *lab) {
	n := l.info.Loans + window
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if err := l.farSend(i, minPacket); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	held := make([][]hal.Frame, len(l.in.rx))
	burst := make([]hal.Frame, max(32, l.info.MaxChain))
	hold := func() (more bool) {
		for i, rx := range l.in.rx {
			n, err := rx.Rx(burst)
			l.must(err)
			held[i] = append(held[i], burst[:n]...)
			more = more || n > 0
		}
		return more
	}
	for done := false; !done; {
		select {
		case err := <-sent:
			l.must(err)
			done = true
		default:
			hold()
		}
	}
	for hold() {
	}
	for i, rx := range l.in.rx {
		rx.Release(held[i])
	}
	// What the device held back comes first: it may have room for no more.
	for more := 1; more > 0; {
		var err error
		more, err = l.in.poll()
		l.must(err)
	}
	go func() { sent <- l.farSend(n, minPacket) }()
	for last := -1; last < n; {
		seq, _, err := l.recv()
		if err != nil {
			l.Fatalf("nothing is received after all loans were returned: %v; %+v", err, hal.StatsOf(l.dev))
		}
		if seq <= last {
			l.Errorf("packet %d was received after packet %d", seq, last)
		}
		last = seq
	}
	l.must(within(l, sent, "the last packet"))
}

// bothWays keeps both directions busy from four goroutines. Each sender stays
// within a window of its receiver, so that nothing has to be lost.
func bothWays(l *lab) {
	const n = 500
	var atFar, atDev atomic.Int64
	errs := make(chan error, 4)
	ahead := func(i int, got *atomic.Int64) error {
		return eventually(func() (bool, error) { return int64(i) < got.Load()+window, nil })
	}
	run := func(f func(i int) error) {
		go func() {
			for i := range n {
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	run(func(i int) error { return errors.Join(ahead(i, &atFar), l.send(i, minPacket+i)) })
	run(func(i int) error { return errors.Join(ahead(i, &atDev), l.farSend(i, minPacket+i)) })
	run(func(i int) error {
		seq, _, err := l.farRecv()
		atFar.Add(1)
		return inOrder(i, seq, err)
	})
	run(func(i int) error {
		seq, _, err := l.recv()
		atDev.Add(1)
		return inOrder(i, seq, err)
	})
	for range 4 {
		l.must(within(l, errs, "packets both ways"))
	}
}
