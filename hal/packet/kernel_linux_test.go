package packet

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// experiment is a packet to a station that nobody answers: its EtherType is for
// experiments (IEEE Std 802).
func experiment(dst hal.MAC, size int) []byte {
	p := make([]byte, size)
	copy(p, dst[:])
	copy(p[6:], "\x02\x00\x00\x00\x00\x09\x88\xb5")
	return p
}

func sendOne(t testing.TB, tx hal.TxQueue) error {
	t.Helper()
	f := alloc(t, tx, 60)
	copy(f.Data, experiment(hal.Broadcast, 60))
	n, err := tx.Tx([]hal.Frame{f})
	if n == 0 {
		tx.Release([]hal.Frame{f})
	}
	return err
}

// receive waits for packets of the experiment on all queues, until there are n of
// them, and returns copies; a queue's number is in front of each.
func receive(t testing.TB, dev hal.Device, n int) (got [][]byte) {
	t.Helper()
	s, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fs := make([]hal.Frame, 32)
	for end := testEnd(); len(got) < n; {
		if time.Now().After(end) {
			t.Fatalf("%d packets arrived, want %d; %+v", len(got), n, hal.StatsOf(dev))
		}
		found := 0
		for i := range dev.Info().Queues {
			rx, _, err := dev.Queue(i)
			if err != nil {
				t.Fatal(err)
			}
			k, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range fs[:k] {
				if string(f.Data[12:14]) == "\x88\xb5" {
					got = append(got, append([]byte{byte(i)}, f.Data...))
				}
			}
			rx.Release(fs[:k])
			found += k
		}
		if found == 0 {
			if err := s.Wait(end); err != nil {
				t.Fatal(err)
			}
		}
	}
	return got
}

// modes are the ways to receive.
var modes = []string{"packet:veth0", "packet:veth0?ring=on"}

