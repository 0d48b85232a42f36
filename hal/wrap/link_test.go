package wrap

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal/offload"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		v    Verdict
		want time.Duration
		ok   bool
	}{{Pass, 0, false}, {Drop, 0, false}, {Deliver(0), 0, true}, {Deliver(-1), 0, true}, {Deliver(time.Second), time.Second, true}} {
		if d, ok := c.v.Delay(); d != c.want || ok != c.ok {
			t.Errorf("%d.Delay() = %v, %v; want %v, %v", c.v, d, ok, c.want, c.ok)
		}
	}
}

func TestRulesFirstVerdictWins(t *testing.T) {
	says := func(v Verdict) Rule {
		return func([]byte, Dir, time.Time, *rand.Rand) Verdict { return v }
	}
	var r Rules
	ask := func() Verdict { return r.Verdict(nil, Tx, time.Time{}, nil) }
	if ask() != Pass {
		t.Error("no rules do not pass")
	}
	removePass := r.Add(says(Pass))
	removeLate := r.Add(says(Deliver(5)))
	removeDrop := r.Add(says(Drop))
	if v := ask(); v != Deliver(5) {
		t.Errorf("verdict %d, want the first that is not Pass", v)
	}
	removeLate()
	removeLate()
	if v := ask(); v != Drop {
		t.Errorf("after a rule was taken out: %d, want Drop", v)
	}
	removePass()
	removeDrop()
	if v := ask(); v != Pass {
		t.Errorf("without rules: %d", v)
	}
}

// fates runs n packets, one every gap, through a link.
func fates(f Faults, n int, gap time.Duration, seed uint64) []Fate {
	l, rnd, now := NewLink(f, nil, Tx), seeded(seed), newClock()
	p := make([]byte, 1250) // 10,000 bits
	out := make([]Fate, n)
	for i := range out {
		out[i] = l.Fate(p, now.t, rnd)
		now.advance(gap)
	}
	return out
}

func TestLinkSameSeedSameFates(t *testing.T) {
	f := Faults{Drop: 0.1, Dup: 0.1, Reorder: 0.1, Delay: time.Millisecond, Jitter: time.Millisecond, Rate: 1e9}
	a, b, c := fates(f, 1000, time.Microsecond, 1), fates(f, 1000, time.Microsecond, 1), fates(f, 1000, time.Microsecond, 2)
	same := true
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("packet %d: %+v and %+v with the same seed", i, a[i], b[i])
		}
		same = same && a[i] == c[i]
	}
	if same {
		t.Error("two seeds give the same fates")
	}
}

