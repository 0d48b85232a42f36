package afxdp

import (
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// A reason is why a packet was lost.
type reason int

const (
	rxBadDescriptor reason = iota
	rxRunt
	rxTooLong
	txRunt
	txTooLong
	txOffload
	txBusy
	txLinkDown
	txBadCompletion
	reasons
)

var reasonNames = [reasons]string{
	rxBadDescriptor: "rx-bad-descriptor", // the kernel gave what is not ours: it, or our memory, is damaged
	rxRunt:          "rx-runt",           // shorter than an Ethernet header
	rxTooLong:       "rx-too-long",       // longer than the MTU was when the device was opened
	txRunt:          "tx-runt",           // shorter than an Ethernet header
	txTooLong:       "tx-too-long",       // longer than the MTU
	txOffload:       "tx-offload",        // needs an offload that is not in Info.TxOffloads, or contradicts itself
	txBusy:          "tx-busy",           // the interface's queue was full, and the kernel dropped it
	txLinkDown:      "tx-link-down",      // the interface is down, or has no carrier
	txBadCompletion: "tx-bad-completion", // the kernel gave back what it did not have
}

// The kernel's own reasons (XDP_STATISTICS).
const (
	rxNoBuffer  = "rx-no-buffer"  // the fill ring was empty: too much on loan, or the reader too slow
	rxRingFull  = "rx-ring-full"  // the receive ring was full: the reader is too slow
	rxDropped   = "rx-dropped"    // it did not fit a buffer, or the interface changed
	rxBadBuffer = "rx-bad-buffer" // the fill ring held nonsense
	txRejected  = "tx-rejected"   // the transmit ring held nonsense
)

// counters belong to one half, which alone adds; anybody may read.
type counters struct {
	packets, bytes, blank atomic.Uint64
	drops                 [reasons]atomic.Uint64
}

func (c *counters) passed(packets, bytes int) {
	if packets > 0 {
		c.packets.Add(uint64(packets))
		c.bytes.Add(uint64(bytes))
	}
}

func (c *counters) dropped(why reason) { c.drops[why].Add(1) }

func (c *counters) addDrops(to map[string]uint64) {
	for why, name := range reasonNames {
		to[name] += c.drops[why].Load()
	}
}

// kernelDrops is what the kernel has lost, of one socket or of several.
type kernelDrops struct {
	noBuffer, ringFull, dropped, badBuffer, rejected uint64
}

func (k *kernelDrops) add(o kernelDrops) {
	k.noBuffer += o.noBuffer
	k.ringFull += o.ringFull
	k.dropped += o.dropped
	k.badBuffer += o.badBuffer
	k.rejected += o.rejected
}

func (k *kernelDrops) into(m map[string]uint64) {
	m[rxNoBuffer] = k.noBuffer
	m[rxRingFull] = k.ringFull
	m[rxDropped] = k.dropped
	m[rxBadBuffer] = k.badBuffer
	m[txRejected] = k.rejected
}

// sum adds the counters of the halves.
func sum(rx, tx []*counters) hal.Stats {
	s := hal.Stats{Drops: make(map[string]uint64, reasons+8)}
	for _, c := range rx {
		s.RxPackets += c.packets.Load()
		s.RxBytes += c.bytes.Load()
		s.RxBlank += c.blank.Load()
		c.addDrops(s.Drops)
	}
	for _, c := range tx {
		s.TxPackets += c.packets.Load()
		s.TxBytes += c.bytes.Load()
		c.addDrops(s.Drops)
	}
	return s
}
