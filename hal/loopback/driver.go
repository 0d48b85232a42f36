package loopback

import (
	"fmt"
	"net"
	"sync"

	"github.com/ringtail-net/ringtail/hal"
)

func init() {
	hal.Register(hal.Driver{
		Name:    "loopback",
		Summary: "a wire in memory between devices of this process",
		Target:  "name of the wire; empty: reflect",
		Keys: []hal.Key{
			hal.IntKey("mtu", minMTU, maxMTU, "longest IP packet (1500)"),
			hal.IntKey("frames", minFrames, maxFrames, "frames each way and half (512)"),
			hal.BoolKey("gso", "super-frames and blank checksums (on)"),
			hal.IntKey("chunk", minChunk, maxChunk, "size of a buffer; longer packets are chains (no limit)"),
			hal.IntKey("queues", 1, maxQueues, "queues, picked by flow (1)"),
			{Name: "mac", Help: "address of the device (made of the name)", Check: func(v string) error {
				_, err := parseMAC(v)
				return err
			}},
		},
		Open: open,
	})
}

func parseMAC(v string) (hal.MAC, error) {
	m, err := net.ParseMAC(v)
	if err != nil || len(m) != len(hal.MAC{}) || hal.MAC(m).IsMulticast() {
		return hal.MAC{}, fmt.Errorf("must be a unicast Ethernet address, as in 02:00:00:00:00:01")
	}
	return hal.MAC(m), nil
}

// wires are those that have a name in this process, and at least one device.
var (
	wiresMu sync.Mutex
	wires   = map[string]*Wire{}
)

func open(s hal.Spec) (hal.Device, error) {
	c := Config{
		Name:    s.Target,
		MTU:     s.Int("mtu", 0),
		NoGSO:   !s.Bool("gso", true),
		Chunk:   s.Int("chunk", 0),
		Reflect: s.Target == "",
		Frames:  s.Int("frames", 0),
		Queues:  s.Int("queues", 0),
	}
	if v := s.Text("mac", ""); v != "" {
		c.MAC, _ = parseMAC(v) // has been checked
	}
	if c.Reflect {
		w, err := New(c)
		if err != nil {
			return nil, err
		}
		return w.Device(c)
	}
	wiresMu.Lock()
	defer wiresMu.Unlock()
	w, found := wires[c.Name]
	if !found {
		var err error
		if w, err = New(c); err != nil {
			return nil, err
		}
		w.named = true
	} else if w.config.NoGSO && s.Bool("gso", false) {
		return nil, w.differs("gso", "off", "on")
	}
	d, err := w.Device(c)
	if err == nil {
		wires[c.Name] = w
	}
	return d, err
}

// forget drops the name of a wire that has lost its last device.
func (w *Wire) forget() {
	wiresMu.Lock()
	defer wiresMu.Unlock()
	if len(w.roster.Load().members) == 0 && wires[w.config.Name] == w {
		delete(wires, w.config.Name)
	}
}
