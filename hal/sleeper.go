package hal

import "time"

// A Sleeper waits for devices. It is the only way to wait: drivers never write
// a Wait of their own. One goroutine at a time may be in Wait; Wake and
// SetWritable may be called by any, and queues may be used meanwhile by whoever
// owns them.
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
