package tap

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// broadcast is a packet that everybody receives and nobody answers: its
// EtherType is for experiments (IEEE Std 802).
func broadcast(size int) []byte {
	p := make([]byte, size)
	copy(p, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5")
	return p
}

func sendOne(t testing.TB, tx hal.TxQueue) error {
	t.Helper()
	f := alloc(t, tx, 60)
	copy(f.Data, broadcast(60))
	n, err := tx.Tx([]hal.Frame{f})
	if n == 0 {
		tx.Release([]hal.Frame{f})
	}
	return err
}

func TestInterfaceDown(t *testing.T) {
	ns := namespace(t)
	dev := openIn(t, ns, "tap:rt0")
	rx, tx := halves(t, dev)
	ns.Run("ip", "link", "set", "rt0", "down")
	for range 3 {
		if err := sendOne(t, tx); err != nil {
			t.Errorf("Tx while the interface is down: %v", err)
		}
	}
	if d := hal.StatsOf(dev).Drops["tx-link-down"]; d != 3 {
		t.Errorf("%d packets counted as lost, want 3", d)
	}
	fs := make([]hal.Frame, 32)
	n, err := rx.Rx(fs)
	if err != nil {
		t.Errorf("Rx while the interface is down: %v", err)
	}
	rx.Release(fs[:n])

	ns.Run("ip", "link", "set", "rt0", "up")
	far := ns.Far(t, "rt0")
	if err := sendOne(t, tx); err != nil {
		t.Error(err)
	}
	if _, err := far.Recv(5 * time.Second); err != nil {
		t.Errorf("nothing arrives after the interface came up again: %v", err)
	}
}

// TestInterfaceDeleted has somebody sleep on an interface while it is deleted.
func TestInterfaceDeleted(t *testing.T) {
	ns := namespace(t)
	dev := openIn(t, ns, "tap:rt0?queues=2")
	rx, tx := halves(t, dev)
	s, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	gone := make(chan error, 1)
	go func() {
		fs := make([]hal.Frame, 32)
		for end := testEnd(); time.Now().Before(end); {
			n, err := rx.Rx(fs)
			rx.Release(fs[:n])
			if err == nil {
				err = s.Wait(end)
			}
			if err != nil {
				gone <- err
				return
			}
		}
		gone <- errors.New("nobody said so")
	}()
	ns.Run("ip", "link", "del", "rt0")
	for what, err := range map[string]error{"Rx": <-gone, "Tx": sendOne(t, tx)} {
		if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "rt0 is gone") {
			t.Errorf("%s: %v, want ENODEV with the interface's name", what, err)
		}
	}
	if s := dev.Info().Link; s != hal.LinkDown {
		t.Errorf("link is %v", s)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
	if err := openIn(t, ns, "tap:rt0").Close(); err != nil { // as the error says
		t.Error(err)
	}
}

// TestSlowReader lets the kernel's queue overflow.
func TestSlowReader(t *testing.T) {
	ns := namespace(t)
	dev := openIn(t, ns, "tap:rt0")
	rx, _ := halves(t, dev)
	ns.Run("ip", "link", "set", "rt0", "txqueuelen", "10")
	far := ns.Far(t, "rt0")
	for range 2000 {
		if err := far.Send(broadcast(60)); err != nil && !errors.Is(err, unix.ENOBUFS) {
			t.Fatal(err)
		}
	}
	lost := hal.StatsOf(dev).Drops["rx-queue-full"]
	if lost == 0 {
		t.Error("2000 packets into a queue of 10, and none is counted as lost")
	}
	fs := make([]hal.Frame, 32)
	for n := -1; n != 0; {
		var err error
		if n, err = rx.Rx(fs); err != nil {
			t.Fatal(err)
		}
		rx.Release(fs[:n])
	}
	got := hal.StatsOf(dev).RxPackets
	if got == 0 || got+lost < 2000 {
		t.Errorf("of 2000 packets %d were received and %d lost", got, lost)
	}
	dev.Close()
	if after := hal.StatsOf(dev); after.Drops["rx-queue-full"] < lost || after.RxPackets != got {
		t.Errorf("Close forgets: %+v", after)
	}
}

func TestNoAllocation(t *testing.T) {
	for _, spec := range []string{"tap:rt0", "tap:rt0?vnet=off"} {
		ns := namespace(t)
		dev := openIn(t, ns, spec)
		rx, tx := halves(t, dev)
		far := ns.Far(t, "rt0")
		fs := make([]hal.Frame, 32)
		packet := broadcast(60)
		received := 0
		if got := testing.AllocsPerRun(100, func() {
			n, err := tx.Alloc(fs, len(packet))
			if n != 1 || err != nil {
				t.Fatal(n, err)
			}
			copy(fs[0].Data, packet)
			if n, err = tx.Tx(fs[:n]); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}); got != 0 {
			t.Errorf("%s: sending a packet allocates %v times", spec, got)
		}
		for range 200 {
			if err := far.Send(packet); err != nil {
				t.Fatal(err)
			}
		}
		if got := testing.AllocsPerRun(100, func() {
			n, err := rx.Rx(fs[:1])
			if err != nil {
				t.Fatal(err)
			}
			received += n
			rx.Release(fs[:n])
		}); got != 0 || received == 0 {
			t.Errorf("%s: receiving %d packets allocates %v times each", spec, received, got)
		}
	}
}
