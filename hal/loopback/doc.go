// Package loopback is a wire in memory: the devices on it belong to this process.
// It needs no privileges and works on every system, so it is what tests,
// demonstrations and simulations run on.
//
// A program names a wire in a spec, and whoever uses the same name is on it:
//
//	a, err := hal.Open("loopback:lan")
//	b, err := hal.Open("loopback:lan?queues=2")
//
// A wire made by [New] has no name that others could use by accident:
//
//	w, err := loopback.New(loopback.Config{MTU: 9000})
//	a, err := w.Device(loopback.Config{})
//
// Two devices are a cable: each gets all that the other sends. More are a hub
// that knows their addresses: a packet to one of them goes only there, every
// other packet to all. An empty name, or Config.Reflect, is a mirror: a device
// gets back what it sent.
//
// A packet with one receiver is handed over, not copied: its buffers are lent to
// the receiver and are free again when it releases them. Such a packet is never
// lost. If the receiver's ring is full, Tx takes fewer frames than it was given,
// and the transmit half is writable again when the receiver has fetched some.
// Packets with several receivers are copied, and one whose ring is full misses
// them (drop "rx-ring-full").
//
// The trap is in that promise: a device that nobody reads from stops those who
// send to it. Close devices you no longer read.
//
// The package knows no time: what Tx takes is there at once. A link with latency,
// loss or a rate is a wrapper around a device, or the simulator's.
package loopback
