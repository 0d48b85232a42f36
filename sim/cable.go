package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap"
)

// A Link is what a cable does to the frames of one direction, or of both. The zero
// Link takes half a millisecond and loses nothing.
type Link struct {
	// Faults are the delay, the losses, the rate and its queue: see
	// [wrap.Faults]. A Delay of zero means DefaultDelay: on a link that takes no
	// time, cause and effect would have the same moment, and no order. Dir, if
	// set, is the direction the faults apply to, as the host sees it; the other
	// one has the delay only.
	wrap.Faults

	// MTU is the longest IP packet. Longer ones are lost. Zero: 1500.
	MTU int
}

// Defaults of a Link.
const (
	DefaultDelay = 500 * time.Microsecond
	DefaultMTU   = 1500
)

func (l Link) or() Link {
	if l.Delay == 0 {
		l.Delay = DefaultDelay
	}
	if l.MTU == 0 {
		l.MTU = DefaultMTU
	}
	return l
}

// A Cable joins a host and a switch, or two switches. Each direction has its own
// faults, and its own random numbers, so that the traffic of one does not change
// what happens to another. A frame is lost, delayed or damaged when it is sent.
//
// Up is from the host to the switch, or from the switch that the cable was made at.
// To a [wrap.Rule] that is wrap.Tx, and down is wrap.Rx.
type Cable struct {
	w     *World
	rules wrap.Rules
	up    lane
	down  lane
}

// A lane is one direction of a cable.
type lane struct {
	cable *Cable
	dir   wrap.Dir
	link  *wrap.Link
	rnd   *rand.Rand
	max   int // longest frame
	cut   bool
	to    end
}

// An end takes the frames that a cable brings.
type end interface {
	arrive(f frame)
}

// A frame is an Ethernet frame on its way. Its bytes do not change.
type frame struct {
	data []byte
	from *Host // who has sent it
	note string
}

func (w *World) newCable(l Link) *Cable {
	w.cables++
	c := &Cable{w: w}
	for i, lane := range []*lane{&c.up, &c.down} {
		lane.cable = c
		lane.dir = []wrap.Dir{wrap.Tx, wrap.Rx}[i]
		lane.rnd = rand.New(rand.NewPCG(w.seed, uint64(w.cables)<<1|uint64(i)))
		lane.set(l)
	}
	return c
}

func (l *lane) set(link Link) {
	link = link.or()
	if link.Faults.Dir != wrap.Both && link.Faults.Dir != l.dir {
		link.Faults = wrap.Faults{Delay: link.Delay}
	}
	l.link = wrap.NewLink(link.Faults, &l.cable.rules, l.dir)
	l.max = hal.EthernetHeaderLen + link.MTU
}

// check says what is wrong with a link.
func (l Link) check() error {
	if l.Delay < 0 {
		return fmt.Errorf("sim: a delay of %v: what is sent cannot have arrived before", l.Delay)
	}
	if l.MTU < 0 || l.MTU > 0 && l.MTU < 68 {
		return fmt.Errorf("sim: an MTU of %d: must be at least 68", l.MTU)
	}
	return nil
}

// Set changes both directions. Frames under way stay as they are, so one that is
// sent over a shorter link may pass them. It panics if the link cannot be.
func (c *Cable) Set(l Link) {
	must(l.check())
	c.w.do(func() { c.up.set(l); c.down.set(l) })
}

// SetUp changes one direction; see Set.
func (c *Cable) SetUp(l Link) {
	must(l.check())
	c.w.do(func() { c.up.set(l) })
}

// SetDown changes one direction; see Set.
func (c *Cable) SetDown(l Link) {
	must(l.check())
	c.w.do(func() { c.down.set(l) })
}

// Cut makes everything that is sent over the cable be lost, until Mend.
func (c *Cable) Cut() { c.w.do(func() { c.up.cut, c.down.cut = true, true }) }

// Mend undoes Cut.
func (c *Cable) Mend() { c.w.do(func() { c.up.cut, c.down.cut = false, false }) }

// Add puts a rule before the faults; the function it returns takes it out again.
// The rule is asked about every frame, in both directions. It runs within the
// simulation: it must not call anything of a World or of a host.
func (c *Cable) Add(r wrap.Rule) (remove func()) {
	var out func()
	c.w.do(func() { out = c.rules.Add(r) })
	return func() { c.w.do(out) }
}

// send puts a frame on the cable and returns what becomes of it, in words.
func (l *lane) send(f frame) (note string) {
	w := l.cable.w
	switch {
	case l.cut:
		return w.lose("cut")
	case len(f.data) > l.max:
		return w.lose("mtu")
	}
	now := w.at(w.now)
	fate := l.link.Fate(f.data, now, l.rnd)
	if fate.Lost != wrap.Arrives {
		return w.lose(fate.Lost.String())
	}
	if fate.Flip != 0 {
		f.data = append([]byte(nil), f.data...)
		fate.Corrupt(f.data)
		note = fmt.Sprintf("bit %d flipped", fate.Flip)
		f.note = note
	}
	if fate.Late {
		note = join(note, "held back")
	}
	// Never at once: a rule may have said so.
	at := max(w.ns(fate.At), w.now+1)
	copies := 1
	if fate.Twice {
		copies = 2
		note = join(note, "twice")
	}
	for range copies {
		w.plan(at, classFrame, 0, func() { l.to.arrive(f) })
	}
	return note
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

// must panics on a mistake of the program.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
