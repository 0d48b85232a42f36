package haltest

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// FarDevice makes a Far of a device at the other end, which t's cleanup closes.
// It can send metadata.
func FarDevice(t testing.TB, dev hal.Device) Far {
	t.Helper()
	s, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	in, err := newInbox(dev)
	if err != nil {
		t.Fatal(err)
	}
	_, tx, err := dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		dev.Close()
	})
	return &farDevice{sleeper: s, in: in, tx: tx, chain: make([]hal.Frame, dev.Info().MaxChain)}
}

type farDevice struct {
	sleeper hal.Sleeper
	in      *inbox // of the goroutine in Recv

	mu    sync.Mutex // guards the following
	tx    hal.TxQueue
	chain []hal.Frame
}

func (f *farDevice) Send(packet []byte) error { return f.SendMeta(packet, hal.Meta{}) }

func (f *farDevice) SendMeta(packet []byte, m hal.Meta) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return transmit(f.tx, f.chain, packet, m)
}

func (f *farDevice) Recv(timeout time.Duration) ([]byte, error) {
	deadline := time.Now().Add(timeout)
	for {
		if a, ok := f.in.pop(); ok {
			return a.data, nil
		}
		if n, err := f.in.poll(); err != nil {
			return nil, err
		} else if n > 0 {
			continue
		}
		if !time.Now().Before(deadline) {
			return nil, fmt.Errorf("nothing has arrived for %v", timeout)
		}
		if err := f.sleeper.Wait(deadline); err != nil {
			return nil, err
		}
	}
}

// transmit sends one packet through a half, waiting while it is full.
func transmit(tx hal.TxQueue, chain []hal.Frame, packet []byte, m hal.Meta) error {
	n, err := 0, error(nil)
	if err := eventually(func() (bool, error) {
		n, err = tx.Alloc(chain, len(packet))
		return n > 0, err
	}); err != nil {
		return fmt.Errorf("Alloc(%d): %w", len(packet), err)
	}
	fill(chain[:n], packet)
	chain[0].Meta = m
	if err := eventually(func() (bool, error) {
		sent, err := tx.Tx(chain[:n])
		return sent > 0, err
	}); err != nil {
		tx.Release(chain[:n])
		return fmt.Errorf("Tx of %d bytes: %w", len(packet), err)
	}
	return tx.Flush()
}

// fill writes a packet into the frames allocated for it.
func fill(chain []hal.Frame, packet []byte) {
	for i := range chain {
		packet = packet[copy(chain[i].Data, packet):]
	}
}

// eventually repeats f until it says true.
func eventually(f func() (bool, error)) error {
	deadline := time.Now().Add(guard)
	for i := 0; ; i++ {
		if ok, err := f(); ok || err != nil {
			return err
		}
		if i < 100 { // it is about to be so, as a rule
			runtime.Gosched()
			continue
		}
		time.Sleep(50 * time.Microsecond)
		if time.Now().After(deadline) {
			return fmt.Errorf("still not so after %v", guard)
		}
	}
}

// inbox receives from all queues of a device and keeps copies.
type inbox struct {
	rx    []hal.RxQueue
	burst []hal.Frame
	got   []arrival
}

// arrival is a received packet.
type arrival struct {
	data   []byte
	meta   hal.Meta
	frames int
}

func newInbox(dev hal.Device) (*inbox, error) {
	info := dev.Info()
	in := &inbox{burst: make([]hal.Frame, max(32, info.MaxChain))}
	for i := range info.Queues {
		rx, _, err := dev.Queue(i)
		if err != nil {
			return nil, err
		}
		in.rx = append(in.rx, rx)
	}
	return in, nil
}

// poll receives one burst from every queue and returns how many packets came.
func (in *inbox) poll() (int, error) {
	was := len(in.got)
	for _, rx := range in.rx {
		n, err := rx.Rx(in.burst)
		if err != nil {
			return 0, err
		}
		for rest := in.burst[:n]; len(rest) > 0; {
			c := max(1, hal.ChainLen(rest))
			a := arrival{meta: rest[0].Meta, frames: c}
			for i := range c {
				a.data = append(a.data, rest[i].Data...)
			}
			in.got = append(in.got, a)
			rest = rest[c:]
		}
		rx.Release(in.burst[:n])
	}
	return len(in.got) - was, nil
}

func (in *inbox) pop() (arrival, bool) {
	if len(in.got) == 0 {
		return arrival{}, false
	}
	a := in.got[0]
	in.got = in.got[1:]
	return a, true
}
