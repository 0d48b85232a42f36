package wrap

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Dir is the direction of a packet, seen from the host, or of both.
type Dir uint8

// The directions. A packet has one; Both is for settings.
const (
	Both Dir = iota
	Tx
	Rx
)

func (d Dir) String() string { return [...]string{"both", "tx", "rx"}[d%3] }

// A Verdict is what a [Rule] says of one packet: [Pass], [Drop] or [Deliver].
// Verdicts are plain values and can be compared.
type Verdict int64

// The verdicts without a parameter.
const (
	Pass Verdict = 0  // no opinion: ask the next rule
	Drop Verdict = -1 // the packet is lost
)

// Deliver is the verdict that the packet arrives after a delay, and that no
// other rule or fault is asked. A delay of zero, or less, is no delay.
func Deliver(after time.Duration) Verdict { return Verdict(max(after, 0)) + 1 }

// Delay returns the delay of a Deliver verdict, and false for the other ones.
func (v Verdict) Delay() (after time.Duration, ok bool) {
	return time.Duration(max(v-1, 0)), v > 0
}

// A Rule decides over one wire frame: an Ethernet frame within the MTU whose
// checksums are complete. It may read the packet until it returns, must not
// change or keep it, and must not call the device. Chance comes from rnd alone,
// and time from now alone; then the same seed gives the same decisions.
//
// A rule is called by the owner of the direction. One that serves both
// directions, or several queues, and keeps state must guard it.
type Rule func(packet []byte, dir Dir, now time.Time, rnd *rand.Rand) Verdict

// Rules is a list of rules that can change while packets pass. The zero value
// is empty, and ready. It is safe for concurrent use.
type Rules struct {
	mu   sync.Mutex // guards writing; readers take what list points to
	list atomic.Pointer[[]*Rule]
}

// Add appends a rule. The function it returns takes this rule out again; it may
// be called more than once. A packet that is being decided on keeps the rules
// it began with.
func (r *Rules) Add(rule Rule) (remove func()) {
	entry := &rule
	r.change(func(list []*Rule) []*Rule { return append(list, entry) })
	return func() {
		r.change(func(list []*Rule) []*Rule {
			return slices.DeleteFunc(list, func(e *Rule) bool { return e == entry })
		})
	}
}

func (r *Rules) change(f func([]*Rule) []*Rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*Rule
	if p := r.list.Load(); p != nil {
		list = slices.Clone(*p)
	}
	list = f(list)
	r.list.Store(&list)
}

// Verdict asks the rules in the order of their adding and returns the first
// verdict that is not Pass.
func (r *Rules) Verdict(packet []byte, dir Dir, now time.Time, rnd *rand.Rand) Verdict {
	if p := r.list.Load(); p != nil {
		for _, rule := range *p {
			if v := (*rule)(packet, dir, now, rnd); v != Pass {
				return v
			}
		}
	}
	return Pass
}
