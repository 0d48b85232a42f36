package wrap_test

import (
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
)

// Every wrapper around a device is a device, by the same rules.
func TestWrappersKeepTheContract(t *testing.T) {
	delayed := wrap.Faults{Delay: 200 * time.Microsecond, Jitter: 100 * time.Microsecond}
	for _, c := range []struct {
		name string
		wrap func(*testing.T, hal.Device) hal.Device
	}{
		{"faults=none", func(_ *testing.T, d hal.Device) hal.Device { return wrap.Inject(d, wrap.InjectOptions{}) }},
		{"faults=delay", func(t *testing.T, d hal.Device) hal.Device {
			return turn(t, wrap.Inject(d, wrap.InjectOptions{Faults: delayed}))
		}},
		{"pcap", func(_ *testing.T, d hal.Device) hal.Device { return capture(d) }},
		{"trace", func(_ *testing.T, d hal.Device) hal.Device {
			return wrap.Trace(d, slog.New(slog.NewTextHandler(io.Discard, nil)), wrap.TraceOptions{})
		}},
		{"stats", func(_ *testing.T, d hal.Device) hal.Device { return wrap.Stats(d) }},
		{"pcap of faults", func(_ *testing.T, d hal.Device) hal.Device {
			return capture(wrap.Inject(d, wrap.InjectOptions{}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, config := range []loopback.Config{{Name: "whole"}, {Name: "chains", Chunk: 512, Frames: 256}, {Name: "nogso", NoGSO: true}} {
				t.Run(config.Name, func(t *testing.T) {
					haltest.Run(t, func(t *testing.T) haltest.Link {
						wire, err := loopback.New(config)
						if err != nil {
							t.Fatal(err)
						}
						near, err := wire.Device(loopback.Config{})
						if err != nil {
							t.Fatal(err)
						}
						far, err := wire.Device(loopback.Config{})
						if err != nil {
							t.Fatal(err)
						}
						return haltest.Link{Dev: c.wrap(t, near), Far: haltest.FarDevice(t, far)}
					})
				})
			}
		})
	}
}

func capture(d hal.Device) hal.Device {
	return wrap.Pcap(d, pcapng.NewWriter(io.Discard, ""), wrap.PcapOptions{})
}

// turning is a device with somebody who comes back when a packet is due, as a
// host's turn does: package haltest sends a packet and waits for it elsewhere.
type turning struct {
	hal.Device
	rx   hal.RxQueue
	tx   turningTx
	end  chan struct{}
	done sync.WaitGroup
	once sync.Once
}

type turningTx struct {
	hal.TxQueue
	mu sync.Mutex
}

func turn(t *testing.T, dev hal.Device) hal.Device {
	rx, tx, err := dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	d := &turning{Device: dev, rx: rx, tx: turningTx{TxQueue: tx}, end: make(chan struct{})}
	d.done.Go(func() {
		for {
			if at, ok := hal.PendingOf(tx); ok && !at.After(time.Now()) {
				d.tx.Flush()
			}
			select {
			case <-d.end:
				return
			case <-time.After(50 * time.Microsecond):
			}
		}
	})
	return d
}

func (d *turning) Unwrap() hal.Device { return d.Device }

func (d *turning) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	_, _, err := d.Device.Queue(i)
	return d.rx, &d.tx, err
}

func (d *turning) Close() error {
	d.once.Do(func() { close(d.end) })
	err := d.Device.Close()
	d.done.Wait()
	return err
}

func (t *turningTx) Unwrap() hal.TxQueue { return t.TxQueue }

func (t *turningTx) Alloc(fs []hal.Frame, size int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.TxQueue.Alloc(fs, size)
}

func (t *turningTx) Tx(fs []hal.Frame) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.TxQueue.Tx(fs)
}

func (t *turningTx) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.TxQueue.Flush()
}

func (t *turningTx) Release(fs []hal.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.TxQueue.Release(fs)
}
