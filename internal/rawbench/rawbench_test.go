package rawbench

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/offload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFrame has a frame believed by those who check it.
func TestFrame(t *testing.T) {
	for _, size := range append([]int{0, 65, 9014}, Sizes...) {
		f := Frame(hal.MAC{2, 1}, hal.MAC{2, 2}, size)
		if len(f) != max(size, minFrame) {
			t.Errorf("%d bytes for %d", len(f), size)
		}
		if v := offload.Verify([]hal.Frame{hal.NewFrame(f, 0, len(f), 0)}); v != offload.Valid {
			t.Errorf("a frame of %d bytes is %v", size, v)
		}
		if !ours(f) {
			t.Errorf("a frame of %d bytes is not recognised", size)
		}
	}
}

// TestLoops sends from one end of a wire to the other, in one piece and in many.
func TestLoops(t *testing.T) {
	for _, c := range []loopback.Config{{}, {Chunk: 256}} {
		wire, err := loopback.New(c)
		if err != nil {
			t.Fatal(err)
		}
		a, b := device(t, wire), device(t, wire)
		frame := Frame(a.Info().MAC, b.Info().MAC, 1514)
		ctx, stop := context.WithCancel(t.Context())
		sent := make(chan Result)
		go func() {
			r, err := Send(ctx, a, frame, time.Hour)
			if err != nil {
				t.Error(err)
			}
			sent <- r
		}()
		got, err := Receive(t.Context(), b, 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		stop()
		s := <-sent
		if got.Frames == 0 || s.Frames < got.Frames || got.Time < 20*time.Millisecond {
			t.Errorf("sent %+v, received %+v", s, got)
		}
		if s := hal.StatsOf(a); s.TxBytes != s.TxPackets*1514 {
			t.Errorf("%d packets of 1514 bytes are %d bytes", s.TxPackets, s.TxBytes)
		}
	}
}

// TestReceiveFromAnyQueue: the flow comes by another queue than the first.
func TestReceiveFromAnyQueue(t *testing.T) {
	wire, err := loopback.New(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := device(t, wire), device(t, wire)
	ctx, stop := context.WithCancel(t.Context())
	sent := make(chan error)
	go func() {
		_, err := Send(ctx, a, Frame(a.Info().MAC, b.Info().MAC, 64), time.Hour)
		sent <- err
	}()
	r, err := Receive(t.Context(), second{b}, 20*time.Millisecond)
	stop()
	if err := errors.Join(err, <-sent); err != nil || r.Frames < 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// second is a device whose first queue gets nothing.
type second struct{ hal.Device }

func (s second) Info() hal.Info {
	i := s.Device.Info()
	i.Queues = 2
	return i
}

func (s second) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := s.Device.Queue(0)
	if i == 0 {
		rx = silence{}
	}
	return rx, tx, err
}

type silence struct{}

func (silence) Rx([]hal.Frame) (int, error) { return 0, nil }
func (silence) Release([]hal.Frame)         {}

func device(t *testing.T, wire *loopback.Wire) hal.Device {
	t.Helper()
	dev, err := wire.Device(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func TestResult(t *testing.T) {
	r := Result{Frames: 1000, Time: 2 * time.Second, CPU: time.Millisecond}
	if r.PerSecond() != 500 || r.CPUPerFrame() != 1000 {
		t.Errorf("%v frames/s, %v ns", r.PerSecond(), r.CPUPerFrame())
	}
	if r = (Result{}); r.PerSecond() != 0 || r.CPUPerFrame() != 0 {
		t.Errorf("nothing at all: %v frames/s, %v ns", r.PerSecond(), r.CPUPerFrame())
	}
}

// TestClosed ends a loop whose device is closed.
func TestClosed(t *testing.T) {
	wire, err := loopback.New(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dev := device(t, wire)
	ended := make(chan error)
	go func() {
		_, err := Receive(t.Context(), dev, time.Hour)
		ended <- err
	}()
	dev.Close()
	if err := <-ended; !errors.Is(err, hal.ErrClosed) {
		t.Error(err)
	}
}
