package hal

import "time"

// A Sleeper waits for devices. It is the only way to wait: drivers never write
// a Wait of their own. One goroutine at a time may be in Wait; Wake and
// SetWritable may be called by any, and queues may be used meanwhile by whoever
// owns them.
//
// The trap: readiness is news. Whoever is about to sleep has called Rx, since
// the last Wait, until it returned 0 with loans to spare; and after a Tx or an
// Alloc that returned too little has called SetWritable(true). Whoever makes an
// earlier deadline or a delayed packet while another goroutine sleeps calls Wake.
type Sleeper interface {
	// Wait returns nil when there may be something to receive, when a
	// delayed packet is due, when the devices became writable while
	// SetWritable(true) holds, after Wake, after the deadline (the zero time
	// is none), or for no reason: the caller looks again. It fails with
	// ErrClosed after Close.
	//
	// What is ready before Wait is called is noticed: after arming, the
	// sleeper looks once more before it sleeps.
	Wait(deadline time.Time) error

	// Wake ends a Wait, or the next one if none is under way.
	Wake()

	// SetWritable says whether Wait should also return when a transmit half
	// can take more: true while there is a backlog, false otherwise.
	SetWritable(bool)

	// Close ends a Wait and frees what the sleeper holds. It does not close
	// the devices. It is idempotent.
	Close() error
}

// NewSleeper returns a sleeper for all halves of all queues of devs, which may be
// none. A device has one sleeper at a time.
//
// How a half is waited for is found through its wrappers ([As]): by its
// descriptor if it is [Pollable] (on Linux), by its function if it is a
// [Notifier], and else by looking: Wait then ends after a nap that grows from
// 20 µs to 1 ms, and shrinks back after a Wake, so a caller that found something
// to do calls Wake. If all halves that have to be looked at are a [Looker], Wait looks
// by itself and ends when there is something. A transmit half is waited for only while SetWritable(true)
// holds. What is [Pending] bounds every Wait. Where [Moderated] halves arrive too
// often, Wait naps before it looks; then Wake and Close end it after that nap.
//
// Where no descriptor is involved, Wait blocks on channels and timers only, so
// that it works in a testing/synctest bubble; the sleeper must be made in there.
// The first Wait returns at once: something may have arrived before.
func NewSleeper(devs ...Device) (Sleeper, error) {
	var h halves
	for _, d := range devs {
		if err := h.addDevice(d); err != nil {
			return nil, err
		}
	}
	return newSleeper(h)
}
