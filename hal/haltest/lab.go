package haltest

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// flowPort is the UDP port that test packets go to.
const flowPort = 40999

// window is how many packets are on their way at most where a rule is not about
// loss: no device is so small that it could not hold them.
const window = 4

// lab is what a rule works with: the device, watched, and its first queue.
type lab struct {
	*testing.T
	id   uint64 // tells the packets of this case from all others
	open func(t *testing.T) Link

	dev  *Watched
	far  Far
	info hal.Info
	rx   hal.RxQueue
	tx   hal.TxQueue
	in   *inbox
	fs   []hal.Frame // room for a packet
}

var cases atomic.Uint32

func newLab(t *testing.T, link Link, open func(t *testing.T) Link) *lab {
	t.Helper()
	w := Watch(t, link.Dev)
	l := &lab{
		T: t, open: open, dev: w, far: link.Far, info: w.info,
		id: 0x68616c00<<32 | uint64(os.Getpid()&0xffff)<<16 | uint64(cases.Add(1)&0xffff),
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	// On a shared device what we receive has to be ours.
	if err := hal.SetLocal(w, hal.Local{Addrs: addrs}); err != nil {
		t.Fatalf("SetLocal: %v", err)
	}
	var err error
	if l.rx, l.tx, err = w.Queue(0); err != nil {
		t.Fatalf("Queue(0): %v", err)
	}
	if l.in, err = newInbox(w); err != nil {
		t.Fatal(err)
	}
	l.fs = make([]hal.Frame, max(1, l.info.MaxChain))
	return l
}

// addrs is what the device under test receives for.
var addrs = []netip.Addr{dev4, dev6}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// packetMax is the length of the longest packet that is not a super-frame.
func (l *lab) packetMax() int { return hal.EthernetHeaderLen + l.info.MTU }

// longest is the length that Alloc must not refuse.
func (l *lab) longest() int { return max(l.packetMax(), l.info.GSOMax) }

// sizes are packet lengths worth a test.
func (l *lab) sizes() []int {
	var s []int
	for _, n := range []int{minPacket, minPacket + 1, 191, 192, 193, 256, 1000, 1514, 4096, l.packetMax() - 1, l.packetMax()} {
		if n <= l.packetMax() {
			s = append(s, n)
		}
	}
	return s
}

// send transmits packet seq to the far end.
func (l *lab) send(seq, size int) error {
	return transmit(l.tx, l.fs, l.flow(l.toFar(), flowPort, seq, size), hal.Meta{})
}

// farSend makes the far end send packet seq to the device.
func (l *lab) farSend(seq, size int) error {
	if err := l.far.Send(l.flow(l.toDev(), flowPort, seq, size)); err != nil {
		return fmt.Errorf("far end: send %d bytes: %w", size, err)
	}
	return nil
}

// farRecv returns the next packet of ours at the far end.
func (l *lab) farRecv() (seq, size int, err error) {
	for deadline := time.Now().Add(guard); time.Now().Before(deadline); {
		data, err := l.far.Recv(guard)
		if err != nil {
			return 0, 0, fmt.Errorf("far end: %w", err)
		}
		if seq, ok := l.seqOf(l.toFar(), flowPort, data, hal.Meta{}); ok {
			return seq, len(data), nil
		}
	}
	return 0, 0, fmt.Errorf("far end: nothing but noise for %v", guard)
}

// farWant expects packet seq of size bytes at the far end.
func (l *lab) farWant(seq, size int) {
	l.Helper()
	gotSeq, gotSize, err := l.farRecv()
	if err != nil {
		l.Fatalf("packet %d of %d bytes did not arrive: %v", seq, size, err)
	}
	if gotSeq != seq || gotSize != size {
		l.Fatalf("the far end received packet %d of %d bytes, want packet %d of %d", gotSeq, gotSize, seq, size)
	}
}

// recv returns the next packet of ours that the device receives.
func (l *lab) recv() (seq int, a arrival, err error) {
	err = eventually(func() (bool, error) {
		if _, err := l.in.poll(); err != nil {
			return false, err
		}
		for {
			var ok bool
			if a, ok = l.in.pop(); !ok {
				return false, nil
			}
			if seq, ok = l.seqOf(l.toDev(), flowPort, a.data, a.meta); ok {
				return true, nil
			}
		}
	})
	return seq, a, err
}

// want expects packet seq of size bytes from the device.
func (l *lab) want(seq, size int) arrival {
	l.Helper()
	got, a, err := l.recv()
	if err != nil {
		l.Fatalf("packet %d of %d bytes did not arrive: %v", seq, size, err)
	}
	if got != seq || len(a.data) != size {
		l.Fatalf("received packet %d of %d bytes, want packet %d of %d", got, len(a.data), seq, size)
	}
	return a
}

// works expects the device to carry a packet each way that it can be tested.
func (l *lab) works(seq int) {
	l.Helper()
	l.must(l.send(seq, minPacket))
	if l.far == nil {
		return
	}
	l.farWant(seq, minPacket)
	l.must(l.farSend(seq, minPacket))
	l.want(seq, minPacket)
}

// drops is how many packets the device says it has lost.
func (l *lab) drops() (n uint64) {
	for _, c := range hal.StatsOf(l.dev).Drops {
		n += c
	}
	return n
}

// sleeper returns a sleeper for devs that has done its first Wait.
func (l *lab) sleeper(devs ...hal.Device) hal.Sleeper {
	l.Helper()
	s, err := hal.NewSleeper(devs...)
	l.must(err)
	l.Cleanup(func() { s.Close() })
	return s
}

// within expects something to be sent on a channel, and returns it.
func within[T any](l *lab, c <-chan T, what string) T {
	l.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(guard):
		l.Fatalf("%s: not after %v", what, guard)
		panic("unreachable")
	}
}