func TestLinkChances(t *testing.T) {
	const n = 20000
	lost, twice, late := 0, 0, 0
	for _, f := range fates(Faults{Drop: 0.1, Dup: 0.2, Reorder: 0.3}, n, time.Millisecond, 7) {
		switch {
		case f.Lost == LostByFault:
			lost++
			continue
		case f.Lost != Arrives:
			t.Fatalf("lost: %v", f.Lost)
		}
		if f.Twice {
			twice++
		}
		if f.Late {
			late++
		}
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{{"drop", float64(lost) / n, 0.1}, {"dup", float64(twice) / float64(n-lost), 0.2}, {"reorder", float64(late) / float64(n-lost), 0.3}} {
		if c.got < c.want-0.02 || c.got > c.want+0.02 {
			t.Errorf("%s: %.3f of the packets, want %.1f", c.what, c.got, c.want)
		}
	}
}

func TestLinkJitterKeepsOrderReorderDoesNot(t *testing.T) {
	start := newClock().t
	last := start
	for i, f := range fates(Faults{Delay: 2 * time.Millisecond, Jitter: 2 * time.Millisecond}, 1000, 10*time.Microsecond, 3) {
		sent := start.Add(time.Duration(i) * 10 * time.Microsecond)
		if f.At.Before(last) || f.At.Before(sent) || f.At.After(sent.Add(4*time.Millisecond)) {
			t.Fatalf("packet %d sent at %v arrives at %v, the one before at %v", i, sent.Sub(start), f.At.Sub(start), last.Sub(start))
		}
		last = f.At
	}
	passed := 0
	all := fates(Faults{Reorder: 0.1}, 1000, 10*time.Microsecond, 3)
	for i, f := range all[:900] {
		if f.Late != all[i+1].At.Before(f.At) && !all[i+1].Late {
			t.Fatalf("packet %d, late %v, arrives at %v, the next at %v", i, f.Late, f.At.Sub(start), all[i+1].At.Sub(start))
		}
		if f.Late {
			passed++
		}
	}
	if passed == 0 {
		t.Error("no packet was reordered")
	}
}

func TestLinkRateAndQueue(t *testing.T) {
	start := newClock().t
	// 10 Mbit/s: 1 ms for each packet. Five at once, room for three.
	for i, f := range fates(Faults{Rate: 10_000_000, Queue: 3, Delay: time.Second}, 5, 0, 1) {
		want := Fate{At: start.Add(time.Second + time.Duration(i+1)*time.Millisecond)}
		if i >= 3 {
			want = Fate{Lost: LostInQueue}
		}
		if f != want {
			t.Errorf("packet %d: %+v, want %+v", i, f, want)
		}
	}
	// At half the rate none waits.
	for i, f := range fates(Faults{Rate: 10_000_000, Queue: 1}, 50, 2*time.Millisecond, 1) {
		if want := start.Add(time.Duration(2*i+1) * time.Millisecond); f.At != want {
			t.Errorf("packet %d arrives at %v, want %v", i, f.At.Sub(start), want.Sub(start))
		}
	}
}

func TestLinkDirection(t *testing.T) {
	for _, dir := range []Dir{Tx, Rx} {
		l := NewLink(Faults{Drop: 1, Dir: Rx}, nil, dir)
		if lost := l.Fate(nil, time.Time{}, seeded(1)).Lost != Arrives; lost != (dir == Rx) {
			t.Errorf("faults for rx: a packet on %v is lost: %v", dir, lost)
		}
	}
}

// Every bit that may flip must be caught by a receiver's checksum, and those
// that may not must not be chosen. The receiver here is package offload.
func TestCorruptionIsAlwaysCaught(t *testing.T) {
	noSum := blankUDP(client4, server4, payload(40))
	noSum.data[14+20+6], noSum.data[14+20+7] = 0, 0
	padded := complete(t, blankTCP(client4, server4, 1, 2, 0x10, nil))
	padded.data = append(padded.data, make([]byte, 6)...)
	fragment := ip(client4, server4, protoUDP, payload(64), -1)
	fragment.data[14+6] = 0x20 // more fragments
	fragment = fixIPv4(fragment)

	for _, c := range []struct {
		name string
		p    packet
		bits int // how many may flip
	}{
		{"tcp4", complete(t, blankTCP(client4, server4, 1, 2, 0x10, payload(99))), 8 * (19 + 20 + 99)},
		{"tcp6", complete(t, blankTCP(client6, server6, 1, 2, 0x10, payload(99))), 8 * (32 + 20 + 99)},
		{"udp4", complete(t, blankUDP(client4, server4, payload(33))), 8 * (19 + 4 + 33)},
		{"udp6", complete(t, blankUDP(client6, server6, payload(33))), 8 * (32 + 4 + 33)},
		{"ping4", complete(t, blankPing(client4, server4, payload(56))), 8 * (19 + 8 + 56)},
		{"ping6", complete(t, blankPing(client6, server6, payload(56))), 8 * (32 + 8 + 56)},
		{"padding is not covered", padded, 8 * (19 + 20)},
		{"udp without checksum: the IP header only", packet{data: noSum.data}, 8 * 19},
		{"fragment: the IP header only", fragment, 8 * 19},
		{"igmp: the IP header only", ip(client4, server4, 2, payload(8), -1), 8 * 19},
		{"icmpv6 over IPv4 is nothing", ip(client4, server4, protoICMPv6, payload(8), -1), 8 * 19},
		{"other protocol over IPv6", ip(client6, server6, 89, payload(30), -1), 0},
		{"arp", arp(), 0},
		{"runt", packet{data: make([]byte, 9)}, 0},
		{"cut off", packet{data: complete(t, blankTCP(client4, server4, 1, 2, 0x10, payload(99))).data[:90]}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			spans, n := caught(c.p.data)
			bits := 0
			for _, s := range spans[:n] {
				bits += 8 * (s.to - s.from)
				for bit := 8 * s.from; bit < 8*s.to; bit++ {
					Fate{Flip: bit}.Corrupt(c.p.data)
					if v := verdict(c.p.data); v != offload.Bad {
						t.Errorf("byte %d bit %d: %v, want %v", bit/8, bit%8, v, offload.Bad)
					}
					Fate{Flip: bit}.Corrupt(c.p.data)
				}
			}
			if bits != c.bits {
				t.Errorf("%d bits may flip, want %d", bits, c.bits)
			}
			rnd, hit := seeded(1), map[int]bool{}
			for range 20 * bits {
				hit[pickBit(c.p.data, rnd)] = true
			}
			if len(hit) < bits*9/10 || hit[0] {
				t.Errorf("%d different bits of %d were picked, none: %v", len(hit), bits, hit[0])
			}
			if bits == 0 && pickBit(c.p.data, rnd) != 0 {
				t.Error("a bit was picked")
			}
		})
	}
}

// Bursts change how losses are spread, not how many there are.
func TestBurst(t *testing.T) {
	for _, burst := range []float64{0, 1, 4, 20} {
		l, rnd := NewLink(Faults{Drop: 0.05, Burst: burst}, nil, Tx), rand.New(rand.NewPCG(1, 2))
		const frames = 400_000
		lost, bursts, last := 0, 0, false
		for range frames {
			now := l.Fate(make([]byte, 60), time.Time{}, rnd).Lost == LostByFault
			if now {
				lost++
				if !last {
					bursts++
				}
			}
			last = now
		}
		length := float64(lost) / float64(bursts)
		// Independent losses follow each other by chance, too: 1/(1-0.05).
		if want := max(burst, 1/0.95); lost < frames*4/100 || lost > frames*6/100 || length < want*0.9 || length > want*1.1 {
			t.Errorf("burst %v: %d of %d frames lost, in bursts of %.2f", burst, lost, frames, length)
		}
	}
}
