package packet

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// TestSlowReader lets the kernel's queue overflow.
func TestSlowReader(t *testing.T) {
	for _, spec := range modes {
		t.Run(spec, func(t *testing.T) {
			ours, theirs := cable(t)
			dev := openIn(t, ours, spec)
			rx, _ := halves(t, dev)
			far := theirs.Far(t, "veth0")
			const n = 16000
			packet := experiment(dev.Info().MAC, 1514)
			for range n {
				if err := far.Send(packet); err != nil && !errors.Is(err, unix.ENOBUFS) {
					t.Fatal(err)
				}
			}
			lost := hal.StatsOf(dev).Drops["rx-queue-full"]
			if lost == 0 {
				t.Error("24 MB into a queue of 8 MiB, and nothing is counted as lost")
			}
			if again := hal.StatsOf(dev).Drops["rx-queue-full"]; again < lost {
				t.Errorf("%d lost, and then %d", lost, again)
			}
			fs := make([]hal.Frame, 32)
			idle := 0
			for end := testEnd(); idle < 3 && time.Now().Before(end); {
				k, err := rx.Rx(fs)
				if err != nil {
					t.Fatal(err)
				}
				rx.Release(fs[:k])
				if k == 0 { // the last block of a ring comes a millisecond later
					idle++
					time.Sleep(5 * time.Millisecond)
				}
			}
			got := hal.StatsOf(dev).RxPackets
			if got == 0 || got+lost < n {
				t.Errorf("of %d packets %d were received and %d lost", n, got, lost)
			}
			dev.Close()
			if after := hal.StatsOf(dev); after.Drops["rx-queue-full"] < lost || after.RxPackets != got {
				t.Errorf("Close forgets: %+v", after)
			}
		})
	}
}

// TestTruncated has a ring whose blocks are shorter than a packet.
func TestTruncated(t *testing.T) {
	ours, theirs := cable(t)
	dev, err := Open(Config{Name: "veth0", Ring: true, NetNS: ours.Path(), blockSize: 8192})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	far := theirs.Far(t, "veth0")
	super := experiment(dev.Info().MAC, 66+10*1448)
	copy(super[12:], "\x08\x00\x45\x00\x00\x00\x00\x00\x40\x00\x40\x06\x00\x00\xc6\x12\x00\x01\xc6\x12\x00\x02")
	super[14+2], super[14+3] = byte((len(super)-14)>>8), byte(len(super)-14)
	super[14+20+12] = 8 << 4
	for range 3 {
		if err := far.SendMeta(super, superMeta); err != nil {
			t.Fatal(err)
		}
	}
	if err := far.Send(experiment(dev.Info().MAC, 1000)); err != nil {
		t.Fatal(err)
	}
	got := receive(t, dev, 1)
	if len(got[0]) != 1+1000 {
		t.Errorf("%d bytes", len(got[0]))
	}
	if d := hal.StatsOf(dev).Drops; d["rx-too-long"] != 3 {
		t.Errorf("%v", d)
	}
}

// TestMTUChanges behind the device's back: what is too long for the wire is counted,
// what is longer than before is received.
func TestMTUChanges(t *testing.T) {
	ours, theirs := cable(t)
	dev := openIn(t, ours, "packet:veth0")
	_, tx := halves(t, dev)
	ours.Run("ip", "link", "set", "veth0", "mtu", "1300")
	f := alloc(t, tx, 1400)
	copy(f.Data, experiment(hal.Broadcast, 1400))
	if n, err := tx.Tx([]hal.Frame{f}); n != 1 || err != nil {
		t.Errorf("Tx = %d, %v", n, err)
	}
	if d := hal.StatsOf(dev).Drops["tx-too-long"]; d != 1 {
		t.Errorf("%d packets counted as too long, want 1", d)
	}
	ours.Run("ip", "link", "set", "veth0", "mtu", "4000")
	theirs.Run("ip", "link", "set", "veth0", "mtu", "4000")
	if err := theirs.Far(t, "veth0").Send(experiment(dev.Info().MAC, 3999)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, dev, 1); len(got[0]) != 1+3999 {
		t.Errorf("received %d bytes", len(got[0])-1)
	}
}

// TestBackPressure holds back what is sent: nothing is lost, and whoever waits for
// room is told when there is some.
func TestBackPressure(t *testing.T) {
	ours, theirs := cable(t)
	inOrder(theirs, "veth0")
	// 16 KiB of tokens at first, then 2 MB/s, and a queue as long as need be.
	ours.Run("tc", "qdisc", "add", "dev", "veth0", "root", "tbf", "rate", "16mbit", "burst", "16k", "limit", "4m")
	dev := openIn(t, ours, "packet:veth0")
	rx, tx := halves(t, dev)
	far := theirs.Far(t, "veth0")
	s, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fs := make([]hal.Frame, 32)
	const n = 600
	full := 0
	for i := 0; i < n; {
		f := alloc(t, tx, 1000)
		copy(f.Data, experiment(hal.Broadcast, 1000))
		f.Data[20], f.Data[21] = byte(i), byte(i>>8)
		k, err := tx.Tx([]hal.Frame{f})
		if err != nil {
			t.Fatal(err)
		}
		if i += k; k == 0 {
			full++
			tx.Release([]hal.Frame{f})
			s.SetWritable(true)
			if err := s.Wait(testEnd()); err != nil {
				t.Fatal(err)
			}
			for k := 1; k > 0; { // the kernels' chatter
				if k, err = rx.Rx(fs); err != nil {
					t.Fatal(err)
				}
				rx.Release(fs[:k])
			}
		}
	}
	if full == 0 {
		t.Error("never full")
	}
	if full > n {
		t.Errorf("full %d times: woken for nothing", full)
	}
	for i := 0; i < n; {
		p, err := far.Recv(10 * time.Second)
		if err != nil {
			t.Fatalf("packet %d: %v; %+v", i, err, hal.StatsOf(dev))
		}
		if len(p) == 1000 && bytes.Equal(p[12:14], []byte("\x88\xb5")) {
			if got := int(p[20]) | int(p[21])<<8; got != i {
				t.Fatalf("packet %d, want packet %d", got, i)
			}
			i++
		}
	}
}
