package tap

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/songgao/water"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/internal/netlab"
)

// plainWater makes a device as other systems than Linux have it.
func plainWater(t *testing.T, ns *netlab.Namespace) hal.Device {
	t.Helper()
	var ifce *water.Interface
	if err := ns.Do(func() (err error) {
		ifce, err = water.New(water.Config{DeviceType: water.TAP, PlatformSpecificParams: water.PlatformSpecificParams{Name: "rt0"}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	dev := newStream("rt0", ifce, hal.MAC{2, 0, 0, 0, 0, 1}, defaultMTU)
	t.Cleanup(func() { dev.Close() })
	ns.Run("ip", "link", "set", "rt0", "up")
	return dev
}

func TestStream(t *testing.T) {
	haltest.Run(t, func(t *testing.T) haltest.Link {
		ns := namespace(t)
		dev := plainWater(t, ns)
		return haltest.Link{Dev: dev, Far: ns.Far(t, "rt0")}
	})
}

func TestStreamBreaks(t *testing.T) {
	near, far := net.Pipe()
	dev := newStream("rt0", near, hal.MAC{2}, defaultMTU)
	defer dev.Close()
	rx, tx := halves(t, dev)
	s, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, size := range []int{5, 60, 1514 + headroom + 5} {
		if _, err := far.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	far.Close()
	fs := make([]hal.Frame, 32)
	got := 0
	for err == nil {
		var n int
		if n, err = rx.Rx(fs); err == nil && n == 0 {
			err = s.Wait(testEnd())
		}
		got += n
	}
	if d := hal.StatsOf(dev).Drops; got != 1 || !errors.Is(err, io.EOF) || d["rx-runt"] != 1 || d["rx-too-long"] != 1 {
		t.Errorf("received %d packets, then %v; drops %v", got, err, d)
	}
	for err = nil; err == nil; {
		var n int
		if n, err = tx.Alloc(fs, 60); err == nil {
			_, err = tx.Tx(fs[:n])
		}
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Tx: %v", err)
	}
}
