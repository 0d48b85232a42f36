package wrap_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/wrap"
)

// rung is a device that counts how often its doorbell is rung.
type rung struct {
	hal.Device
	rings atomic.Uint64
}

// Without Unwrap the abilities of the inner device would be lost.
func (d *rung) Unwrap() hal.Device { return d.Device }

func (d *rung) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := d.Device.Queue(i)
	if err != nil {
		return nil, nil, err
	}
	return rx, bell{tx, &d.rings}, nil // bells with the same content are the same
}

// bell is a transmit half of a rung.
type bell struct {
	hal.TxQueue
	rings *atomic.Uint64
}

func (b bell) Unwrap() hal.TxQueue { return b.TxQueue }

func (b bell) Flush() error {
	b.rings.Add(1)
	return b.TxQueue.Flush()
}

// A wrapper changes what it wants to and hides nothing else.
func Example_writing() {
	wire, _ := loopback.New(loopback.Config{})
	inner, _ := wire.Device(loopback.Config{})
	dev := &rung{Device: inner}
	defer dev.Close()

	_, tx, _ := dev.Queue(0)
	tx.Flush()
	tx.Flush()
	_, ok := hal.As[hal.Notifier](tx) // the inner half's
	fmt.Println(dev.rings.Load(), ok)
	// Output: 2 true
}

// Faults are read from text, and print as text.
func ExampleParseFaults() {
	f, err := wrap.ParseFaults("drop=0.02,rate=10mbit")
	fmt.Println(f, err)
	_, err = wrap.ParseFaults("drop=200%")
	fmt.Println(err)
	// Output:
	// drop=2%,rate=10mbit <nil>
	// bad faults "drop=200%": drop=200%: must be from 0% to 100%, or a fraction from 0 to 1
}

// partition loses what is sent.
func partition(_ []byte, dir wrap.Dir, _ time.Time, _ *rand.Rand) wrap.Verdict {
	if dir == wrap.Tx {
		return wrap.Drop
	}
	return wrap.Pass
}

// A rule is a function; it can come and go while packets pass.
func ExampleInjector_Add() {
	wire, _ := loopback.New(loopback.Config{Reflect: true})
	inner, _ := wire.Device(loopback.Config{})
	dev := wrap.Inject(inner, wrap.InjectOptions{})
	defer dev.Close()
	rx, tx, _ := dev.Queue(0)

	echo := func() int {
		fs := make([]hal.Frame, dev.Info().MaxChain)
		n, _ := tx.Alloc(fs, 60)
		tx.Tx(fs[:n])
		tx.Flush()
		n, _ = rx.Rx(fs)
		rx.Release(fs[:n])
		return n
	}
	heal := dev.Add(partition)
	fmt.Println("cut:", echo())
	heal()
	fmt.Println("healed:", echo())
	// Output:
	// cut: 0
	// healed: 1
}
