package haltest

import (
	"strings"

	"github.com/ringtail-net/ringtail/hal"
)

var infoRules = []rule{
	{
		name: "info",
		text: "Info describes the device completely and without contradiction.",
		run: func(l *lab) {
			i := l.info
			check := func(ok bool, what string) {
				if !ok {
					l.Errorf("%s: %+v", what, i)
				}
			}
			check(i.Driver != "", "no driver name")
			check(i.MAC != (hal.MAC{}) && !i.MAC.IsMulticast(), "the MAC is not a unicast address")
			check(i.MTU >= 68, "an MTU below 68 (RFC 791)")
			check(i.Queues >= 1, "no queue")
			check(i.MaxChain >= 1, "MaxChain below 1")
			check(i.Loans >= i.MaxChain, "fewer loans than a packet can need")
			check(i.Headroom >= 0, "negative headroom")
			super := hal.TSO4 | hal.TSO6 | hal.USO
			check(i.TxOffloads&super == 0 || i.TxOffloads&hal.Csum != 0, "super-frames without Csum, which they always need")
			check(i.TxOffloads&super == 0 || i.GSOMax > l.packetMax(), "super-frames, but GSOMax is no longer than a packet")
		},
	},
	{
		name: "queues",
		text: "Queue returns the same halves in every call, and an error for a number out of range.",
		run: func(l *lab) {
			for i := range l.info.Queues {
				for range 2 { // Watched compares
					if rx, tx, err := l.dev.Queue(i); err != nil || rx == nil || tx == nil {
						l.Errorf("Queue(%d) = %v, %v, %v", i, rx, tx, err)
					}
				}
			}
			for _, i := range []int{-1, l.info.Queues} {
				if _, _, err := l.dev.Queue(i); err == nil {
					l.Errorf("Queue(%d) succeeds, the device has %d", i, l.info.Queues)
				}
			}
		},
	},
	{
		name: "stats",
		text: "A device that counts, counts every packet and its bytes once, and has a name for every drop.",
		far:  true,
		run: func(l *lab) {
			if _, ok := hal.As[hal.Counting](l.dev); !ok {
				l.Skip("the device does not count")
			}
			before := hal.StatsOf(l.dev)
			const n, size = 10, 100
			for i := range n {
				l.must(l.send(i, size))
				l.farWant(i, size)
				l.must(l.farSend(i, size))
				l.want(i, size)
			}
			after := hal.StatsOf(l.dev)
			// A noisy link may have more, never less.
			if after.TxPackets != before.TxPackets+n || after.TxBytes != before.TxBytes+n*size {
				l.Errorf("sent %d packets of %d bytes, counted %d and %d bytes", n, size, after.TxPackets-before.TxPackets, after.TxBytes-before.TxBytes)
			}
			if after.RxPackets < before.RxPackets+n || after.RxBytes < before.RxBytes+n*size {
				l.Errorf("received %d packets of %d bytes, counted %d and %d bytes", n, size, after.RxPackets-before.RxPackets, after.RxBytes-before.RxBytes)
			}
			for name := range after.Drops {
				if name != strings.ToLower(name) || !strings.HasPrefix(name, "rx-") && !strings.HasPrefix(name, "tx-") {
					l.Errorf("drop reason %q: must be lower case, and begin with the direction", name)
				}
				if _, ok := before.Drops[name]; !ok {
					l.Errorf("drop reason %q was not there while it was zero", name)
				}
			}
		},
	},
	{
		name: "wrapped",
		text: "What a device and its halves can do is found through wrappers, and works through them.",
		run: func(l *lab) {
			outer := &wrapped{&wrapped{l.dev}}
			same[hal.Steerer](l, outer, l.dev)
			same[hal.Counting](l, outer, l.dev)
			rx, tx, err := outer.Queue(0)
			l.must(err)
			same[hal.Pollable](l, rx, l.rx)
			same[hal.Pollable](l, tx, l.tx)
			same[hal.Moderated](l, rx, l.rx)
			same[hal.Notifier](l, rx, l.rx)
			same[hal.Notifier](l, tx, l.tx)
			s := l.sleeper(outer)
			asleep := make(chan struct{})
			done := l.sleepUntilClosed(s, rx, asleep)
			within(l, asleep, "the goroutine starts")
			l.must(l.dev.Close())
			within(l, done, "a sleeper of a wrapped device notices Close")
		},
	},
}

// same expects an ability to be found through wrappers if it is there at all.
func same[T comparable](l *lab, outer, inner any) {
	l.Helper()
	want, ok := hal.As[T](inner)
	if got, found := hal.As[T](outer); found != ok || got != want {
		l.Errorf("%T is found in the device: %v; through a wrapper: %v", want, ok, found)
	}
}

// wrapped is a wrapper that changes nothing.
type wrapped struct{ hal.Device }

type wrappedRx struct{ hal.RxQueue }

type wrappedTx struct{ hal.TxQueue }

func (w *wrapped) Unwrap() hal.Device    { return w.Device }
func (w *wrappedRx) Unwrap() hal.RxQueue { return w.RxQueue }
func (w *wrappedTx) Unwrap() hal.TxQueue { return w.TxQueue }
func (w *wrapped) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := w.Device.Queue(i)
	return &wrappedRx{rx}, &wrappedTx{tx}, err
}
