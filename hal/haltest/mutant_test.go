package haltest_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// A mutant is a device with one rule broken. It has no Unwrap: its mistakes are
// its own.
type mutant struct {
	hal.Device
	info   func(hal.Info) hal.Info
	queue  func(rx hal.RxQueue, tx hal.TxQueue) (hal.RxQueue, hal.TxQueue)
	stats  func(hal.Stats) hal.Stats
	close  func(error) error
	rx     hal.RxQueue
	tx     hal.TxQueue
	closed int
}

func (m *mutant) Info() hal.Info {
	if m.info != nil {
		return m.info(m.Device.Info())
	}
	return m.Device.Info()
}

func (m *mutant) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := m.Device.Queue(i)
	if err != nil || m.queue == nil {
		return rx, tx, err
	}
	if m.rx == nil {
		m.rx, m.tx = m.queue(rx, tx)
	}
	return m.rx, m.tx, nil
}

func (m *mutant) Stats() hal.Stats {
	s := hal.StatsOf(m.Device)
	if m.stats != nil {
		return m.stats(s)
	}
	return s
}

func (m *mutant) Close() error {
	err := m.Device.Close()
	m.closed++
	if m.close != nil && m.closed > 1 {
		return m.close(err)
	}
	return err
}

// rxHook and txHook change what a half does.
type rxHook struct {
	hal.RxQueue
	rx func(q hal.RxQueue, fs []hal.Frame) (int, error)
}

func (h *rxHook) Rx(fs []hal.Frame) (int, error) { return h.rx(h.RxQueue, fs) }
func (h *rxHook) Notify(f func())                { h.RxQueue.(hal.Notifier).Notify(f) }

type txHook struct {
	hal.TxQueue
	alloc func(q hal.TxQueue, fs []hal.Frame, size int) (int, error)
	tx    func(q hal.TxQueue, fs []hal.Frame) (int, error)
}

func (h *txHook) Notify(f func()) { h.TxQueue.(hal.Notifier).Notify(f) }

func (h *txHook) Alloc(fs []hal.Frame, size int) (int, error) {
	if h.alloc == nil {
		return h.TxQueue.Alloc(fs, size)
	}
	return h.alloc(h.TxQueue, fs, size)
}

func (h *txHook) Tx(fs []hal.Frame) (int, error) {
	if h.tx == nil {
		return h.TxQueue.Tx(fs)
	}
	return h.tx(h.TxQueue, fs)
}

func onRx(f func(q hal.RxQueue, fs []hal.Frame) (int, error)) mutant {
	return mutant{queue: func(rx hal.RxQueue, tx hal.TxQueue) (hal.RxQueue, hal.TxQueue) {
		return &rxHook{rx, f}, tx
	}}
}

func onTx(h txHook) mutant {
	return mutant{queue: func(rx hal.RxQueue, tx hal.TxQueue) (hal.RxQueue, hal.TxQueue) {
		h.TxQueue = tx
		return rx, &h
	}}
}

// mutants are named after the rule that has to find them.
var mutants = map[string]mutant{
	"info":        {info: func(i hal.Info) hal.Info { i.Loans = 0; return i }},
	"stats":       {stats: func(s hal.Stats) hal.Stats { s.TxBytes /= 2; return s }},
	"close-twice": {close: func(error) error { return errors.New("closed already") }},
	"transmit": onTx(txHook{tx: func(q hal.TxQueue, fs []hal.Frame) (int, error) {
		if len(fs) > 0 && len(fs[0].Data) > 50 {
			fs[0].Data[50] ^= 1
		}
		return q.Tx(fs)
	}}),
	"transmit-order": onTx(txHook{tx: func(q hal.TxQueue, fs []hal.Frame) (int, error) {
		if len(fs) > 1 {
			fs[0], fs[1] = fs[1], fs[0]
		}
		return q.Tx(fs)
	}}),
	"alloc-too-long": onTx(txHook{alloc: func(q hal.TxQueue, fs []hal.Frame, size int) (int, error) {
		n, err := q.Alloc(fs, size)
		if errors.Is(err, hal.ErrTooLong) {
			err = nil
		}
		return n, err
	}}),
	"alloc-clean": onTx(txHook{alloc: func(q hal.TxQueue, fs []hal.Frame, size int) (int, error) {
		n, err := q.Alloc(fs, size)
		if n > 0 {
			fs[0].Meta.HdrLen = 7
		}
		return n, err
	}}),
	"too-long": {stats: func(s hal.Stats) hal.Stats { s.Drops["tx-too-long"] = 0; return s }},
	"receive": onRx(func(q hal.RxQueue, fs []hal.Frame) (int, error) {
		n, err := q.Rx(fs)
		if n > 0 {
			fs[0].Data[50] ^= 1
		}
		return n, err
	}),
	"short-burst": onRx(func(q hal.RxQueue, fs []hal.Frame) (int, error) {
		if len(fs) == 0 {
			return 0, nil
		}
		return q.Rx(fs)
	}),
	"super-frames-in": onRx(func(q hal.RxQueue, fs []hal.Frame) (int, error) {
		n, err := q.Rx(fs)
		if n > 0 && fs[0].Meta.GSO != hal.GSONone {
			fs[0].Meta.GSOSize++
		}
		return n, err
	}),
	"after-close": onTx(txHook{alloc: func(q hal.TxQueue, fs []hal.Frame, size int) (int, error) {
		n, err := q.Alloc(fs, size)
		if errors.Is(err, hal.ErrClosed) {
			err = nil
		}
		return n, err
	}}),
}

const mutantVar = "RINGTAIL_HALTEST_MUTANT"

// TestRunFindsMutants runs itself on every mutant and expects the rule to fail.
func TestRunFindsMutants(t *testing.T) {
	if os.Getenv(mutantVar) != "" {
		t.Skip("is about all mutants; this process is about one")
	}
	for name := range mutants {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestMutant$/^"+name+"$", "-test.v")
			cmd.Env = append(os.Environ(), mutantVar+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/"+name) || !strings.Contains(string(out), "the rule: ") {
				t.Errorf("the mutant lives: %v\n%s", err, out)
			}
		})
	}
}

// TestMutant runs the rules on the mutant that the environment names, and on a
// device without a fault if it names none.
func TestMutant(t *testing.T) {
	m := mutants[os.Getenv(mutantVar)]
	haltest.Run(t, func(t *testing.T) haltest.Link {
		a, b, err := loopback.Pair(loopback.Config{})
		if err != nil {
			t.Fatal(err)
		}
		m := m
		m.Device = a
		return haltest.Link{Dev: &m, Far: haltest.FarDevice(t, b)}
	})
}
