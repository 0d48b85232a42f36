package afxdp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// Info says what was obtained, whatever was asked for.
func TestInfoSaysWhatWasObtained(t *testing.T) {
	for _, c := range []struct {
		variant
		mode  string
		chain int
	}{
		{variant{spec: ""}, "native, copy", 1},
		{variant{spec: "?mode=generic"}, "generic, copy", 1},
		{variant{spec: "?copy=zero"}, "native, copy", 1}, // a virtual cable copies
		{variant{spec: "?copy=copy&queues=2", queues: 2}, "native, copy", 1},
		{variant{spec: "", mtu: 9000}, "native, copy", 3},
	} {
		t.Run(c.String(), func(t *testing.T) {
			cable := c.cable(t)
			i := cable.open(t, c.spec).Info()
			if i.Driver != "afxdp" || i.Name != "veth0" || i.Mode != c.mode || i.MaxChain != c.chain || !i.SharedMAC ||
				i.MTU != max(c.mtu, 1500) && c.mtu != i.MTU || i.Queues != max(c.queues, 1) || i.MAC == (hal.MAC{}) || i.TxOffloads != hal.Csum {
				t.Errorf("%+v", i)
			}
		})
	}
}

// Locked memory is limited for those without CAP_IPC_LOCK.
func TestLockedMemory(t *testing.T) {
	c := variant{}.cable(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: 1 << 20, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &low); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit)
	for _, o := range []struct {
		keys string
		fits bool
	}{{"", false}, {"?frames=256", true}} {
		err := c.near.Do(func() error { // on a thread of its own
			restore, err := withoutIPCLock()
			if err != nil {
				return err
			}
			defer restore()
			dev, err := hal.Open("afxdp:veth0" + o.keys)
			if err == nil {
				dev.Close()
			}
			return err
		})
		switch {
		case o.fits && err != nil:
			t.Errorf("%s: %v", o.keys, err)
		case !o.fits && (!errors.Is(err, unix.ENOBUFS) || !strings.Contains(err.Error(), "ulimit -l") || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: the error is %v", o.keys, err)
		}
	}
}

