package afxdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// guard is after how long a test gives up. Nothing is right or wrong by time.
const guard = 15 * time.Second

// An interface that is deleted, or moved away, ends in an error at both faces, and
// whoever sleeps on it wakes.
func TestInterfaceGone(t *testing.T) {
	for name, remove := range map[string]func(c cable){
		"deleted":      func(c cable) { c.near.Run("ip", "link", "delete", "veth0") },
		"peer deleted": func(c cable) { c.far.Run("ip", "link", "delete", "eth0") },
		"moved":        func(c cable) { c.near.Run("ip", "link", "set", "veth0", "netns", c.far.Name()) },
	} {
		t.Run(name, func(t *testing.T) {
			c := variant{}.cable(t)
			dev := c.open(t, "?filter=all")
			rx, tx := halves(t, dev)
			s := sleeper(t, dev)
			done := make(chan error, 1)
			go func() {
				fs := make([]hal.Frame, 32)
				for {
					n, err := rx.Rx(fs)
					if err != nil {
						done <- err
						return
					}
					rx.Release(fs[:n])
					if n > 0 {
						continue
					}
					if err := s.Wait(time.Time{}); err != nil {
						done <- fmt.Errorf("Wait: %w", err)
						return
					}
				}
			}()
			remove(c)
			select {
			case err := <-done:
				goneError(t, "Rx", err)
			case <-time.After(guard):
				t.Fatal("the sleeper sleeps on")
			}
			fs := make([]hal.Frame, 1)
			_, err := tx.Alloc(fs, 60)
			goneError(t, "Alloc", err)
			goneError(t, "Flush", tx.Flush())
			_, err = tx.Tx(nil)
			goneError(t, "Tx", err)
			if got := dev.Info().Link; got != hal.LinkDown {
				t.Errorf("the link is %v", got)
			}
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func goneError(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "veth0 is gone") {
		t.Errorf("%s without an interface: %v", call, err)
	}
}

// An interface that is down, or has no carrier, loses what is sent, counted, and
// carries on when it is up again; the sleeper hears of it.
func TestInterfaceDown(t *testing.T) {
	for name, set := range map[string]func(c cable, how string){
		"interface": func(c cable, how string) { c.near.Run("ip", "link", "set", "veth0", how) },
		"carrier":   func(c cable, how string) { c.far.Run("ip", "link", "set", "eth0", how) },
	} {
		t.Run(name, func(t *testing.T) {
			c := variant{}.cable(t)
			dev := c.open(t, "?filter=all")
			rx, tx := halves(t, dev)
			far := c.far.Far(t, "eth0")
			linkIs(t, dev, hal.LinkUp)
			set(c, "down")
			linkIs(t, dev, hal.LinkDown)
			for range 10 {
				if !send(t, tx, broadcast(60)) {
					t.Fatal("a device that is down does not take a packet")
				}
			}
			if got := hal.StatsOf(dev).Drops["tx-link-down"]; got != 10 {
				t.Errorf("%d packets are counted as lost, want 10", got)
			}
			if _, err := rx.Rx(make([]hal.Frame, 32)); err != nil { // what came before it may be there
				t.Errorf("Rx of an interface that is down: %v", err)
			}
			set(c, "up")
			linkIs(t, dev, hal.LinkUp)
			eventually(t, "a packet arrives", func() bool {
				send(t, tx, broadcast(60))
				_, err := far.Recv(time.Millisecond)
				return err == nil
			})
		})
	}
}

func linkIs(t *testing.T, dev hal.Device, want hal.Link) {
	t.Helper()
	eventually(t, fmt.Sprint("the link is ", want), func() bool { return dev.Info().Link == want })
}

// What the kernel drops while it is being sent is counted, one packet at a time
// with a recess between, and does not come to rest in the ring.
func TestKernelDropsWhatIsSent(t *testing.T) {
	c := variant{}.cable(t)
	dev := c.open(t, "?filter=all")
	_, tx := halves(t, dev)
	c.far.Run("ip", "link", "set", "eth0", "down")
	linkIs(t, dev, hal.LinkDown)
	d := dev.(*device)
	d.link.down.Store(false) // as it is for a moment, until the kernel says so
	const n = 5
	for range n {
		fill(t, tx, broadcast(60))
	}
	eventually(t, "the ring is empty", func() bool {
		if err := tx.Flush(); err != nil {
			t.Fatal(err)
		}
		_, waits := tx.(hal.Pending).Pending()
		return !waits
	})
	q := &d.queues[0].tx
	if got := hal.StatsOf(dev).Drops["tx-busy"]; got != n || len(q.pool.free) != q.layout.tx {
		t.Errorf("%d of %d packets are counted as lost, and %d of %d chunks are back", got, n, len(q.pool.free), q.layout.tx)
	}
}

// What is in the ring when the interface goes down is sent when it is up again,
// and nobody has to do more than to flush when the sleeper says so.
func TestRingSurvivesDown(t *testing.T) {
	c := variant{}.cable(t)
	dev := c.open(t, "?filter=all")
	_, tx := halves(t, dev)
	far := c.far.Far(t, "eth0")
	s := sleeper(t, dev)
	fill(t, tx, broadcast(99)) // and no doorbell
	c.near.Run("ip", "link", "set", "veth0", "down")
	linkIs(t, dev, hal.LinkDown)
	if err := tx.Flush(); err != nil {
		t.Fatal(err)
	}
	if at, ok := tx.(hal.Pending).Pending(); ok {
		t.Errorf("wants to be flushed at %v, which would be in vain", at)
	}
	c.near.Run("ip", "link", "set", "veth0", "up")
	for {
		if err := s.Wait(time.Now().Add(guard)); err != nil {
			t.Fatal(err)
		}
		if err := tx.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			p, err := far.Recv(time.Millisecond)
			if err != nil {
				break
			}
			if len(p) == 99 {
				return
			}
		}
	}
}

// Fifty times in one process: nothing is left behind, and the queue is free again
// in time.
func TestReopen(t *testing.T) {
	c := variant{queues: 2}.cable(t)
	var before int
	for i := range 50 {
		dev := c.open(t, "?queues=2")
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // what is made once is made
			before = descriptors(t)
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d after the first time", after, before)
	}
	if maps, _ := os.ReadFile("/proc/self/maps"); strings.Contains(string(maps), "AF_XDP") || strings.Count(string(maps), "anon_inode:[xdp") > 0 {
		t.Error("rings are still mapped")
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// A queue belongs to one socket.
func TestQueueTaken(t *testing.T) {
	c := variant{}.cable(t)
	c.open(t, "?filter=all")
	dev, err := c.tryOpen("?filter=all")
	if err == nil {
		dev.Close()
		t.Fatal("a second device is opened on the same queue")
	}
	if !errors.Is(err, unix.EBUSY) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %q", err)
	}
}
