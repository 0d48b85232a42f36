// Package wrap puts layers around a device. Each takes a [hal.Device] and is one,
// so they stack, and neither the host above nor the driver below knows:
//
//	dev, err := hal.Open("tap:rt0?host=10.77.0.1/24")
//	faults, err := wrap.ParseFaults("drop=1%,delay=5ms")
//	dev = wrap.Inject(dev, wrap.InjectOptions{Faults: faults, Seed: 7})
//	dev = wrap.Pcap(dev, pcapng.NewWriter(file, "my program"), wrap.PcapOptions{})
//
// There are four: [Inject] loses, delays and damages wire frames, [Pcap] records
// packets in a file, [Trace] logs them, [Stats] counts them. A wrapper owns the
// device it was given: closing the outermost closes all.
//
// # Order
//
// The last one put on is the outermost, next to the host; each shows what passes
// at its own place. Pcap outside of Inject, as above, records what the host sends
// and what reaches it after all faults, super-frames as such. Inside of Inject it
// would record what the device sends and gets: wire frames, with duplicates and
// flipped bits on transmit, without those of receive.
//
// # Writing a wrapper
//
// Embed what is wrapped, change the methods that matter, and write Unwrap: on the
// device and on both halves. This one counts doorbells; the package's example
// has it in full:
//
//	type bell struct {
//		hal.TxQueue
//		rings *atomic.Uint64
//	}
//
//	func (b bell) Unwrap() hal.TxQueue { return b.TxQueue }
//
//	func (b bell) Flush() error {
//		b.rings.Add(1)
//		return b.TxQueue.Flush()
//	}
//
// The trap is Unwrap. An embedded interface forwards its own methods and no
// others, so a wrapper without Unwrap hides the descriptor that a sleeper waits
// for, the [hal.Steerer] that tells the kernel which traffic is ours, and the
// drops that the driver counts; everything compiles, and then nothing wakes up.
// With it, [hal.As] walks through. The other way round, a wrapper must have
// itself what it changes: one that holds packets back is a [hal.Pending], one
// that can be full for reasons of its own is a [hal.Notifier] (and passes Notify
// on), one that changes what packets look like changes [hal.Info].
//
// A half has one owner, and its twin may have another: what both share needs a
// lock, what one has does not. A frame is on loan: after Tx it is the device's,
// so look before; whoever delays a received one must copy it. Package haltest
// tells whether the result is still a device.
package wrap
