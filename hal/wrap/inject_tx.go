package wrap

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// retryAfter is when a half with a packet that the device did not take tries
// again, unless the user comes before: the user may have nothing more to send,
// and then does not ask whether the device is writable.
const retryAfter = time.Millisecond

// injectTx is the transmit half of an [Injector]. A packet goes from the user's
// frame (todo) through the lane into the hold, and when it is due into frames of
// the device (staged), a burst of which is then sent.
type injectTx struct {
	*lane
	inner    hal.TxQueue
	headroom int

	todo    []hal.Frame // a packet of which a part is not in the hold yet
	todoBuf []byte      // its buffer
	slot    [1]hal.Frame

	frames  []hal.Frame // of the device
	used    int         // how many of them are filled
	staged  []held      // the packets in them
	blocked bool        // the device takes less than is due
	refused bool        // the user was told that there is no room

	notify atomic.Pointer[func()]
}

var (
	_ hal.TxQueue  = (*injectTx)(nil)
	_ hal.Pending  = (*injectTx)(nil)
	_ hal.Notifier = (*injectTx)(nil)
)

// Unwrap returns the half without faults.
func (t *injectTx) Unwrap() hal.TxQueue { return t.inner }

// Notify sets what is called when there is room again, here or in the device.
func (t *injectTx) Notify(f func()) {
	if f == nil {
		t.notify.Store(nil)
	} else {
		t.notify.Store(&f)
	}
	if n, ok := hal.As[hal.Notifier](t.inner); ok {
		n.Notify(f)
	}
}

func (t *injectTx) wake() {
	if f := t.notify.Load(); f != nil {
		(*f)()
	}
}

// Alloc lends memory of the Injector.
func (t *injectTx) Alloc(fs []hal.Frame, size int) (int, error) {
	switch {
	case t.dev.closed.Load():
		return 0, hal.ErrClosed
	case len(fs) == 0:
		return 0, hal.ErrShortBurst
	case size > longestSuper:
		return 0, hal.ErrTooLong
	}
	if err := t.makeRoom(); err != nil || t.refused || t.loans.left() == 0 {
		return 0, err
	}
	fs[0] = t.loans.lend(t.bufs.take(t.headroom+size), t.headroom)
	return 1, nil
}

// Tx takes packets, and gives on what is due.
func (t *injectTx) Tx(fs []hal.Frame) (int, error) {
	if t.dev.closed.Load() {
		return 0, hal.ErrClosed
	}
	now := t.dev.now()
	n, err := 0, t.makeRoom()
	for err == nil && n < len(fs) && !t.refused {
		n += t.take(fs[n:], now)
		err = t.stage(now)
		t.refused = !t.room() && n < len(fs)
	}
	return n, errors.Join(err, t.ship())
}

// Flush gives on what is due, and rings the device's doorbell.
func (t *injectTx) Flush() error {
	if t.dev.closed.Load() {
		return hal.ErrClosed
	}
	if err := t.advance(); err != nil {
		return err
	}
	if t.refused && t.room() {
		t.refused = false
		t.wake()
	}
	return t.inner.Flush()
}

// Release takes buffers back.
func (t *injectTx) Release(fs []hal.Frame) {
	for i := range fs {
		if buf := t.loans.back(&fs[i]); buf != nil {
			t.bufs.give(buf)
		}
	}
}

// room reports whether a packet may be taken.
func (t *injectTx) room() bool { return !t.blocked && len(t.todo) == 0 && !t.hold.full() }

// makeRoom tries to have room, and notes whether the user has to be refused.
func (t *injectTx) makeRoom() (err error) {
	if !t.room() {
		err = t.advance()
	}
	t.refused = !t.room()
	return err
}

// advance gives on what is due now.
func (t *injectTx) advance() error {
	err := t.stage(t.dev.now())
	return errors.Join(err, t.ship())
}

// take takes the packet at the start of fs and returns how many frames it has.
// As Alloc lends packets of one frame, a chain cannot be one.
func (t *injectTx) take(fs []hal.Frame, now time.Time) int {
	if fs[0].More {
		n := max(hal.ChainLen(fs), 1)
		t.Release(fs[:n])
		t.count.drops[dropMalformed].Add(1)
		return n
	}
	t.passed(len(fs[0].Data))
	t.todoBuf = t.loans.back(&fs[0])
	t.slot[0] = fs[0]
	t.todo = t.slot[:]
	t.waiting.Store(1)
	t.resume(now)
	return 1
}

// resume goes on with the packet that was taken last.
func (t *injectTx) resume(now time.Time) {
	if len(t.todo) == 0 || !t.absorb(t.todo, now) {
		return
	}
	t.bufs.give(t.todoBuf)
	t.todo, t.todoBuf, t.slot[0] = nil, nil, hal.Frame{}
	t.waiting.Store(0)
}

// stage copies the packets that are due into frames of the device, until there
// is none or the device is full. It sends whole bursts.
func (t *injectTx) stage(now time.Time) error {
	t.blocked = false
	for !t.blocked {
		t.resume(now)
		if t.used >= burst {
			if err := t.ship(); err != nil || t.blocked {
				return err
			}
		}
		p, ok := t.hold.pop(now)
		if !ok {
			return nil
		}
		n, err := t.inner.Alloc(t.frames[t.used:], len(p.packet))
		switch {
		case errors.Is(err, hal.ErrTooLong):
			t.count.drops[dropTooLong].Add(1)
			t.bufs.give(p.packet)
		case n == 0:
			t.putBack([]held{p})
			return err
		default:
			fill(t.frames[t.used:t.used+n], p.packet)
			t.used += n
			t.staged = append(t.staged, p)
		}
	}
	return nil
}

// ship sends what is staged. What the device does not take goes back.
func (t *injectTx) ship() error {
	if t.used == 0 {
		return nil
	}
	n, err := t.inner.Tx(t.frames[:t.used])
	sent := packets(t.frames[:n])
	for _, p := range t.staged[:sent] {
		t.bufs.give(p.packet)
	}
	if n < t.used {
		t.inner.Release(t.frames[n:t.used])
		t.putBack(t.staged[sent:])
	}
	clear(t.staged)
	t.staged, t.used = t.staged[:0], 0
	return err
}

// putBack returns packets to the front of the hold: the device is full.
func (t *injectTx) putBack(ps []held) {
	t.blocked = true
	if !t.hold.unpop(ps, t.dev.now().Add(retryAfter)) {
		t.count.drops[dropClose].Add(uint64(len(ps)))
	}
}

// fill copies a packet into a chain.
func fill(chain []hal.Frame, packet []byte) {
	for i := range chain {
		packet = packet[copy(chain[i].Data, packet):]
	}
}
