package wrap

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
)

// number is a wire frame that can be told from others.
func number(t testing.TB, n int) packet {
	return complete(t, blankUDP(client4, server4, payload(40+n)))
}

// numbers returns which of the frames made by number these are.
func numbers(ps []packet) (ns []int) {
	for _, p := range ps {
		ns = append(ns, len(p.data)-14-20-8-40)
	}
	return ns
}

func flush(t testing.TB, tx hal.TxQueue) {
	t.Helper()
	if err := tx.Flush(); err != nil {
		t.Fatal("Flush:", err)
	}
}

func TestInjectNothingPassesAll(t *testing.T) {
	f := newFake()
	dev := Inject(f, InjectOptions{})
	rx, tx := queues(t, dev)
	var want []packet
	for n := range 200 {
		p := number(t, 5*n)
		if !send(t, tx, p) {
			t.Fatalf("packet %d was not taken", n)
		}
		want = append(want, p)
	}
	flush(t, tx)
	if !slices.EqualFunc(f.out, want, samePacket) {
		t.Errorf("%d packets came out, or others than the %d that went in", len(f.out), len(want))
	}
	f.in = slices.Clone(want)
	f.in[0].meta.CsumValid = true
	got := receive(t, rx)
	if !slices.EqualFunc(got, want, samePacket) {
		t.Errorf("%d packets were received, or others than the %d that came", len(got), len(want))
	}
	if !got[0].meta.CsumValid || got[1].meta.CsumValid {
		t.Error("CsumValid did not pass through")
	}
	if f.lent != 0 {
		t.Errorf("%d frames of the device are still on loan", f.lent)
	}
	if _, ok := hal.PendingOf(tx); ok {
		t.Error("something is pending")
	}
	if f.flushes == 0 {
		t.Error("the doorbell was not rung")
	}
	s := hal.StatsOf(dev)
	if s.TxPackets != 200 || s.RxPackets != 200 || s.TxBytes != s.RxBytes || s.Drops["rx-fake"] != 3 {
		t.Errorf("statistics: %+v", s)
	}
}

func samePacket(a, b packet) bool { return bytes.Equal(a.data, b.data) }

// On the wire there are no super-frames and no blank checksums, so faults must
// not see any.
func TestInjectCutsBeforeTheVerdict(t *testing.T) {
	for _, c := range []struct {
		name string
		p    packet
		n    int // wire frames
	}{
		{"tcp4", super(blankTCP(client4, server4, 1000, 2, 0x18, payload(60000)), hal.GSOTCP4, 1460), 42},
		{"tcp6", super(blankTCP(client6, server6, 1000, 2, 0x18, payload(5001)), hal.GSOTCP6, 1440), 4},
		{"udp4", super(blankUDP(client4, server4, payload(2500)), hal.GSOUDP, 1000), 3},
		{"blank checksum", blankTCP(client4, server4, 1, 2, 0x10, payload(700)), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			dev := Inject(f, InjectOptions{})
			var seen [3]int
			dev.Add(func(packet []byte, dir Dir, _ time.Time, _ *rand.Rand) Verdict {
				seen[dir]++
				if v := verdict(packet); v != offload.Valid || len(packet) > 1514 {
					t.Errorf("the rule sees %d bytes, checksum %v", len(packet), v)
				}
				return Pass
			})
			rx, tx := queues(t, dev)
			if info := dev.Info(); !info.TxOffloads.Carries(c.p.meta) || info.RxOffloads != hal.Csum {
				t.Fatalf("Info says %+v", info)
			}
			send(t, tx, c.p)
			f.info.GSOMax = 65549
			f.in = []packet{c.p}
			got := receive(t, rx)
			if len(f.out) != c.n || len(got) != c.n || seen[Tx] != c.n || seen[Rx] != c.n {
				t.Fatalf("%d frames sent, %d received, %v seen by the rule; want %d each", len(f.out), len(got), seen, c.n)
			}
			for i := range got {
				if !bytes.Equal(got[i].data, f.out[i].data) || f.out[i].meta != (hal.Meta{}) {
					t.Errorf("frame %d differs between the directions, or has metadata %+v", i, f.out[i].meta)
				}
				if !got[i].meta.CsumValid {
					t.Errorf("frame %d: a checksum that never left the machine is not taken for valid", i)
				}
			}
			if s := dev.Stats(); s.TxPackets != 1 || s.RxPackets != uint64(c.n) {
				t.Errorf("statistics: %+v; super-frames count once", s)
			}
		})
	}
}

