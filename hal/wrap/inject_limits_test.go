package wrap

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// A device that takes nothing must lose nothing: the user is told.
func TestInjectBackPressure(t *testing.T) {
	f := newFake()
	f.ring = 1
	clk := newClock()
	dev := Inject(f, InjectOptions{Now: clk.now})
	_, tx := queues(t, dev)
	woken := 0
	tx.(hal.Notifier).Notify(func() { woken++ })
	if f.notify == nil {
		t.Error("the device does not hear of Notify")
	}
	super := super(blankTCP(client4, server4, 0, 0, 0x10, payload(10*1460)), hal.GSOTCP4, 1460)
	if !send(t, tx, super) {
		t.Fatal("a super-frame was not taken by an empty Injector")
	}
	if len(f.out) != 1 {
		t.Fatalf("%d frames in a device with room for one", len(f.out))
	}
	fs := make([]hal.Frame, 1)
	if n, err := tx.Alloc(fs, 100); n != 0 || err != nil {
		t.Errorf("Alloc over a full device: %d, %v", n, err)
	}
	if at, ok := hal.PendingOf(tx); !ok || !at.After(clk.t) {
		t.Errorf("pending at %v, %v; want a little later", at, ok)
	}
	for round := 2; round <= 10; round++ {
		flush(t, tx)
		flush(t, tx)
		if len(f.out) < round {
			t.Fatalf("round %d: %d frames sent", round, len(f.out))
		}
	}
	flush(t, tx)
	if woken == 0 {
		t.Error("nobody was told of room")
	}
	for i, p := range f.out {
		if seq := binary.BigEndian.Uint32(p.data[38:]); seq != uint32(i*1460) {
			t.Errorf("segment %d has sequence number %d: not in order", i, seq)
		}
	}
	if !send(t, tx, number(t, 1)) {
		t.Error("not taken although there is room")
	}
	if f.lent != 0 {
		t.Errorf("%d frames of the device still on loan", f.lent)
	}
}