// withoutIPCLock takes a capability from the calling thread.
func withoutIPCLock() (restore func(), err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var was [2]unix.CapUserData
	if err := unix.Capget(&hdr, &was[0]); err != nil {
		return nil, err
	}
	less := was
	less[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	return func() { _ = unix.Capset(&hdr, &was[0]) }, unix.Capset(&hdr, &less[0])
}

// A reader that is too slow loses packets, every one of them counted, and the
// counters outlive the device.
func TestSlowReader(t *testing.T) {
	c := variant{}.cable(t)
	dev := c.open(t, "?filter=all&frames=256")
	rx, _ := halves(t, dev)
	far := c.far.Far(t, "eth0")
	const n = 1000
	before := hal.StatsOf(dev)
	for range n {
		if err := far.Send(broadcast(60)); err != nil {
			t.Fatal(err)
		}
	}
	fs, got := make([]hal.Frame, 32), 0
	eventually(t, "all are received, or counted", func() bool {
		k, err := rx.Rx(fs)
		if err != nil {
			t.Fatal(err)
		}
		for i := range fs[:k] {
			if d := fs[i].Data; d[12] == 0x88 && d[13] == 0xb5 {
				got++
			}
		}
		rx.Release(fs[:k])
		s := hal.StatsOf(dev)
		lost := s.Drops[rxRingFull] + s.Drops[rxNoBuffer] + s.Drops[rxDropped] - before.Drops[rxRingFull]
		return got > 0 && k == 0 && got+int(lost) >= n
	})
	if got == n {
		t.Error("nothing is lost: the test does not test")
	}
	s := hal.StatsOf(dev)
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if after := hal.StatsOf(dev); after.RxPackets != s.RxPackets || after.Drops[rxRingFull] < s.Drops[rxRingFull] {
		t.Errorf("statistics before Close %+v, after it %+v", s, after)
	}
}

// A packet on its way costs no memory.
func TestNoAllocation(t *testing.T) {
	c := variant{}.cable(t)
	dev := c.open(t, "?filter=all")
	rx, tx := halves(t, dev)
	far := c.far.Far(t, "eth0")
	fs, p := make([]hal.Frame, 32), broadcast(1514)
	if got := testing.AllocsPerRun(200, func() {
		for range 4 {
			n, err := tx.Alloc(fs, len(p))
			if n != 1 || err != nil {
				t.Fatal(n, err)
			}
			copy(fs[0].Data, p)
			if n, err := tx.Tx(fs[:1]); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := tx.Flush(); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("sending 4 packets allocates %v times", got)
	}
	for range 256 {
		if err := far.Send(p); err != nil {
			t.Fatal(err)
		}
	}
	received := 0
	if got := testing.AllocsPerRun(200, func() {
		n, err := rx.Rx(fs)
		if err != nil {
			t.Fatal(err)
		}
		received += n
		rx.Release(fs[:n])
	}); got > 0 || received < 256 {
		t.Errorf("receiving allocates %v times in a burst; %d of 256 packets arrived", got, received)
	}
}

// A device that was full asks to be looked at, until it is not full any more:
// nobody is woken for ever because somebody wanted to send once.
func TestFullIsNotForEver(t *testing.T) {
	c := variant{}.cable(t)
	_, tx := halves(t, c.open(t, "?filter=all&frames=256"))
	pending := func() bool { _, ok := tx.(hal.Pending).Pending(); return ok }
	fs, lent := make([]hal.Frame, 1), []hal.Frame(nil)
	for {
		n, err := tx.Alloc(fs, 60)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if pending() {
			t.Fatal("a device that is not full asks to be looked at")
		}
		lent = append(lent, fs[0])
	}
	if !pending() {
		t.Error("a full device does not ask to be looked at")
	}
	tx.Release(lent)
	if err := tx.Flush(); err != nil {
		t.Fatal(err)
	}
	if pending() {
		t.Error("a device that is not full any more asks to be looked at")
	}
}

// A full device that is closed, or whose interface is gone, asks nobody to look again:
// the sleeper would never come to rest.
func TestFullIsOverAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(c cable, dev hal.Device){
		"closed": func(_ cable, dev hal.Device) { dev.Close() },
		"gone": func(c cable, dev hal.Device) {
			c.near.Run("ip", "link", "delete", "veth0")
			linkIs(t, dev, hal.LinkDown)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := variant{}.cable(t)
			dev := c.open(t, "?filter=all&frames=256")
			_, tx := halves(t, dev)
			fs := make([]hal.Frame, 1)
			for n := 1; n > 0; {
				var err error
				if n, err = tx.Alloc(fs, 60); err != nil {
					t.Fatal(err)
				}
			}
			if _, ok := tx.(hal.Pending).Pending(); !ok {
				t.Fatal("a full device does not ask to be looked at")
			}
			end(c, dev)
			eventually(t, "nobody asks to be looked at", func() bool { _, ok := tx.(hal.Pending).Pending(); return !ok })
		})
	}
}

// What is full and has no carrier waits for that alone, however long it takes.
func TestFullWithoutCarrier(t *testing.T) {
	c := variant{}.cable(t)
	dev := c.open(t, "?filter=all&frames=256")
	_, tx := halves(t, dev)
	s := sleeper(t, dev)
	pending := func() bool { _, ok := tx.(hal.Pending).Pending(); return ok }
	fs := make([]hal.Frame, 1)
	alloc := func() (n int) {
		n, err := tx.Alloc(fs, 60)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for alloc() > 0 {
	}
	if !pending() {
		t.Fatal("a full device does not ask to be looked at")
	}
	c.far.Run("ip", "link", "set", "eth0", "down")
	linkIs(t, dev, hal.LinkDown)
	if err := tx.Flush(); err != nil {
		t.Fatal(err)
	}
	if alloc(); pending() {
		t.Error("a full device without carrier asks to be looked at")
	}
	c.far.Run("ip", "link", "set", "eth0", "up")
	eventually(t, "a full device asks to be looked at when the carrier is back", func() bool {
		if err := s.Wait(time.Now().Add(guard)); err != nil {
			t.Fatal(err)
		}
		alloc()
		return pending()
	})
}

// Frames that are on loan when the device is closed stay readable, and when the
// last of them comes back their addresses are free.
func TestLoansOutliveDevice(t *testing.T) {
	c := variant{}.cable(t)
	dev := c.open(t, "?filter=all&frames=256")
	rx, tx := halves(t, dev)
	far := c.far.Far(t, "eth0")
	if err := far.Send(broadcast(60)); err != nil {
		t.Fatal(err)
	}
	in, out := make([]hal.Frame, 32), make([]hal.Frame, 1)
	n := 0
	eventually(t, "a packet arrives", func() (ok bool) {
		var err error
		if n, err = rx.Rx(in); err != nil {
			t.Fatal(err)
		}
		return n > 0
	})
	if k, err := tx.Alloc(out, 60); k != 1 || err != nil {
		t.Fatal(k, err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	mem := dev.(*device).mem
	for _, f := range append(in[:n:n], out...) {
		for i := range f.Data {
			f.Data[i]++ // it would be a fault
		}
	}
	tx.Release(out)
	tx.Release(out)
	if mem.mem == nil {
		t.Fatal("memory is unmapped while a frame is on loan")
	}
	for i := range in[:n] {
		rx.Release(in[i : i+1])
	}
	if mem.mem != nil {
		t.Error("memory stays mapped when no frame is on loan any more")
	}
}

// How arrivals are noticed is said to the sleeper by the receive half.
func TestModeration(t *testing.T) {
	c := variant{}.cable(t)
	for keys, want := range map[string]time.Duration{
		"?wait=poll": 0, "?wait=busy-poll": 0, "?wait=coalesce": defaultDelay, "?wait=coalesce:200us": 200 * time.Microsecond, "?wait=spin": -1,
	} {
		dev := c.open(t, keys)
		rx, _ := halves(t, dev)
		if m, ok := hal.As[hal.Moderated](rx); !ok || m.Moderation() != want {
			t.Errorf("%s: %v, want %v", keys, m.Moderation(), want)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A loan that ends in the middle of Close, after the halves were closed and before
// the loans are counted, is not counted: the memory of the others stays.
func TestLoanEndsDuringClose(t *testing.T) {
	k := newFakeKernel(t, minFrames, 1500)
	mem, err := newUMEM(unix.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	k.tx.mem = mem
	var fs [3]hal.Frame
	for i := range fs {
		if n, err := k.tx.Alloc(fs[i:], 60); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	k.tx.half.Retire()
	k.tx.Release(fs[:1])
	if err := mem.end(k.tx.onLoan()); err != nil {
		t.Fatal(err)
	}
	k.tx.Release(fs[1:2])
	if mem.mem == nil {
		t.Fatal("memory is unmapped while a frame is on loan")
	}
	k.tx.Release(fs[2:])
	if mem.mem != nil {
		t.Error("memory stays mapped when no frame is on loan any more")
	}
}
