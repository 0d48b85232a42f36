package haltest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// poison is what released memory is overwritten with.
const poison = 0xdb

// Watched is a device whose contract is watched; see [Watch].
type Watched struct {
	hal.Device
	t      testing.TB
	over   atomic.Bool // the test has ended: nothing can be reported
	closed atomic.Bool
	info   hal.Info

	mu     sync.Mutex // guards halves
	halves map[int]watchedQueue
}

type watchedQueue struct {
	rx *watchedRx
	tx *watchedTx
}

// Watch wraps dev so that t fails when the device or its user breaks the
// contract: a frame released twice or to the wrong half, a half used by two
// goroutines at once, a split chain, more loans than announced, metadata that
// nobody announced, or frames still on loan at Close. Memory is overwritten when
// its loan ends by Release. A watched device is slow, and it allocates.
func Watch(t testing.TB, dev hal.Device) *Watched {
	w := &Watched{Device: dev, t: t, info: dev.Info(), halves: map[int]watchedQueue{}}
	t.Cleanup(func() { w.over.Store(true) })
	return w
}

// Unwrap returns the device itself.
func (w *Watched) Unwrap() hal.Device { return w.Device }

// Queue implements [hal.Device].
func (w *Watched) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := w.Device.Queue(i)
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	q, ok := w.halves[i]
	if !ok {
		q = watchedQueue{
			rx: &watchedRx{RxQueue: rx, half: newHalf(w, fmt.Sprintf("receive half %d", i))},
			tx: &watchedTx{TxQueue: tx, half: newHalf(w, fmt.Sprintf("transmit half %d", i))},
		}
		w.halves[i] = q
	}
	if q.rx.RxQueue != rx || q.tx.TxQueue != tx {
		w.errorf("Queue(%d) returns other halves than before", i)
	}
	return q.rx, q.tx, nil
}

// Loans returns how many frames are on loan: received ones, and allocated ones.
func (w *Watched) Loans() (received, allocated int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.halves {
		received += q.rx.count()
		allocated += q.tx.count()
	}
	return received, allocated
}

// Close implements [hal.Device]. Frames on loan are reported: the device takes
// them back, but whoever forgot them there would forget them elsewhere.
func (w *Watched) Close() error {
	if received, allocated := w.Loans(); !w.closed.Swap(true) && received+allocated > 0 {
		w.errorf("closed with %d received and %d allocated frames on loan", received, allocated)
	}
	return w.Device.Close()
}

// abandon makes Close overlook frames on loan.
func (w *Watched) abandon() { w.closed.Store(true) }

func (w *Watched) errorf(format string, args ...any) {
	w.t.Helper()
	if !w.over.Load() {
		w.t.Errorf("%s: %s", w.info.Driver, fmt.Sprintf(format, args...))
	}
}

// half is what both kinds of halves have: one owner, and loans.
type half struct {
	w    *Watched
	name string
	busy atomic.Bool

	mu    sync.Mutex // guards loans
	loans map[loan][]byte
}

// loan tells the frames on loan from a half apart: by the driver's number, and
// by where their memory ends, for drivers that need only one of them.
type loan struct {
	ref uint64
	end *byte
}

func loanOf(f *hal.Frame) loan {
	l := loan{ref: f.Ref()}
	if n := cap(f.Data); n > 0 {
		l.end = &f.Data[:n][n-1]
	}
	return l
}

func newHalf(w *Watched, name string) *half {
	return &half{w: w, name: name, loans: map[loan][]byte{}}
}

func (h *half) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.loans)
}

// enter notes that a goroutine uses the half, and returns what ends that.
func (h *half) enter() (leave func()) {
	if h.busy.Swap(true) {
		h.w.errorf("%s: two goroutines use it at once; a half has one owner at a time", h.name)
	}
	return func() { h.busy.Store(false) }
}

func (h *half) lent(fs []hal.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range fs {
		l := loanOf(&fs[i])
		if _, dup := h.loans[l]; dup {
			h.w.errorf("%s: the device lent frame %#x twice", h.name, l.ref)
		}
		h.loans[l] = fs[i].Data
	}
}

// given ends loans, and overwrites their memory if asked to: not after Close,
// when the frames are only promised to be readable.
func (h *half) given(what string, fs []hal.Frame, overwrite bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range fs {
		l := loanOf(&fs[i])
		mem, ok := h.loans[l]
		if !ok && !h.w.closed.Load() {
			h.w.errorf("%s: %s of frame %#x, which is not on loan: given back twice, or lent by another half", h.name, what, l.ref)
		}
		delete(h.loans, l)
		if overwrite && !h.w.closed.Load() {
			for i := range mem {
				mem[i] = poison
			}
		}
	}
}
