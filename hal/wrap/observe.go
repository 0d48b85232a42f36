package wrap

import (
	"sync"

	"github.com/ringtail-net/ringtail/hal"
)

// An observer is shown the packets of one half and changes none of them. Pcap,
// Trace and Stats are observers. It is used by the owner of its half.
//
// A packet for Tx is the device's as soon as it is taken, and only then is it
// known that it was. So the observer looks first, and is told afterwards.
type observer interface {
	look(chain []hal.Frame) // a packet that may pass; lent for the call
	passed(packets int)     // so many of those looked at did, the first ones: a burst
	flush()                 // the user rings the doorbell
}

// observed is a device with observers on its halves.
type observed struct {
	inner   hal.Device
	observe func(dir Dir, queue int) observer

	mu     sync.Mutex // guards the following
	queues map[int]*observedQueue
}

type observedQueue struct {
	rx observedRx
	tx observedTx
}

func newObserved(dev hal.Device, observe func(Dir, int) observer) *observed {
	return &observed{inner: dev, observe: observe, queues: map[int]*observedQueue{}}
}

// Unwrap returns the device without the wrapper.
func (d *observed) Unwrap() hal.Device { return d.inner }

// Info describes the device; the wrapper changes nothing of it.
func (d *observed) Info() hal.Info { return d.inner.Info() }

// Close closes the device.
func (d *observed) Close() error { return d.inner.Close() }

// Queue returns the halves of queue i.
func (d *observed) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := d.inner.Queue(i)
	if err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[i]
	if q == nil {
		q = &observedQueue{observedRx{rx, d.observe(Rx, i)}, observedTx{tx, d.observe(Tx, i)}}
		d.queues[i] = q
	}
	return &q.rx, &q.tx, nil
}

// observedRx is a receive half with an observer.
type observedRx struct {
	hal.RxQueue
	observer observer
}

// Unwrap returns the half without the wrapper. Embedding alone would hide what
// the half can do beside receiving.
func (r *observedRx) Unwrap() hal.RxQueue { return r.RxQueue }

func (r *observedRx) Rx(fs []hal.Frame) (int, error) {
	n, err := r.RxQueue.Rx(fs)
	if n > 0 {
		r.observer.passed(show(r.observer, fs[:n]))
	}
	return n, err
}

// observedTx is a transmit half with an observer.
type observedTx struct {
	hal.TxQueue
	observer observer
}

// Unwrap returns the half without the wrapper.
func (t *observedTx) Unwrap() hal.TxQueue { return t.TxQueue }

func (t *observedTx) Tx(fs []hal.Frame) (int, error) {
	show(t.observer, fs)
	n, err := t.TxQueue.Tx(fs)
	t.observer.passed(packets(fs[:n]))
	return n, err
}

func (t *observedTx) Flush() error {
	t.observer.flush()
	return t.TxQueue.Flush()
}

// show shows the packets of a burst and returns how many there are.
func show(o observer, fs []hal.Frame) int {
	n := 0
	for len(fs) > 0 {
		k := hal.ChainLen(fs)
		if k == 0 {
			break
		}
		o.look(fs[:k])
		fs = fs[k:]
		n++
	}
	return n
}

// packets returns the number of packets of a burst.
func packets(fs []hal.Frame) int {
	n := 0
	for i := range fs {
		if !fs[i].More {
			n++
		}
	}
	return n
}