func TestInjectDelayAndPending(t *testing.T) {
	f, clk := newFake(), newClock()
	dev := Inject(f, InjectOptions{Faults: Faults{Delay: 5 * time.Millisecond}, Now: clk.now})
	rx, tx := queues(t, dev)
	start := clk.t
	send(t, tx, number(t, 1))
	clk.advance(2 * time.Millisecond)
	send(t, tx, number(t, 2))
	f.in = []packet{number(t, 3)}
	if got := receive(t, rx); len(got)+len(f.out) != 0 {
		t.Fatal("a packet came before its time")
	}
	for i, half := range []any{tx, rx} {
		want := start.Add([]time.Duration{5, 7}[i] * time.Millisecond)
		if at, ok := hal.PendingOf(half); !ok || !at.Equal(want) {
			t.Errorf("half %d is pending at %v, %v; want %v", i, at.Sub(start), ok, want.Sub(start))
		}
	}
	clk.advance(3 * time.Millisecond)
	flush(t, tx)
	if got := numbers(f.out); !slices.Equal(got, []int{1}) {
		t.Errorf("after 5 ms: %v sent", got)
	}
	clk.advance(2 * time.Millisecond)
	flush(t, tx)
	if got := numbers(f.out); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("after 7 ms: %v sent", got)
	}
	if got := numbers(receive(t, rx)); !slices.Equal(got, []int{3}) {
		t.Errorf("after 7 ms: %v received", got)
	}
	if _, ok := hal.PendingOf(tx); ok {
		t.Error("pending with nothing held")
	}
	if i := dev.Injected(Both); i.Delayed != 3 {
		t.Errorf("%d packets delayed, want 3", i.Delayed)
	}
}

func TestInjectRules(t *testing.T) {
	f, clk := newFake(), newClock()
	dev := Inject(f, InjectOptions{Now: clk.now})
	rx, tx := queues(t, dev)
	dropOdd := dev.Add(func(p []byte, dir Dir, _ time.Time, _ *rand.Rand) Verdict {
		if dir == Tx && len(p)%2 == 1 {
			return Drop
		}
		return Pass
	})
	dev.Add(func(p []byte, dir Dir, _ time.Time, _ *rand.Rand) Verdict {
		if len(p) == len(number(t, 4).data) {
			return Deliver(time.Millisecond)
		}
		return Pass
	})
	for n := 1; n <= 6; n++ {
		send(t, tx, number(t, n))
		f.in = append(f.in, number(t, n))
	}
	got := receive(t, rx)
	clk.advance(time.Millisecond)
	flush(t, tx)
	got = append(got, receive(t, rx)...)
	if n := numbers(f.out); !slices.Equal(n, []int{2, 6, 4}) {
		t.Errorf("sent %v", n)
	}
	if n := numbers(got); !slices.Equal(n, []int{1, 2, 3, 5, 6, 4}) {
		t.Errorf("received %v", n)
	}
	if s := dev.Stats(); s.Drops["tx-fault-rule"] != 3 || s.Drops["rx-fault-rule"] != 0 {
		t.Errorf("drops %v", s.Drops)
	}
	dropOdd()
	send(t, tx, number(t, 7))
	if n := numbers(f.out); n[len(n)-1] != 7 {
		t.Errorf("sent %v after the rule was taken out", n)
	}
}

func TestInjectCorruption(t *testing.T) {
	f := newFake()
	dev := Inject(f, InjectOptions{Faults: Faults{Corrupt: 1}})
	rx, tx := queues(t, dev)
	for n := range 50 {
		p := number(t, n)
		send(t, tx, p)
		p.meta.CsumValid = true
		f.in = append(f.in, p)
	}
	send(t, tx, arp())
	for i, p := range append(receive(t, rx), f.out[:50]...) {
		if v := verdict(p.data); v != offload.Bad || p.meta.CsumValid {
			t.Errorf("packet %d: checksum %v, said to be valid: %v", i, v, p.meta.CsumValid)
		}
	}
	if !bytes.Equal(f.out[50].data, arp().data) {
		t.Error("an ARP packet was corrupted; no checksum catches that")
	}
	if i := dev.Injected(Tx); i.Corrupted != 50 {
		t.Errorf("%d corrupted, want 50", i.Corrupted)
	}
	for reason, n := range dev.Stats().Drops {
		if n != 0 {
			t.Errorf("%s: %d; a corrupted packet is not a drop", reason, n)
		}
	}
}

