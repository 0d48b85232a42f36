// Package dpdk is the driver of DPDK's ports: network cards that are taken from the
// kernel altogether, and virtual devices, of which shared memory between two
// processes (memif, vhost) is the fastest.
//
//	import _ "github.com/ringtail-net/ringtail/hal/dpdk"
//
//	// One process is the server of a cable of shared memory, another the client.
//	dev, err := hal.Open("dpdk:net_memif0?role=server&socket=/run/rt.sock")
//	if err != nil { … } // says which package, key or command helps
//	defer dev.Close()
//
// It is the only part of Ringtail that is not pure Go, so it is left out unless it
// is asked for: build with -tags dpdk, cgo and the package libdpdk-dev. Without
// them Open fails with an error that says so. docs/dpdk.md tells the rest:
// packages, hugepages, network cards, devices to try.
//
// DPDK's environment (EAL) exists once in a process and cannot be ended. The first
// Open starts it; Huge, Lcores and EAL are about it, and a later Open that asks
// for other ones fails. Ports come and go with Open and Close.
//
// Frames are views of DPDK's buffers (mbufs): nothing is copied. A burst costs one
// call of C each way. The goroutine that has a half is neither locked to a thread
// nor known to DPDK, so DPDK has no cache of buffers for it: that costs about 8 ns
// a packet.
//
// The trap: most ports have nothing that one could sleep on. A sleeper looks at
// them, every 20 µs after traffic and every millisecond when it is quiet for long;
// so the first packet after a quiet time is late by that. Wait "spin" does without
// sleep, and takes a core.
package dpdk

import (
	"log/slog"

	"github.com/ringtail-net/ringtail/hal"
)

// Config says which port to open. The zero value lacks only Name.
type Config struct {
	// Name is the device: a virtual one by the name of its driver and a number,
	// as in net_memif0, or a network card by its PCI address, as in
	// 0000:01:00.0.
	Name string

	// Args are the arguments of the device, "key=value", as DPDK's documentation
	// has them. The file of a socket that a dead server left is removed.
	Args []string

	// Pair is for net_ring only: the two ports of the process that name the same
	// pair are the ends of one cable. Empty: what is sent comes back.
	Pair string

	// Queues is the number of receive and of transmit queues. 0: 1. Only some
	// ports spread what arrives over them.
	Queues int

	// MTU is the longest IP packet. 0: what the port has, 1500 as a rule.
	MTU int

	// MAC is our address. Zero: that of the port, or one that stays the same for
	// this name if the port has none.
	MAC hal.MAC

	// Promiscuous asks the port for what is sent to other stations too.
	Promiscuous bool

	// Mbufs is how many buffers the port has, in all queues and both directions.
	// 0: 4096 for each queue and 4095 more.
	Mbufs int

	// Room is how many bytes of a packet a buffer holds; longer packets are
	// chains, if the port can do that. 0: a packet of the MTU, at least 2048.
	Room int

	// Wait is how arrivals are noticed. "poll", or empty: by looking, ever less
	// often. "poll:50us": the same, but no more often than that. "spin": by
	// looking all the time.
	Wait string

	// NetNS is the network namespace of the kernel's interface that net_tap,
	// net_af_packet or net_af_xdp is about: a name of ip-netns(8) or a path.
	// Empty: that of the calling thread.
	NetNS string

	// Huge is whether memory is in hugepages: "on", "off", or "auto" (or empty),
	// which is "on" if enough are free.
	Huge string

	// Lcores is EAL's --lcores. Empty: one that floats over all processors of
	// this process; nothing runs there.
	Lcores string

	// EAL are further arguments of EAL, as in "-m", "1024".
	EAL []string

	// Log gets what DPDK writes while this port is open; it writes about all
	// ports. Nil: only the last complaint is kept, for the error of Open.
	Log *slog.Logger
}

// Open opens a port. Errors are one line that names what would help; they wrap the
// system's errno, hal.ErrNotSupported where the build, the system or the port
// lacks something, and hal.ErrSpec where c contradicts itself.
func Open(c Config) (hal.Device, error) {
	p, err := c.plan()
	if err != nil {
		return nil, err
	}
	return open(p)
}

// Counters returns what a port of this driver counts beyond hal.Stats, by DPDK's
// names (xstats), and "tx-full", the calls in which it took less than it was
// offered. It looks through wrappers; nil means that d has no such port.
func Counters(d hal.Device) map[string]uint64 {
	c, ok := hal.As[interface{ counters() map[string]uint64 }](d)
	if !ok {
		return nil
	}
	return c.counters()
}

func init() {
	hal.Register(hal.Driver{
		Name:    "dpdk",
		Summary: "a port of DPDK: a network card without the kernel, or shared memory",
		Target:  "device: a virtual one (net_memif0), or the PCI address of a network card",
		Keys:    keys(),
		Open: func(s hal.Spec) (hal.Device, error) {
			c, err := fromSpec(s)
			if err != nil {
				return nil, err
			}
			return Open(c)
		},
		Probe: probe,
	})
}
