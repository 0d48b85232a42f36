package loopback

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// A Wire connects devices. Its methods are safe for concurrent use.
type Wire struct {
	config  Config
	named   bool // in wires
	classes []class

	mu     sync.Mutex // serialises joining and leaving
	joins  int        // devices that ever joined
	roster atomic.Pointer[roster]
}

// roster is who is on a wire. It never changes; the wire gets a new one.
type roster struct {
	members []*device
	byMAC   map[hal.MAC]*device
}

// New returns a wire without devices. It holds nothing that needs closing.
func New(c Config) (*Wire, error) {
	c = c.or(Config{MTU: defaultMTU, Frames: defaultFrames, Queues: 1})
	c.MAC = hal.MAC{}
	if err := c.check(); err != nil {
		return nil, err
	}
	w := &Wire{config: c, classes: classesOf(&c)}
	w.roster.Store(&roster{})
	return w, nil
}

// Pair returns the two ends of a new cable.
func Pair(c Config) (a, b hal.Device, err error) {
	w, err := New(c)
	if err != nil {
		return nil, nil, err
	}
	if a, err = w.Device(Config{}); err != nil {
		return nil, nil, err
	}
	b, err = w.Device(Config{})
	return a, b, err
}

// Device puts a new device on the wire. MTU, Chunk and NoGSO are the wire's: a
// value that differs from what New was told is an error.
func (w *Wire) Device(c Config) (hal.Device, error) {
	switch {
	case c.MTU != 0 && c.MTU != w.config.MTU:
		return nil, w.differs("mtu", w.config.MTU, c.MTU)
	case c.Chunk != 0 && c.Chunk != w.config.Chunk:
		return nil, w.differs("chunk", w.config.Chunk, c.Chunk)
	case c.NoGSO && !w.config.NoGSO:
		return nil, w.differs("gso", "on", "off")
	}
	c = c.or(w.config)
	c.Reflect = w.config.Reflect
	if err := c.check(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.MAC == (hal.MAC{}) {
		c.MAC = defaultMAC(w.config.Name, w.joins+1)
	}
	was := w.roster.Load()
	if was.byMAC[c.MAC] != nil {
		return nil, fmt.Errorf("loopback: a device on wire %q has the address %v already", w.config.Name, c.MAC)
	}
	w.joins++
	d := newDevice(w, c)
	w.roster.Store(newRoster(append(slices.Clone(was.members), d)))
	return d, nil
}

func (w *Wire) differs(key string, ours, theirs any) error {
	return fmt.Errorf("loopback: wire %q has %s=%v, not %v: all its devices share mtu, gso and chunk, as the first one set them",
		w.config.Name, key, ours, theirs)
}

// defaultMAC is a locally administered address (IEEE 802, section 8.2).
func defaultMAC(name string, join int) hal.MAC {
	n := mix(hashStart, []byte(name))
	return hal.MAC{2, byte(n >> 16), byte(n >> 8), byte(n), byte(join >> 8), byte(join)}
}

func newRoster(members []*device) *roster {
	r := &roster{members: members, byMAC: make(map[hal.MAC]*device, len(members))}
	for _, d := range members {
		r.byMAC[d.config.MAC] = d
	}
	return r
}

func (w *Wire) leave(d *device) {
	w.mu.Lock()
	members := slices.Clone(w.roster.Load().members)
	w.roster.Store(newRoster(slices.DeleteFunc(members, func(m *device) bool { return m == d })))
	w.mu.Unlock()
	if w.named {
		w.forget()
	}
}

// route returns who gets a packet from src to dst: one device, or all of a list
// but src, or nobody.
func (r *roster) route(src *device, dst hal.MAC) (one *device, all []*device) {
	if src.wire.config.Reflect {
		return src, nil
	}
	if len(r.members) > 2 {
		if d := r.byMAC[dst]; d != nil && d != src {
			return d, nil
		}
		return nil, r.members
	}
	for _, d := range r.members {
		if d != src {
			return d, nil
		}
	}
	return nil, nil
}
