package wrap

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// A lane is what both halves of an injected queue have in common: the way of a
// packet through the cutter and the link into the hold. It has one owner; only
// hold, count and waiting are read beside it.
type lane struct {
	dev  *Injector
	link *Link
	rnd  *rand.Rand
	max  int // longest frame

	hold    hold
	count   laneCounts
	waiting atomic.Int64 // packets taken that are not (all) in the hold yet

	bufs    buffers
	loans   loans
	cutter  offload.Cutter
	cutting bool         // the cutter has begun the packet that absorb is given
	pieces  [][]byte     // scratch
	out     [1]hal.Frame // scratch
}

// absorb brings a packet into the hold, cut into wire frames with complete
// checksums. It returns false if the hold is full; then it must be called again
// with the same packet.
func (l *lane) absorb(chain []hal.Frame, now time.Time) bool {
	meta := chain[0].Meta
	if !l.cutting {
		l.pieces = offload.Frames(chain, l.pieces[:0])
		if l.cutter.Reset(l.pieces, meta, 0) != nil {
			l.count.drops[dropMalformed].Add(1)
			return true
		}
		l.cutting = true
	}
	for l.cutter.More() {
		if l.hold.full() {
			return false
		}
		buf := l.bufs.take(l.cutter.Len())
		l.out[0] = hal.NewFrame(buf, 0, len(buf), 0)
		l.cutter.Next(l.out[:])
		if len(buf) > l.max {
			l.count.drops[dropTooLong].Add(1)
			l.bufs.give(buf)
			continue
		}
		l.send(held{packet: buf, valid: meta.CsumValid || meta.NeedsCsum}, now)
	}
	l.cutting = false
	clear(l.pieces) // they are lent
	return true
}

// send gives one wire frame to the link.
func (l *lane) send(p held, now time.Time) {
	fate := l.link.Fate(p.packet, now, l.rnd)
	if fate.Lost != Arrives {
		l.count.drops[lossReason[fate.Lost]].Add(1)
		l.bufs.give(p.packet)
		return
	}
	if fate.Corrupt(p.packet) {
		p.valid = false
		l.count.corrupted.Add(1)
	}
	if fate.Late {
		l.count.reordered.Add(1)
	}
	if fate.At.After(now) {
		l.count.delayed.Add(1)
	}
	p.at = fate.At
	if fate.Twice {
		l.count.duplicated.Add(1)
		twin := p
		twin.packet = l.bufs.take(len(p.packet))
		copy(twin.packet, p.packet)
		l.keep(twin)
	}
	l.keep(p)
}

func (l *lane) keep(p held) {
	if !l.hold.push(p) {
		l.count.drops[dropClose].Add(1)
	}
}

// shut drops what is held, and counts it. It may run beside the owner.
func (l *lane) shut() {
	n := int64(l.hold.close()) + l.waiting.Load()
	l.count.drops[dropClose].Add(uint64(n))
}

// Pending says when the next packet that is held back can go on.
func (l *lane) Pending() (at time.Time, ok bool) {
	if l.dev.closed.Load() {
		return time.Time{}, false
	}
	if l.waiting.Load() > 0 && !l.hold.full() {
		return time.Time{}, true
	}
	return l.hold.pending()
}

// passed counts a packet between the lane and the user.
func (l *lane) passed(n int) {
	l.count.packets.Add(1)
	l.count.bytes.Add(uint64(n))
}

// laneCounts are the counters of a lane.
type laneCounts struct {
	packets, bytes                            atomic.Uint64
	corrupted, duplicated, reordered, delayed atomic.Uint64
	drops                                     [len(dropNames)]atomic.Uint64
}

// add adds o to c.
func (c *laneCounts) add(o *laneCounts) {
	c.packets.Add(o.packets.Load())
	c.bytes.Add(o.bytes.Load())
	c.corrupted.Add(o.corrupted.Load())
	c.duplicated.Add(o.duplicated.Load())
	c.reordered.Add(o.reordered.Load())
	c.delayed.Add(o.delayed.Load())
	for i := range c.drops {
		c.drops[i].Add(o.drops[i].Load())
	}
}

// dropReason is why a lane lost a packet.
type dropReason uint8

const (
	dropRule dropReason = iota
	dropChance
	dropQueue
	dropClose
	dropMalformed
	dropTooLong
)

var dropNames = [...]string{"fault-rule", "fault-drop", "fault-queue", "fault-close", "malformed", "too-long"}

var lossReason = map[Loss]dropReason{LostByRule: dropRule, LostByFault: dropChance, LostInQueue: dropQueue}
