package sim

import (
	"fmt"
	"math/rand"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack"
)

// HostConfig describes a host of a world. The zero value is one with a port on the
// world's own network, and an address of IPv4.
type HostConfig struct {
	// Ports are where the host is connected. None: one zero Port.
	Ports []Port

	// Stack is the rest of the host's configuration: routes, buffers, Forward.
	// Name, Interfaces and Sim are the world's.
	Stack stack.Config

	// LibOS configures the host's faces. Rand, Memory and Names.Known are the
	// world's.
	LibOS api.Config

	// Skew is how far the host's clock is ahead, and Drift how many nanoseconds
	// it gains in a millisecond (so many millionths). They are of the clock that
	// the host's protocols, its deadlines and [Host.Now] go by; package time
	// knows nothing of it.
	Skew  time.Duration
	Drift int64
}

// A Host is a host of a world. Its methods may be called by any goroutine.
type Host struct {
	w      *World
	name   string
	number int // from 1
	cfg    HostConfig
	ports  []*port
	boots  uint64

	// Of the driver.
	stack   *stack.Host // nil: the host is down
	touched bool
	due     *event // of the host's clock

	front  *sequencer // of stack
	memory *sequencer

	ready atomic.Pointer[readiness]
	lib   atomic.Pointer[api.LibOS]
}

// Host makes a host on the world's own network. Others find it by its name.
func (w *World) Host(name string) *Host { return w.NewHost(name, HostConfig{}) }

// NewHost makes a host. It panics if the configuration cannot be: a test has no use
// for another answer.
func (w *World) NewHost(name string, cfg HostConfig) *Host {
	var h *Host
	var err error
	w.do(func() { h, err = w.newHost(name, cfg) })
	must(err)
	return h
}

func (w *World) newHost(name string, cfg HostConfig) (*Host, error) {
	for _, h := range w.hosts {
		if h.name == name {
			return nil, fmt.Errorf("sim: there is a host %q already", name)
		}
	}
	if len(cfg.Ports) == 0 {
		cfg.Ports = []Port{{}}
	}
	h := &Host{w: w, name: name, number: len(w.hosts) + 1, cfg: cfg}
	h.due = &event{class: classClock, who: h.number, run: func() { w.touch(h) }, at: -1}
	for i, p := range cfg.Ports {
		if err := h.addPort(i, p); err != nil {
			return nil, err
		}
	}
	if err := h.boot(); err != nil {
		return nil, err
	}
	w.hosts = append(w.hosts, h)
	h.tellName()
	return h, nil
}

// mostHosts is as many as a prefix of 16 bits has.
const mostHosts = 1<<16 - 2

// check says whether an address is another host's already.
func (w *World) check(a netip.Addr) error {
	for _, h := range w.hosts {
		for _, p := range h.ports {
			for _, b := range p.addrs {
				if a == b.Addr() {
					return fmt.Errorf("sim: %v is the address of host %q already", a, h.name)
				}
			}
		}
	}
	return nil
}

// addPort connects the host to a switch.
func (h *Host) addPort(i int, c Port) error {
	if c.Net == nil {
		c.Net = h.w.switches[0]
	}
	if err := c.Link.check(); err != nil {
		return err
	}
	c.Net.hosts++
	n := c.Net.hosts
	if n > mostHosts || h.number > mostHosts {
		return fmt.Errorf("sim: host %q is one more than the %d there are addresses for", h.name, mostHosts)
	}
	if len(c.Addrs) == 0 {
		c.Addrs = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(c.Net.number), byte(n >> 8), byte(n)}), 16)}
	}
	for _, a := range c.Addrs {
		if err := h.w.check(a.Addr()); err != nil {
			return err
		}
	}
	p := &port{
		host: h, name: fmt.Sprintf("eth%d", i), addrs: c.Addrs, mtu: c.Link.or().MTU,
		mac: hal.MAC{2, 0, byte(h.number >> 8), byte(h.number), byte(i >> 8), byte(i)},
	}
	p.cable = h.w.newCable(c.Link)
	p.cable.down.to = p
	c.Net.plug(&p.cable.up, &p.cable.down, p)
	h.ports = append(h.ports, p)
	h.w.trace.add(p)
	return nil
}