func TestInterfaceDown(t *testing.T) {
	for _, spec := range modes {
		t.Run(spec, func(t *testing.T) {
			ours, theirs := cable(t)
			dev := openIn(t, ours, spec)
			rx, tx := halves(t, dev)
			ours.Run("ip", "link", "set", "veth0", "down")
			for range 3 {
				if err := sendOne(t, tx); err != nil {
					t.Errorf("Tx while the interface is down: %v", err)
				}
			}
			if d := hal.StatsOf(dev).Drops["tx-link-down"]; d != 3 {
				t.Errorf("%d packets counted as lost, want 3", d)
			}
			if l := dev.Info().Link; l != hal.LinkDown {
				t.Errorf("link is %v", l)
			}
			// The sleeper comes to rest: being down is not news for ever.
			s, err := hal.NewSleeper(dev)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			fs := make([]hal.Frame, 32)
			for asleep, end := false, testEnd(); !asleep; {
				for n := 1; n > 0; {
					if n, err = rx.Rx(fs); err != nil {
						t.Fatalf("Rx while the interface is down: %v", err)
					}
					rx.Release(fs[:n])
				}
				until := time.Now().Add(20 * time.Millisecond)
				if err := s.Wait(until); err != nil {
					t.Fatal(err)
				}
				if asleep = !time.Now().Before(until); !asleep && time.Now().After(end) {
					t.Fatal("the sleeper always finds something")
				}
			}
			ours.Run("ip", "link", "set", "veth0", "up")
			far := theirs.Far(t, "veth0")
			for end := testEnd(); ; { // until the carrier is back
				if err := far.Send(experiment(dev.Info().MAC, 60)); err == nil {
					if n, err := rx.Rx(fs); err != nil || n > 0 {
						rx.Release(fs[:n])
						break
					}
				}
				if time.Now().After(end) {
					t.Fatal("nothing arrives after the interface came up again")
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// TestOpenDown opens an interface that comes up later.
func TestOpenDown(t *testing.T) {
	ours, theirs := cable(t)
	ours.Run("ip", "link", "set", "veth0", "down")
	dev := openIn(t, ours, "packet:veth0?queues=2")
	if l := dev.Info().Link; l != hal.LinkDown {
		t.Errorf("link is %v", l)
	}
	ours.Run("ip", "link", "set", "veth0", "up")
	far := theirs.Far(t, "veth0")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // until the carrier is there
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = far.Send(experiment(dev.Info().MAC, 60))
			}
		}
	}()
	receive(t, dev, 1)
	close(stop)
	<-done
}

// TestInterfaceGone has somebody sleep on an interface that goes away, in all the
// ways it can: the kernel tells a packet socket of some of them only.
func TestInterfaceGone(t *testing.T) {
	for way, commands := range map[string][]string{
		"deleted":                 {"ip link del veth0"},
		"deleted while down":      {"ip link set veth0 down", "sleep 0.05", "ip link del veth0"},
		"moved":                   {"ip link set veth0 netns %s name moved"},
		"the other end's deleted": nil,
	} {
		for _, spec := range append(modes, "packet:veth0?queues=2") {
			t.Run(way+" "+spec, func(t *testing.T) {
				ours, theirs := cable(t)
				dev := openIn(t, ours, spec)
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
						if err == nil && n == 0 {
							err = s.Wait(end)
						}
						if err != nil {
							gone <- err
							return
						}
					}
					gone <- errors.New("nobody said so")
				}()
				sent := make(chan error, 1)
				send := func() { // until it fails
					err := error(nil)
					for end := testEnd(); err == nil && time.Now().Before(end); {
						err = sendOne(t, tx)
					}
					sent <- err
				}
				if strings.Contains(spec, "queues") {
					go send() // it may find out before the receiver is told
				}
				for _, c := range commands {
					ours.Run("sh", "-c", strings.ReplaceAll(c, "%s", theirs.Name()))
				}
				if commands == nil {
					theirs.Run("ip", "link", "del", "veth0")
				}
				received := <-gone
				if !strings.Contains(spec, "queues") {
					send()
				}
				for what, err := range map[string]error{"Rx": received, "Tx": <-sent} {
					if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "veth0 is gone") {
						t.Errorf("%s: %v, want ENODEV with the interface's name", what, err)
					}
				}
				if s := dev.Info().Link; s != hal.LinkDown {
					t.Errorf("link is %v", s)
				}
				if err := dev.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestInterfaceFull sends to an interface whose own queue is shorter than what the
// socket may hold.
func TestInterfaceFull(t *testing.T) {
	ours, _ := cable(t)
	ours.Run("tc", "qdisc", "add", "dev", "veth0", "root", "tbf", "rate", "8kbit", "burst", "2k", "limit", "4k")
	dev := openIn(t, ours, "packet:veth0")
	_, tx := halves(t, dev)
	fs := make([]hal.Frame, 1)
	tries := 0
	for ; hal.StatsOf(dev).Drops["tx-no-buffer"] == 0; tries++ {
		fs[0] = alloc(t, tx, 1000)
		copy(fs[0].Data, experiment(hal.Broadcast, 1000))
		if n, err := tx.Tx(fs); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			tx.Release(fs)
		}
		if tries > 1000 {
			t.Fatalf("neither sent nor lost: %+v", hal.StatsOf(dev))
		}
	}
	if tries < patience-1 {
		t.Errorf("given up after %d tries", tries)
	}
}

func TestNoAllocation(t *testing.T) {
	for _, spec := range modes {
		ours, theirs := cable(t)
		dev := openIn(t, ours, spec)
		rx, tx := halves(t, dev)
		far := theirs.Far(t, "veth0")
		fs := make([]hal.Frame, 64)
		packet := experiment(dev.Info().MAC, 60)
		if got := testing.AllocsPerRun(100, func() {
			for i := range 8 {
				n, err := tx.Alloc(fs[i:], len(packet))
				if n != 1 || err != nil {
					t.Fatal(n, err)
				}
				copy(fs[i].Data, packet)
			}
			n, err := tx.Tx(fs[:8])
			if err != nil {
				t.Fatal(n, err)
			}
			tx.Release(fs[n:8])
		}); got != 0 {
			t.Errorf("%s: sending 8 packets allocates %v times", spec, got)
		}
		for range 500 {
			if err := far.Send(packet); err != nil {
				t.Fatal(err)
			}
		}
		received := 0
		for received == 0 { // the first buffers, and the first block
			n, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			rx.Release(fs[:n])
			received += n
		}
		if got := testing.AllocsPerRun(100, func() {
			n, err := rx.Rx(fs[:4])
			if err != nil {
				t.Fatal(err)
			}
			received += n
			rx.Release(fs[:n])
		}); got != 0 || received < 200 {
			t.Errorf("%s: receiving %d packets allocates %v times a burst", spec, received, got)
		}
	}
}

// TestToldByAHalf: if a sender is the first to find the interface gone, whoever waits
// for packets hears of it all the same.
func TestToldByAHalf(t *testing.T) {
	ours, _ := cable(t)
	dev := openIn(t, ours, "packet:veth0").(*device)
	told := make(chan struct{}, 8)
	dev.queues[0].rx.(*rxQueue).Notify(func() { told <- struct{}{} })
	dev.gone.Store(true)                                  // as a sender does
	ours.Run("ip", "link", "set", "veth0", "mtu", "1400") // the kernel says something
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("nobody told the receiver")
	}
}

// TestOpenUnderTraffic: while the queues of a device are being opened no packet is
// received twice.
func TestOpenUnderTraffic(t *testing.T) {
	ours, theirs := cable(t)
	far := theirs.Far(t, "veth0")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		p := experiment(hal.Broadcast, 60)
		for i := uint32(0); ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			binary.BigEndian.PutUint32(p[20:], i)
			p[28]++ // another flow, perhaps
			if err := far.Send(p); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 3 {
		dev := openIn(t, ours, "packet:veth0?queues=3")
		seen := map[uint32]bool{}
		for _, p := range receive(t, dev, 1000) {
			i := binary.BigEndian.Uint32(p[1+20:])
			if seen[i] {
				t.Fatalf("packet %d was received twice", i)
			}
			seen[i] = true
		}
		dev.Close()
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
