package afxdp

import (
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// slowCable joins the near end to a slow line: a bridge at the far end has a
// queue, which holds packets until the line has room. They count for the send
// buffer of the socket that they came from. It returns the end of the line.
func slowCable(t *testing.T) (cable, string) {
	t.Helper()
	c := variant{}.cable(t)
	for _, cmd := range [][]string{
		{"ip", "link", "add", "br0", "type", "bridge"},
		{"ip", "link", "add", "line0", "type", "veth", "peer", "name", "line1"},
		{"ip", "link", "set", "line0", "master", "br0"},
		{"ip", "link", "set", "eth0", "master", "br0"},
		{"tc", "qdisc", "add", "dev", "line0", "root", "tbf", "rate", "50mbit", "burst", "20kb", "limit", "10mb"},
		{"ip", "link", "set", "line1", "up"},
		{"ip", "link", "set", "line0", "up"},
		{"ip", "link", "set", "br0", "up"},
		// What is flooded would be a copy that nobody counts.
		{"bridge", "fdb", "add", "02:00:00:00:00:09", "dev", "line0", "master", "static"},
	} {
		c.far.Run(cmd[0], cmd[1:]...)
	}
	// A bridge forwards a moment after its ports are up.
	for _, port := range []string{"eth0", "line0"} {
		eventually(t, "the bridge forwards", func() bool {
			return strings.Contains(c.far.Run("bridge", "link", "show", "dev", port), "state forwarding")
		})
	}
	return c, "line1"
}

// What the kernel does not take at once is sent later, by whoever heeds the
// sleeper: nothing is lost, and nobody spins.
func TestBackPressure(t *testing.T) {
	c, end := slowCable(t)
	dev := c.open(t, "?filter=all&frames=256")
	rx, tx := halves(t, dev)
	far, s := c.far.Far(t, end), sleeper(t, dev)
	const n = 1500
	got := make(chan int, 1)
	go func() {
		k := 0
		for k < n {
			p, err := far.Recv(guard)
			if err != nil {
				break
			}
			if len(p) == 1514 {
				k++
			}
		}
		got <- k
	}()
	held := func() bool { _, ok := tx.(hal.Pending).Pending(); return ok }
	waits, full := 0, 0
	p := append([]byte{2, 0, 0, 0, 0, 9}, broadcast(1514)[6:]...)
	fs := make([]hal.Frame, 32)
	wait := func(writable bool) {
		for more := true; more; { // who sleeps has received everything
			k, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			rx.Release(fs[:k])
			more = k > 0
		}
		s.SetWritable(writable)
		if err := s.Wait(time.Now().Add(guard)); err != nil {
			t.Fatal(err)
		}
		waits++
		if err := tx.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for sent := 0; sent < n; {
		if send(t, tx, p) {
			sent++
			continue
		}
		full++
		wait(true)
	}
	for held() {
		wait(false)
	}
	lost := hal.StatsOf(dev).Drops["tx-busy"]
	arrived := <-got
	t.Logf("full %d times, %d waits; %d arrived, %d were lost", full, waits, arrived, lost)
	if arrived != n || lost != 0 {
		t.Errorf("%d of %d packets arrived, %d are counted as lost", arrived, n, lost)
	}
	if full == 0 {
		t.Error("the device never was full: the test does not test")
	}
	if waits > 3*n {
		t.Errorf("%d wake-ups for %d packets", waits, n)
	}
}
