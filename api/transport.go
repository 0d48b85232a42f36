package api

import (
	"errors"
	"time"
)

// A Transport executes ops: the netstack of a host, the operating system's
// sockets, memory queues, or a sequencer in front of any of them. All methods
// are safe for concurrent use.
type Transport interface {
	// Submit starts op. It never blocks, and may complete op before it
	// returns. Ops of one socket and kind are executed in the order of Submit.
	// Faces call it with none of their own locks held.
	Submit(op *Op)

	// Cancel hastens the end of an op: if it is still pending it completes
	// with cause as its error; N says what was moved before. A late cancel
	// does nothing.
	Cancel(t Ticket, cause error)

	// Close completes every op, with net.ErrClosed unless it has a result
	// already, and then returns. Later ops complete at once with net.ErrClosed.
	// It is idempotent.
	Close() error
}

// A Driver is a transport that a waiting goroutine can drive itself, which
// spares the hand-over from the goroutine that received a packet to the one
// that wants it. Optional; without it a face only parks.
type Driver interface {
	// Turn runs one bounded turn: receive, process, execute, complete, send.
	// It returns false if somebody else is in a turn.
	Turn() bool

	// Sleep waits until a turn has something to do or until the deadline (the
	// zero time is none). It fails with ErrBusy if another caller of Sleep is
	// in it already, with ErrDeadlock if nothing can ever happen, and with
	// net.ErrClosed after Close. It may return early, for no reason.
	Sleep(deadline time.Time) error

	// Wake ends a Sleep, or the next one if there is none. It may be called
	// from anywhere, also from Done.
	Wake()
}

// Timers is a transport's own time, by which deadlines are kept. Optional;
// without it a face uses package time.
type Timers interface {
	Now() time.Time
	// AfterFunc calls f once, d from now, in a goroutine or under the
	// transport's lock: f may call Cancel, and does not block.
	AfterFunc(d time.Duration, f func()) Timer
}

// A Timer is a pending call of AfterFunc.
type Timer interface {
	// Stop prevents the call and reports whether it did.
	Stop() bool
}

// Errors of a Driver.
var (
	ErrBusy     = errors.New("api: another caller waits for the devices already")
	ErrDeadlock = errors.New("api: all wait and nothing can ever happen")
)
