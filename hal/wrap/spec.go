package wrap

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Faults are the standard faults of a link. The zero value has none.
//
// Drop, Dup, Corrupt and Reorder are chances from 0 to 1, taken for each wire
// frame on its own. With Burst the losses come together, and are as many in the
// long run (the model of Gilbert).
type Faults struct {
	Drop    float64 // the frame is lost
	Burst   float64 // if above 1: losses come in bursts, of so many frames on average
	Dup     float64 // it arrives twice
	Corrupt float64 // one bit of it flips; see [Link]
	Reorder float64 // it is held back so that later ones pass it

	Delay  time.Duration // every frame arrives so much later
	Jitter time.Duration // give or take so much; it does not change the order

	// Rate is how many bits a second the link carries; zero: any number.
	// Frames that find it busy wait in a queue of at most Queue frames (zero:
	// DefaultQueue); what finds the queue full is lost.
	Rate  int64
	Queue int

	// Dir is the direction that the faults apply to.
	Dir Dir
}

// DefaultQueue is the length, in frames, of the queue in front of a link with a
// rate.
const DefaultQueue = 100

// The limits of what a spec can ask for.
const (
	maxDelay = time.Hour
	maxRate  = 1_000_000_000_000 // 1 Tbit/s
	maxQueue = 1_000_000
)

// ErrFaults is wrapped by every complaint about the text of a fault spec.
var ErrFaults = errors.New("bad faults")

// A faultKey is one key of a fault spec.
type faultKey struct {
	name string
	read func(f *Faults, value string) error
	text func(f Faults) string // empty: not set
}

var faultKeys = []faultKey{
	chanceKey("drop", func(f *Faults) *float64 { return &f.Drop }),
	{"burst", readBurst, func(f Faults) string {
		if f.Burst == 0 {
			return ""
		}
		return strconv.FormatFloat(f.Burst, 'g', -1, 64)
	}},
	chanceKey("dup", func(f *Faults) *float64 { return &f.Dup }),
	chanceKey("corrupt", func(f *Faults) *float64 { return &f.Corrupt }),
	chanceKey("reorder", func(f *Faults) *float64 { return &f.Reorder }),
	durationKey("delay", func(f *Faults) *time.Duration { return &f.Delay }),
	durationKey("jitter", func(f *Faults) *time.Duration { return &f.Jitter }),
	{"rate", readRate, rateText},
	{"queue", readQueue, func(f Faults) string { return nonzero(f.Queue) }},
	{"dir", readDir, func(f Faults) string {
		if f.Dir == Both {
			return ""
		}
		return f.Dir.String()
	}},
}

// ParseFaults reads a fault spec: key=value pairs, separated by commas, as in
//
//	drop=2%,delay=2ms,jitter=1ms,dup=1%,corrupt=1%,reorder=2%,rate=10mbit,queue=50,dir=tx
//
// Chances are percentages with a percent sign, or fractions of one. Durations
// are Go's (500us, 2ms, 1.5s). A rate has one of the units bit, kbit, mbit,
// gbit (a second, powers of ten). The direction is both (the default), tx or rx.
// The empty text means no faults. All errors wrap ErrFaults, fit on one line
// and name what is allowed.
func ParseFaults(text string) (Faults, error) {
	var f Faults
	if text == "" {
		return f, nil
	}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		k := findFault(name)
		switch {
		case k == nil:
			return Faults{}, fmt.Errorf("%w %q: unknown key %q; known: %s", ErrFaults, text, name, faultNames())
		case seen[name]:
			return Faults{}, fmt.Errorf("%w %q: %s stands twice", ErrFaults, text, name)
		}
		seen[name] = true
		if err := k.read(&f, value); err != nil {
			return Faults{}, fmt.Errorf("%w %q: %s=%s: %w", ErrFaults, text, name, value, err)
		}
	}
	if f.Burst != 0 && f.Drop == 0 {
		return Faults{}, fmt.Errorf("%w %q: burst=%g has no meaning without losses, as in drop=1%%", ErrFaults, text, f.Burst)
	}
	if f.Queue != 0 && f.Rate == 0 {
		return Faults{}, fmt.Errorf("%w %q: queue=%d has no meaning without a rate, as in rate=10mbit", ErrFaults, text, f.Queue)
	}
	return f, nil
}

// String is the spec that ParseFaults reads as f.
func (f Faults) String() string {
	var pairs []string
	for _, k := range faultKeys {
		if v := k.text(f); v != "" {
			pairs = append(pairs, k.name+"="+v)
		}
	}
	return strings.Join(pairs, ",")
}

func findFault(name string) *faultKey {
	for i := range faultKeys {
		if faultKeys[i].name == name {
			return &faultKeys[i]
		}
	}
	return nil
}

func faultNames() string {
	names := make([]string, len(faultKeys))
	for i := range faultKeys {
		names[i] = faultKeys[i].name
	}
	return strings.Join(names, ", ")
}

func chanceKey(name string, field func(*Faults) *float64) faultKey {
	read := func(f *Faults, value string) error {
		digits, percent := strings.CutSuffix(value, "%")
		p, err := strconv.ParseFloat(digits, 64)
		if percent {
			p /= 100
		}
		if err != nil || !(p >= 0 && p <= 1) { // NaN is not
			return errors.New("must be from 0% to 100%, or a fraction from 0 to 1")
		}
		*field(f) = p
		return nil
	}
	text := func(f Faults) string {
		p := *field(&f)
		if p == 0 {
			return ""
		}
		// As a percentage, if that says exactly the same.
		percent := strconv.FormatFloat(p*100, 'g', -1, 64)
		if back, err := strconv.ParseFloat(percent, 64); err == nil && back/100 == p && back <= 100 {
			return percent + "%"
		}
		return strconv.FormatFloat(p, 'g', -1, 64)
	}
	return faultKey{name, read, text}
}

func durationKey(name string, field func(*Faults) *time.Duration) faultKey {
	read := func(f *Faults, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 || d > maxDelay {
			return fmt.Errorf("must be a duration from 0s to %v, as in 2ms", maxDelay)
		}
		*field(f) = d
		return nil
	}
	text := func(f Faults) string {
		if d := *field(&f); d != 0 {
			return d.String()
		}
		return ""
	}
	return faultKey{name, read, text}
}

// units are those of a rate, the largest first; every name ends in that of the
// last.
var units = []struct {
	name string
	bits int64
}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

func readRate(f *Faults, value string) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(value, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if bits := n * float64(u.bits); err == nil && bits >= 1 && bits <= maxRate {
			f.Rate = int64(bits)
			return nil
		}
		break
	}
	return errors.New("must be from 1bit to 1000gbit a second, as in 500kbit, 10mbit or 2.5gbit")
}

func rateText(f Faults) string {
	for _, u := range units {
		if f.Rate != 0 && f.Rate%u.bits == 0 {
			return strconv.FormatInt(f.Rate/u.bits, 10) + u.name
		}
	}
	return ""
}

func readQueue(f *Faults, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxQueue {
		return fmt.Errorf("must be a number of frames from 1 to %d", maxQueue)
	}
	f.Queue = n
	return nil
}

func readBurst(f *Faults, value string) error {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n >= 1 && n <= maxQueue) { // NaN is not
		return fmt.Errorf("must be a number of frames from 1 to %d", maxQueue)
	}
	f.Burst = n
	return nil
}

func readDir(f *Faults, value string) error {
	for _, d := range []Dir{Both, Tx, Rx} {
		if value == d.String() {
			f.Dir = d
			return nil
		}
	}
	return errors.New("must be one of both, tx, rx")
}

func nonzero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
