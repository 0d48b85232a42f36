package wrap

import (
	"math/bits"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// A Meter is a device whose traffic is counted: see [Stats].
type Meter struct {
	*observed
	rx, tx meter
}

var _ hal.Counting = (*Meter)(nil)

// Stats counts what passes between dev and its user, by protocol and by the size
// of bursts, which the device's own counters do not tell. The result owns dev.
func Stats(dev hal.Device) *Meter {
	m := &Meter{}
	m.observed = newObserved(dev, func(dir Dir, _ int) observer {
		if dir == Rx {
			return &counter{meter: &m.rx}
		}
		return &counter{meter: &m.tx}
	})
	return m
}

// Traffic is what passed in one direction. A super-frame is one packet.
type Traffic struct {
	Packets, Bytes             uint64
	TCP, UDP, ICMP, ARP, Other uint64 // packets; fragments are Other
	Supers                     uint64 // packets that are super-frames

	// Bursts counts bursts by their number of packets: 1, 2 to 3, 4 to 7, and
	// so on; the last one has all that are longer.
	Bursts [8]uint64
}

// Rx returns what was received so far.
func (m *Meter) Rx() Traffic { return m.rx.traffic() }

// Tx returns what was sent so far.
func (m *Meter) Tx() Traffic { return m.tx.traffic() }

// Stats implements [hal.Counting]. The Meter itself loses nothing.
func (m *Meter) Stats() hal.Stats {
	return hal.Stats{
		RxPackets: m.rx.packets.Load(), RxBytes: m.rx.bytes.Load(),
		TxPackets: m.tx.packets.Load(), TxBytes: m.tx.bytes.Load(),
	}
}

// The kinds of packets that a meter tells apart.
const (
	kindTCP = iota
	kindUDP
	kindICMP
	kindARP
	kindOther
	kinds
)

// meter holds the counters of a direction, for all its queues.
type meter struct {
	packets, bytes, supers atomic.Uint64
	kinds                  [kinds]atomic.Uint64
	bursts                 [8]atomic.Uint64
}

func (m *meter) traffic() Traffic {
	t := Traffic{
		Packets: m.packets.Load(), Bytes: m.bytes.Load(), Supers: m.supers.Load(),
		TCP: m.kinds[kindTCP].Load(), UDP: m.kinds[kindUDP].Load(), ICMP: m.kinds[kindICMP].Load(),
		ARP: m.kinds[kindARP].Load(), Other: m.kinds[kindOther].Load(),
	}
	for i := range t.Bursts {
		t.Bursts[i] = m.bursts[i].Load()
	}
	return t
}

// counter is the observer of one half of a Meter.
type counter struct {
	*meter
	seen []sized
}

// sized is a packet that may pass.
type sized struct {
	bytes int
	kind  uint8
	super bool
}

func (c *counter) look(chain []hal.Frame) {
	c.seen = append(c.seen, sized{hal.PacketLen(chain), kind(chain[0].Data), chain[0].Meta.GSO != hal.GSONone})
}

func (c *counter) passed(packets int) {
	for _, s := range c.seen[:packets] {
		c.packets.Add(1)
		c.bytes.Add(uint64(s.bytes))
		c.kinds[s.kind].Add(1)
		if s.super {
			c.supers.Add(1)
		}
	}
	if packets > 0 {
		c.bursts[min(bits.Len(uint(packets))-1, len(c.bursts)-1)].Add(1)
	}
	c.seen = c.seen[:0]
}

func (c *counter) flush() {}

// kind says what a packet is by its headers, malformed or not.
func kind(first []byte) uint8 {
	h, _ := offload.Parse(first)
	switch {
	case h.EtherType == etherARP:
		return kindARP
	case h.Version == 0 || h.Fragment:
		return kindOther
	}
	switch h.Proto {
	case protoTCP:
		return kindTCP
	case protoUDP:
		return kindUDP
	case protoICMP, protoICMPv6:
		return kindICMP
	}
	return kindOther
}