func TestInjectDuplicatesAndReorders(t *testing.T) {
	f, clk := newFake(), newClock()
	dev := Inject(f, InjectOptions{Faults: Faults{Dup: 1, Dir: Tx}, Now: clk.now})
	_, tx := queues(t, dev)
	send(t, tx, number(t, 1))
	send(t, tx, number(t, 2))
	if got := numbers(f.out); !slices.Equal(got, []int{1, 1, 2, 2}) {
		t.Errorf("sent %v", got)
	}

	// Each copy is a loan of its own.
	dev = Inject(f, InjectOptions{Faults: Faults{Dup: 1}})
	rx, _ := queues(t, dev)
	f.in = []packet{number(t, 3)}
	fs := make([]hal.Frame, 3)
	if n, err := rx.Rx(fs); n != 2 || err != nil {
		t.Fatalf("Rx = %d, %v; want both copies", n, err)
	}
	fs[0].Data[20]++
	if bytes.Equal(fs[0].Data, fs[1].Data) {
		t.Error("the copies share memory")
	}

	f = newFake()
	dev = Inject(f, InjectOptions{Faults: Faults{Reorder: 0.5}, Seed: 4, Now: clk.now})
	_, tx = queues(t, dev)
	for n := range 20 {
		send(t, tx, number(t, n))
		clk.advance(time.Microsecond)
	}
	clk.advance(time.Second)
	flush(t, tx)
	got := numbers(f.out)
	if slices.IsSorted(got) || len(got) != 20 {
		t.Errorf("sent %v", got)
	}
	if i := dev.Injected(Tx); i.Reordered == 0 || i.Reordered == 20 {
		t.Errorf("%d reordered", i.Reordered)
	}
}

func TestInjectSameSeedSameTraffic(t *testing.T) {
	run := func(seed uint64) (out []packet) {
		f, clk := newFake(), newClock()
		faults := Faults{Drop: 0.1, Dup: 0.1, Corrupt: 0.1, Reorder: 0.1, Delay: time.Millisecond, Jitter: time.Millisecond}
		_, tx := queues(t, Inject(f, InjectOptions{Faults: faults, Seed: seed, Now: clk.now}))
		for n := range 300 {
			send(t, tx, number(t, n))
			clk.advance(100 * time.Microsecond)
			flush(t, tx)
		}
		return f.out
	}
	a, b, c := run(1), run(1), run(2)
	if !slices.EqualFunc(a, b, samePacket) {
		t.Error("the same seed gives different traffic")
	}
	if slices.EqualFunc(a, c, samePacket) {
		t.Error("different seeds give the same traffic")
	}
}

// Everything optional that a device can do must be found through any wrapper.
func TestWrappersHideNothing(t *testing.T) {
	for name, wrap := range map[string]func(hal.Device) hal.Device{
		"faults": func(d hal.Device) hal.Device { return Inject(d, InjectOptions{}) },
		"pcap": func(d hal.Device) hal.Device {
			return Pcap(d, pcapng.NewWriter(io.Discard, ""), PcapOptions{})
		},
		"trace": func(d hal.Device) hal.Device { return Trace(d, slog.New(slog.DiscardHandler), TraceOptions{}) },
		"stats": func(d hal.Device) hal.Device { return Stats(d) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			dev := wrap(f)
			if err := hal.SetLocal(dev, hal.Local{DHCP: true}); err != nil || len(f.steer) != 1 {
				t.Errorf("SetLocal through the wrapper: %v, %d calls", err, len(f.steer))
			}
			if _, ok := hal.As[*fake](dev); !ok {
				t.Error("the device is not found")
			}
			rx, tx := queues(t, dev)
			if _, ok := hal.As[fakeRx](rx); !ok {
				t.Error("the receive half is not found")
			}
			if _, ok := hal.As[fakeTx](tx); !ok {
				t.Error("the transmit half is not found")
			}
			if n, ok := hal.As[hal.Notifier](tx); !ok {
				t.Error("the transmit half's Notifier is not found")
			} else if n.Notify(func() {}); f.notify == nil {
				t.Error("Notify does not reach the device")
			}
			rx2, tx2 := queues(t, dev)
			if rx2 != rx || tx2 != tx {
				t.Error("Queue gives other halves the second time")
			}
		})
	}
}
