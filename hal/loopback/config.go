package loopback

import (
	"fmt"

	"github.com/ringtail-net/ringtail/hal"
)

// Config describes a wire, to [New], or a device on it, to [Wire.Device]. The
// zero value of every field means the default: to Device, what New was told.
type Config struct {
	// Name is part of the devices' addresses and shown in [hal.Info]. Only a
	// spec makes a name known to the process.
	Name string

	// MTU is the longest IP packet, 68 to 65521 bytes. Default: 1500.
	MTU int

	// NoGSO forbids super-frames and blank checksums. Without it packets of
	// up to 65550 bytes pass whole, of any kind in [hal.GSO].
	NoGSO bool

	// Chunk is the size of a buffer, 256 to 65536 bytes: longer packets are
	// chains. Default: a buffer holds any packet.
	Chunk int

	// Reflect makes every device of the wire a mirror, alone with itself. To
	// Device it says nothing.
	Reflect bool

	// Frames is how many frames a device can hold in each of three places:
	// allocated and not yet sent, per transmit half; arrived and not yet
	// received, per receive half; and lent by a receive half. At least 4, and
	// enough for the longest chain. Default: 512.
	Frames int

	// Queues of a device, 1 to 16. A packet goes to the one that its flow
	// (addresses and ports) picks. Default: 1.
	Queues int

	// MAC is the address of a device; to New it says nothing. Default: made of
	// the wire's name and the number of devices before this one.
	MAC hal.MAC
}

const (
	minMTU, maxMTU, defaultMTU          = 68, 65521, 1500
	minFrames, maxFrames, defaultFrames = 4, 65536, 512
	minChunk, maxChunk                  = 256, 65536
	maxQueues                           = 16

	headroom = 64    // bytes before every allocated frame
	maxGSO   = 65550 // longest super-frame: an Ethernet header and 64 KiB
)

// or returns c with the gaps filled from d.
func (c Config) or(d Config) Config {
	if c.Name == "" {
		c.Name = d.Name
	}
	for _, f := range []struct{ v, def *int }{
		{&c.MTU, &d.MTU}, {&c.Chunk, &d.Chunk}, {&c.Frames, &d.Frames}, {&c.Queues, &d.Queues},
	} {
		if *f.v == 0 {
			*f.v = *f.def
		}
	}
	c.NoGSO = c.NoGSO || d.NoGSO
	return c
}

// check expects a config without gaps, but for Chunk and MAC.
func (c Config) check() error {
	for _, f := range []struct {
		name      string
		v, lo, hi int
	}{
		{"MTU", c.MTU, minMTU, maxMTU},
		{"Chunk", c.Chunk, minChunk, maxChunk},
		{"Frames", c.Frames, minFrames, maxFrames},
		{"Queues", c.Queues, 1, maxQueues},
	} {
		if f.name == "Chunk" && f.v == 0 {
			continue
		}
		if f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("loopback: %s is %d, must be from %d to %d", f.name, f.v, f.lo, f.hi)
		}
	}
	if n := c.chain(c.longest()); n > c.Frames {
		return fmt.Errorf("loopback: a packet can have %d frames of %d bytes: Frames must be at least that, not %d", n, c.Chunk, c.Frames)
	}
	if c.MAC.IsMulticast() {
		return fmt.Errorf("loopback: %v is a group address, a device's own must be unicast", c.MAC)
	}
	return nil
}

// packet is the length of the longest packet that is not a super-frame.
func (c *Config) packet() int { return hal.EthernetHeaderLen + c.MTU }

// longest is the length of the longest packet.
func (c *Config) longest() int {
	if c.NoGSO {
		return c.packet()
	}
	return max(maxGSO, c.packet())
}

// chain is how many buffers a packet of size bytes needs.
func (c *Config) chain(size int) int {
	if c.Chunk == 0 {
		return 1
	}
	return max(1, (size+c.Chunk-1)/c.Chunk)
}

// offloads is what may be left to do in a packet, either way.
func (c *Config) offloads() hal.Offload {
	if c.NoGSO {
		return 0
	}
	return hal.Csum | hal.TSO4 | hal.TSO6 | hal.USO
}