// A burst is taken as far as there is room, the rest stays the caller's.
func TestInjectTakesPartOfABurst(t *testing.T) {
	f, clk := newFake(), newClock()
	f.ring = 3
	dev := Inject(f, InjectOptions{Now: clk.now, Hold: 32 << 10})
	_, tx := queues(t, dev)
	p := super(blankTCP(client4, server4, 0, 0, 0x10, payload(40*1460)), hal.GSOTCP4, 1460)
	fs := make([]hal.Frame, 10)
	for i := range fs {
		if n, err := tx.Alloc(fs[i:i+1], len(p.data)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		fill(fs[i:i+1], p.data)
		fs[i].Meta = p.meta
	}
	if n, err := tx.Tx(fs); n != 1 || err != nil {
		t.Fatalf("Tx = %d, %v; want one, of which a part is sent", n, err)
	}
	for rest, rounds := fs[1:], 0; len(rest) > 0; rounds++ {
		n, err := tx.Tx(rest)
		if err != nil || rounds > 1000 {
			t.Fatalf("round %d: %d left, %v", rounds, len(rest), err)
		}
		rest = rest[n:]
		flush(t, tx)
	}
	for range 20 {
		flush(t, tx)
	}
	for i, p := range f.out {
		if seq := binary.BigEndian.Uint32(p.data[38:]); seq != uint32(i%40*1460) {
			t.Fatalf("segment %d has sequence number %d", i, seq)
		}
	}
	if len(f.out) != 400 || f.lent != 0 {
		t.Errorf("%d of 400 segments were sent, %d frames are on loan", len(f.out), f.lent)
	}
}

func TestInjectHoldIsBounded(t *testing.T) {
	f, clk := newFake(), newClock()
	f.info.GSOMax = 65549
	dev := Inject(f, InjectOptions{Faults: Faults{Delay: time.Second}, Now: clk.now, Hold: 64 << 10})
	rx, tx := queues(t, dev)
	super := super(blankTCP(client4, server4, 0, 0, 0x10, payload(40*1460)), hal.GSOTCP4, 1460)
	taken := 0
	for range 10 {
		if send(t, tx, super) {
			taken++
		}
		f.in = append(f.in, super)
	}
	if taken != 1 {
		t.Errorf("%d super-frames of 60 kB taken into a hold of 64 KiB", taken)
	}
	if got := receive(t, rx); len(got) != 0 {
		t.Fatalf("received %d at once", len(got))
	}
	q := dev.queues[0]
	for _, l := range []*lane{q.tx.lane, q.rx.lane} {
		if l.hold.bytes > 66<<10 {
			t.Errorf("%d bytes held", l.hold.bytes)
		}
	}
	got := 0
	for range 20 {
		clk.advance(time.Second)
		flush(t, tx)
		got += len(receive(t, rx))
	}
	if len(f.out) != 40*taken || got != 400 {
		t.Errorf("%d of %d frames sent, %d of 400 received", len(f.out), 40*taken, got)
	}
	if f.lent != 0 {
		t.Errorf("%d frames of the device still on loan", f.lent)
	}
}

func TestInjectRxLoans(t *testing.T) {
	f := newFake()
	dev := Inject(f, InjectOptions{})
	rx, _ := queues(t, dev)
	loans := dev.Info().Loans
	for range loans + 1 {
		f.in = append(f.in, number(t, 1))
	}
	fs := make([]hal.Frame, loans+1)
	n, err := rx.Rx(fs)
	if n != loans || err != nil {
		t.Fatalf("Rx = %d, %v; want all %d loans", n, err, loans)
	}
	if k, err := rx.Rx(fs[n:]); k != 0 || err != nil {
		t.Errorf("Rx with all loans out = %d, %v", k, err)
	}
	rx.Release(fs[:1])
	rx.Release(fs[:1]) // a second time: ends no other loan
	if k, err := rx.Rx(fs[n:]); k != 1 || err != nil {
		t.Errorf("Rx after Release = %d, %v", k, err)
	}
}

func TestInjectBadPackets(t *testing.T) {
	f := newFake()
	dev := Inject(f, InjectOptions{})
	rx, tx := queues(t, dev)
	bad := super(blankTCP(client4, server4, 0, 0, 0x10, payload(3000)), hal.GSOUDP, 1000)
	if !send(t, tx, bad) {
		t.Error("a packet with nonsense metadata must be taken and counted")
	}
	f.info.GSOMax = 65549
	f.in = []packet{bad}
	if got := receive(t, rx); len(got) != 0 {
		t.Error("received a packet with nonsense metadata")
	}
	f.info.GSOMax = 0
	if !send(t, tx, packet{data: make([]byte, 1515)}) {
		t.Error("a packet over the MTU must be taken and counted")
	}
	if s := dev.Stats(); s.Drops["tx-malformed"] != 1 || s.Drops["rx-malformed"] != 1 || s.Drops["tx-too-long"] != 1 {
		t.Errorf("drops: %v", s.Drops)
	}
	fs := make([]hal.Frame, 2)
	if _, err := tx.Alloc(fs, longestSuper+1); !errors.Is(err, hal.ErrTooLong) {
		t.Errorf("Alloc of too much: %v", err)
	}
	if _, err := rx.Rx(nil); !errors.Is(err, hal.ErrShortBurst) {
		t.Errorf("Rx without room: %v", err)
	}
}

func TestInjectClose(t *testing.T) {
	f, clk := newFake(), newClock()
	dev := Inject(f, InjectOptions{Faults: Faults{Delay: time.Second}, Now: clk.now})
	rx, tx := queues(t, dev)
	woken := false
	tx.(hal.Notifier).Notify(func() { woken = true })
	for n := range 3 {
		send(t, tx, number(t, n))
	}
	f.in = []packet{number(t, 1)}
	receive(t, rx)
	for range 2 {
		if err := dev.Close(); err != nil {
			t.Fatal("Close:", err)
		}
	}
	if !f.closed || !woken {
		t.Errorf("device closed: %v, sleeper woken: %v", f.closed, woken)
	}
	if s := dev.Stats(); s.Drops["tx-fault-close"] != 3 || s.Drops["rx-fault-close"] != 1 {
		t.Errorf("drops: %v", s.Drops)
	}
	fs := make([]hal.Frame, 4)
	_, errRx := rx.Rx(fs)
	_, errAlloc := tx.Alloc(fs, 60)
	_, errTx := tx.Tx(nil)
	_, _, errQueue := dev.Queue(0)
	for what, err := range map[string]error{"Rx": errRx, "Alloc": errAlloc, "Tx": errTx, "Flush": tx.Flush(), "Queue": errQueue} {
		if !errors.Is(err, hal.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	if _, ok := hal.PendingOf(tx); ok {
		t.Error("pending after Close")
	}
}

// Everything that may run beside the owners of the halves, beside them. The race
// detector is the judge.
func TestInjectConcurrently(t *testing.T) {
	f := newFake()
	dev := Inject(f, InjectOptions{Faults: Faults{Delay: 10 * time.Microsecond, Drop: 0.1, Dup: 0.1}})
	rx, tx := queues(t, dev)
	var owners, others sync.WaitGroup
	end := make(chan struct{})
	owners.Go(func() {
		for n := range 500 {
			send(t, tx, number(t, n))
			flush(t, tx)
		}
	})
	owners.Go(func() {
		for n := range 500 {
			f.mu.Lock()
			f.in = append(f.in, number(t, n))
			f.mu.Unlock()
			receive(t, rx)
		}
	})
	beside := func(what func()) {
		others.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					what()
				}
			}
		})
	}
	beside(func() { hal.PendingOf(tx); hal.PendingOf(rx) })
	beside(func() { dev.Stats(); dev.Injected(Both); dev.Info() })
	beside(func() {
		remove := dev.Add(func([]byte, Dir, time.Time, *rand.Rand) Verdict { return Drop })
		remove()
	})
	owners.Wait()
	dev.Close()
	close(end)
	others.Wait()
	s, i := dev.Stats(), dev.Injected(Tx)
	lost := uint64(0)
	for _, reason := range []string{"rule", "drop", "close"} {
		lost += s.Drops["tx-fault-"+reason]
	}
	if sent := uint64(len(f.out)); s.TxPackets != 500 || sent+lost != 500+i.Duplicated {
		t.Errorf("of %d packets %d were sent and %d lost, %d came twice", s.TxPackets, sent, lost, i.Duplicated)
	}
}
