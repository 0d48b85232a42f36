package wrap

import (
	"math/rand/v2"
	"time"
)

// reorderBy is how long a reordered frame is held back beside its delay: long
// against the distance of frames in a busy flow, short against the time after
// which TCP sends again.
const reorderBy = 4 * time.Millisecond

// A Link decides what becomes of the wire frames of one direction of a link: the
// same faults for a device ([Inject]) and for a simulated network. It is a pure
// machine: packets, time and chance come in, a [Fate] comes out; it starts
// nothing, waits for nothing and keeps no packet. One goroutine at a time may
// use it.
//
// The rules are asked first. If all of them pass, the standard faults apply, in
// this order, each with its own chance and drawn only if that is above zero:
// drop, corrupt, duplicate, rate and queue, delay and jitter, reorder.
//
// Frames arrive in the order in which they were sent, whatever the jitter; only
// reordered ones do not: those are held back some 4 ms longer, so that what
// follows closely passes them. (Jitter that reorders would turn every burst into
// a storm of duplicate ACKs; ask for reorder instead.)
//
// Corruption flips one bit that a checksum at the receiver is certain to catch:
// anything in an IPv4 header but its first byte, and what a TCP, UDP or ICMP
// checksum covers, with the IPv6 addresses. Never bits that no checksum covers
// or that change what it covers: the Ethernet header, ARP, UDP without a
// checksum, lengths, other IPv6 header fields, padding. Such a bit would not
// test the receiver: it would break it by a fault that real links' frame check
// sequence does not let through either. A frame without a fit bit stays whole.
type Link struct {
	rules  *Rules
	dir    Dir
	faults Faults

	last    time.Time   // when the latest frame that kept its place arrives
	busy    time.Time   // until when the transmitter is sending
	leaving []time.Time // when the frames of its queue are sent, in order
	losing  bool        // within a burst of losses
}

// NewLink makes a link for the direction dir, which f.Dir may leave without
// standard faults. Rules may be nil.
func NewLink(f Faults, rules *Rules, dir Dir) *Link {
	if f.Dir != Both && f.Dir != dir {
		f = Faults{}
	}
	if f.Queue == 0 {
		f.Queue = DefaultQueue
	}
	if rules == nil {
		rules = new(Rules)
	}
	return &Link{rules: rules, dir: dir, faults: f}
}

// A Fate is what becomes of one frame.
type Fate struct {
	// Lost says why the frame does not arrive; Arrives: it does.
	Lost Loss
	// At is when the frame arrives, never before now.
	At time.Time
	// Twice says that it arrives a second time, at the same moment.
	Twice bool
	// Flip, if not zero, is the bit that flips on the way: byte Flip/8, bit
	// Flip%8. (Bit zero is in the Ethernet header, which is never hit.)
	Flip int
	// Late says that later frames may pass this one.
	Late bool
}

// Loss is why a frame does not arrive.
type Loss uint8

// The reasons.
const (
	Arrives     Loss = iota
	LostByRule       // a rule said Drop
	LostByFault      // Faults.Drop
	LostInQueue      // the queue in front of Faults.Rate was full
)

func (l Loss) String() string { return [...]string{"arrives", "rule", "drop", "queue"}[l%4] }

// Fate decides over one frame sent now. It only reads the frame; to flip the bit
// is up to the caller, see [Fate.Corrupt].
func (l *Link) Fate(packet []byte, now time.Time, rnd *rand.Rand) Fate {
	switch v := l.rules.Verdict(packet, l.dir, now, rnd); {
	case v == Drop:
		return Fate{Lost: LostByRule}
	case v != Pass:
		after, _ := v.Delay()
		return Fate{At: now.Add(after)}
	}
	f := &l.faults
	if l.lose(rnd) {
		return Fate{Lost: LostByFault}
	}
	var fate Fate
	if chance(rnd, f.Corrupt) {
		fate.Flip = pickBit(packet, rnd)
	}
	fate.Twice = chance(rnd, f.Dup)
	sent, ok := l.transmit(len(packet), now)
	if !ok {
		return Fate{Lost: LostInQueue}
	}
	fate.At = sent.Add(l.delay(rnd))
	if fate.Late = chance(rnd, f.Reorder); fate.Late {
		fate.At = fate.At.Add(reorderBy)
		return fate
	}
	if fate.At.Before(l.last) {
		fate.At = l.last
	}
	l.last = fate.At
	return fate
}

// Corrupt flips the bit that the fate has chosen, if any, and reports whether
// it has.
func (f Fate) Corrupt(packet []byte) bool {
	if f.Flip == 0 {
		return false
	}
	packet[f.Flip/8] ^= 1 << (f.Flip % 8)
	return true
}

// lose decides whether a frame is lost by Drop. Bursts are the model of Gilbert:
// after a lost frame the next is lost too, with a chance that makes bursts as long
// as they should be; after any other a burst begins, with one that makes losses as
// many.
func (l *Link) lose(rnd *rand.Rand) bool {
	f := &l.faults
	p := f.Drop
	if f.Burst > 1 && p < 1 {
		p /= f.Burst * (1 - p)
		if l.losing {
			p = 1 - 1/f.Burst
		}
	}
	l.losing = chance(rnd, p)
	return l.losing
}

// transmit returns when a frame of n bytes has left the transmitter, and false
// if it finds the queue full. The transmitter is a token bucket as deep as one
// frame: a frame keeps it busy for the time its bytes take at the rate.
func (l *Link) transmit(n int, now time.Time) (time.Time, bool) {
	if l.faults.Rate == 0 {
		return now, true
	}
	for len(l.leaving) > 0 && !l.leaving[0].After(now) {
		l.leaving = l.leaving[1:]
	}
	if len(l.leaving) >= l.faults.Queue {
		return time.Time{}, false
	}
	if l.busy.Before(now) {
		l.busy = now
	}
	l.busy = l.busy.Add(time.Duration(float64(n) * 8 / float64(l.faults.Rate) * float64(time.Second)))
	l.leaving = append(l.leaving, l.busy)
	return l.busy, true
}

func (l *Link) delay(rnd *rand.Rand) time.Duration {
	d := l.faults.Delay
	if j := int64(l.faults.Jitter); j > 0 {
		d += time.Duration(rnd.Int64N(2*j+1) - j)
	}
	return max(d, 0)
}

func chance(rnd *rand.Rand, p float64) bool { return p > 0 && rnd.Float64() < p }
