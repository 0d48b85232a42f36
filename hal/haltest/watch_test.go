package haltest_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a test that notes its failures instead of failing.
type recorder struct {
	testing.TB
	errs []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Sprintf(format, args...))
}

// mirror returns a watched reflecting device, its halves, and what Watch says.
func mirror(t *testing.T) (*haltest.Watched, hal.RxQueue, hal.TxQueue, *recorder) {
	t.Helper()
	w, err := loopback.New(loopback.Config{Reflect: true, Chunk: 256})
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.Device(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	watched := haltest.Watch(r, d)
	rx, tx, err := watched.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	return watched, rx, tx, r
}

func TestWatchReports(t *testing.T) {
	tests := map[string]struct {
		want string // in the report; empty: there is none
		run  func(*haltest.Watched, hal.RxQueue, hal.TxQueue, []hal.Frame)
	}{
		"nothing": {"", func(d *haltest.Watched, rx hal.RxQueue, tx hal.TxQueue, fs []hal.Frame) {
			n, _ := tx.Alloc(fs, 1000)
			tx.Tx(fs[:n])
			tx.Flush()
			n, _ = rx.Rx(fs)
			rx.Release(fs[:n])
			d.Close()
		}},
		"double release": {"not on loan", func(_ *haltest.Watched, _ hal.RxQueue, tx hal.TxQueue, fs []hal.Frame) {
			n, _ := tx.Alloc(fs, 60)
			tx.Release(fs[:n])
			defer func() { recover() }() // the wire notices too
			tx.Release(fs[:n])
		}},
		"release of what was sent": {"not on loan", func(_ *haltest.Watched, _ hal.RxQueue, tx hal.TxQueue, fs []hal.Frame) {
			n, _ := tx.Alloc(fs, 60)
			tx.Tx(fs[:n])
			defer func() { recover() }()
			tx.Release(fs[:n])
		}},
		"received frame sent": {"did not lend", func(_ *haltest.Watched, rx hal.RxQueue, tx hal.TxQueue, fs []hal.Frame) {
			n, _ := tx.Alloc(fs, 60)
			tx.Tx(fs[:n])
			n, _ = rx.Rx(fs)
			defer func() { recover() }()
			tx.Tx(fs[:n])
		}},
		"leak": {"1 received and 2 allocated", func(d *haltest.Watched, rx hal.RxQueue, tx hal.TxQueue, fs []hal.Frame) {
			n, _ := tx.Alloc(fs, 60)
			tx.Tx(fs[:n])
			rx.Rx(fs)
			tx.Alloc(fs, 500)
			d.Close()
		}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			d, rx, tx, r := mirror(t)
			c.run(d, rx, tx, make([]hal.Frame, 512))
			got := strings.Join(r.errs, "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("reported %q, want %q", got, c.want)
			}
		})
	}
}

func TestWatchOverwrites(t *testing.T) {
	_, rx, tx, _ := mirror(t)
	fs := make([]hal.Frame, 512)
	n, _ := tx.Alloc(fs, 60)
	kept := fs[0].Data
	kept[20] = 1
	tx.Release(fs[:n])
	if kept[20] == 1 {
		t.Error("allocated and released memory is as it was")
	}
	n, _ = tx.Alloc(fs, 60)
	fs[0].Data[20] = 1
	tx.Tx(fs[:n])
	n, _ = rx.Rx(fs)
	kept = fs[0].Data
	if kept[20] != 1 {
		t.Fatal("what was sent is not what was received")
	}
	rx.Release(fs[:n])
	if kept[20] == 1 {
		t.Error("received and released memory is as it was")
	}
}

func TestWatchCountsLoans(t *testing.T) {
	d, rx, tx, _ := mirror(t)
	fs := make([]hal.Frame, 512)
	n, _ := tx.Alloc(fs, 700)
	if received, allocated := d.Loans(); received != 0 || allocated != 3 {
		t.Errorf("%d received and %d allocated frames on loan, want 0 and 3", received, allocated)
	}
	tx.Tx(fs[:n])
	rx.Rx(fs)
	if received, allocated := d.Loans(); received != 3 || allocated != 0 {
		t.Errorf("%d received and %d allocated frames on loan, want 3 and 0", received, allocated)
	}
}
