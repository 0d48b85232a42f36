package sim

import (
	"fmt"

	"github.com/ringtail-net/ringtail/hal"
)

// A Switch joins cables. It forwards at once, learns addresses from what it
// forwards, and sends what it has not learnt to all.
type Switch struct {
	w      *World
	name   string
	number int // of its network, in addresses
	hosts  int // how many have got addresses
	ports  []*switchPort
	table  map[hal.MAC]*switchPort
	joined *Switch // by a trunk, on the way to one that all of a network agree on; nil: that is this one
}

// A switchPort is where a cable ends in a switch.
type switchPort struct {
	s    *Switch
	out  *lane // away from the switch
	port *port // of the host at the other end; nil: a switch
}

// Switch makes a switch: another network. Hosts that have a [Port] there get
// addresses of it.
func (w *World) Switch(name string) *Switch {
	var s *Switch
	w.do(func() { s = w.newSwitch(name) })
	return s
}

func (w *World) newSwitch(name string) *Switch {
	s := &Switch{w: w, name: name, number: len(w.switches), table: map[hal.MAC]*switchPort{}}
	if s.number > 255 {
		panic(fmt.Errorf("sim: switch %q would be the 257th: the addresses of 10.0.0.0/8 are used up", name))
	}
	w.switches = append(w.switches, s)
	return s
}

// root is the switch that stands for the network.
func (s *Switch) root() *Switch {
	for s.joined != nil {
		s = s.joined
	}
	return s
}

// Trunk joins two switches to one network, in which hosts keep the addresses they
// have. It panics if they are joined already, also over others: what is sent to all
// would go round for ever.
func (s *Switch) Trunk(to *Switch, l Link) *Cable {
	must(l.check())
	var c *Cable
	var err error
	s.w.do(func() {
		if s.root() == to.root() {
			err = fmt.Errorf("sim: a trunk between %q and %q would be a loop", s.name, to.name)
			return
		}
		to.root().joined = s.root()
		c = s.w.newCable(l)
		s.plug(&c.down, &c.up, nil)
		to.plug(&c.up, &c.down, nil)
	})
	must(err)
	return c
}

// plug ends a cable in the switch: in brings frames, out takes them.
func (s *Switch) plug(in, out *lane, p *port) {
	sp := &switchPort{s: s, out: out, port: p}
	in.to = sp
	s.ports = append(s.ports, sp)
}

// arrive implements end.
func (p *switchPort) arrive(f frame) {
	s := p.s
	if len(f.data) < hal.EthernetHeaderLen {
		return
	}
	to, from := hal.MAC(f.data[:6]), hal.MAC(f.data[6:12])
	if !from.IsMulticast() {
		s.table[from] = p
	}
	if out, known := s.table[to]; known && !to.IsMulticast() {
		if out != p {
			out.forward(f)
		}
		return
	}
	for _, out := range s.ports {
		if out != p {
			out.forward(f)
		}
	}
}

// forward sends a frame over a port, unless it may not reach the host there.
func (p *switchPort) forward(f frame) {
	w := p.s.w
	if p.port == nil {
		p.out.send(f)
		return
	}
	var note string
	if w.isCut(f.from, p.port.host) {
		note = w.lose("partition")
	} else {
		note = p.out.send(f)
	}
	if note != "" {
		w.trace.passed(p.port, f, note)
	}
}

// Partition parts the hosts from all others, whatever the switches between them:
// until heal, what one side sends does not reach the other. A router is a host: it is
// on one of the sides. Partitions add up.
func (w *World) Partition(side ...*Host) (heal func()) {
	w.do(func() {
		inside := map[*Host]bool{}
		for _, h := range side {
			inside[h] = true
		}
		p := &partition{parts: func(from, to *Host) bool { return inside[from] != inside[to] }}
		w.partitions = append(w.partitions, p)
		heal = func() { w.do(func() { w.heal(p) }) }
	})
	return heal
}

// Block stops what one host sends to another, and not what comes back, until heal.
func (w *World) Block(from, to *Host) (heal func()) {
	w.do(func() {
		p := &partition{parts: func(f, t *Host) bool { return f == from && t == to }}
		w.partitions = append(w.partitions, p)
		heal = func() { w.do(func() { w.heal(p) }) }
	})
	return heal
}

// Heal ends all partitions and blocks.
func (w *World) Heal() { w.do(func() { w.partitions = nil }) }

// A partition says which hosts do not reach which.
type partition struct{ parts func(from, to *Host) bool }

func (w *World) heal(p *partition) {
	for i, q := range w.partitions {
		if q == p {
			w.partitions = append(w.partitions[:i:i], w.partitions[i+1:]...)
			return
		}
	}
}

func (w *World) isCut(from, to *Host) bool {
	for _, p := range w.partitions {
		if p.parts(from, to) {
			return true
		}
	}
	return false
}