// boot starts the host's stack and faces.
func (h *Host) boot() error {
	h.boots++
	cfg := h.cfg.Stack
	cfg.Name = h.name
	seed := mix(h.w.seed, uint64(h.number), h.boots)
	cfg.Sim = &stack.Sim{Now: h.Now, Seed: seed}
	cfg.Interfaces = nil
	for _, p := range h.ports {
		dev, err := p.plug()
		if err != nil {
			return err
		}
		cfg.Interfaces = append(cfg.Interfaces, stack.Interface{Name: p.name, Device: dev, Addrs: p.addrs})
	}
	st, err := stack.New(cfg)
	if err != nil {
		return err
	}
	h.stack = st
	h.ready.Store(newReadiness())
	h.lib.Store(h.newLibOS(seed))
	h.w.touch(h)
	return nil
}

// newLibOS makes the faces, over sequencers.
func (h *Host) newLibOS(seed uint64) *api.LibOS {
	c := h.cfg.LibOS
	c.Names.Known = h.w.lookup
	c.Rand = &lockedRand{r: rand.New(rand.NewSource(int64(seed) ^ 0xd15))}
	h.front = &sequencer{host: h, inner: h.stack, linger: map[uint64]bool{}}
	h.memory = &sequencer{host: h, inner: api.NewMemory(), memory: true, linger: map[uint64]bool{}}
	c.Memory = h.memory
	if h.w.isStepped() {
		return api.New(stepper{h.front}, c)
	}
	return api.New(h.front, c)
}

// drive lets the host do what it has to at this moment.
func (h *Host) drive() {
	if h.stack == nil {
		return
	}
	for again := true; again; {
		next, ok := h.stack.Drive()
		again = false
		for _, p := range h.ports {
			again = p.collect() || again
		}
		if !again {
			h.arm(next, ok)
		}
	}
	h.ready.Load().look(h)
}

// arm plans the next moment of the host's clock.
func (h *Host) arm(next time.Time, ok bool) {
	w := h.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !ok {
		w.events.remove(h.due)
		return
	}
	when := max(h.worldTime(next), w.now)
	if h.due.at < 0 || h.due.when != when {
		w.events.move(h.due, when)
	}
}

// Name returns the name of the host.
func (h *Host) Name() string { return h.name }

// Addr returns the first address of the host.
func (h *Host) Addr() netip.Addr { return h.ports[0].addrs[0].Addr() }

// Cable returns the cable of a port.
func (h *Host) Cable(port int) *Cable { return h.ports[port].cable }

// Net returns the net face of the host as it is running now: that of a host which
// was restarted is another one.
func (h *Host) Net() *api.Net { return h.LibOS().Net() }

// LibOS returns the queue face, see Net.
func (h *Host) LibOS() *api.LibOS { return h.lib.Load() }

// Stats returns the statistics of the host's stack, or none if it is down.
func (h *Host) Stats() (s stack.Stats) {
	h.w.do(func() {
		if h.stack != nil {
			s = h.stack.Stats()
		}
	})
	return s
}

// Crash ends the host as a power failure does: nobody is told. Its connections and
// pending calls end with [net.ErrClosed] here, and at their peers with whatever
// TCP finds out.
func (h *Host) Crash() {
	lib := h.LibOS()
	h.w.do(func() { h.crash() })
	must(lib.Exit())
}

// crash is Crash, within the simulation: the network first.
func (h *Host) crash() {
	if h.stack == nil {
		return
	}
	for _, p := range h.ports {
		p.unplug()
	}
	h.ready.Load().end(h.w, net.ErrClosed)
	must(h.front.close())
	must(h.memory.close())
	h.stack = nil
	h.arm(time.Time{}, false)
}

// Restart starts a host that has crashed, or crashes and starts it: with its
// addresses, and without any memory of what was. Get its faces anew.
func (h *Host) Restart() {
	h.Crash()
	var err error
	h.w.do(func() { err = h.boot() })
	must(err)
}

// lookup is what all hosts know about names.
func (w *World) lookup(name string) []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[name]
}

// tellName makes the host known.
func (h *Host) tellName() {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	for _, p := range h.ports {
		for _, a := range p.addrs {
			name := strings.ToLower(h.name)
			h.w.names[name] = append(h.w.names[name], a.Addr())
		}
	}
}

// lockedRand is a source for several goroutines.
type lockedRand struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (l *lockedRand) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// mix makes a seed of several numbers.
func mix(ns ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, n := range ns {
		h ^= n
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 31
		h *= 0x94d049bb133111eb
		h ^= h >> 29
	}
	return h
}
