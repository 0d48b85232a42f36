package packet

import (
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// A reason is why a packet was lost.
type reason int

const (
	rxBadHeader reason = iota
	rxRunt
	rxTooLong
	rxBadBlock
	txRunt
	txTooLong
	txOffload
	txChained
	txRejected
	txNoBuffer
	txLinkDown
	reasons
)

var reasonNames = [reasons]string{
	rxBadHeader: "rx-bad-header", // a super-frame of a kind that the virtio-net header cannot say
	rxRunt:      "rx-runt",       // shorter than an Ethernet header
	rxTooLong:   "rx-too-long",   // longer than the buffers, or the blocks of the ring: BIG TCP
	rxBadBlock:  "rx-bad-block",  // what the kernel wrote into the ring contradicts itself
	txRunt:      "tx-runt",       // shorter than an Ethernet header
	txTooLong:   "tx-too-long",   // longer than the MTU or, as a super-frame, than GSOMax
	txOffload:   "tx-offload",    // needs an offload that is not in Info.TxOffloads
	txChained:   "tx-chained",    // a chain: no Alloc of this device gives one
	txRejected:  "tx-rejected",   // the kernel finds packet or header malformed
	txNoBuffer:  "tx-no-buffer",  // the interface's queue stayed full, or the kernel has no memory
	txLinkDown:  "tx-link-down",  // the interface is down
}

// queueFull is the drop that the kernel counts: the socket, or the ring, was full.
const queueFull = "rx-queue-full"

// counters belong to one half, which alone adds; anybody may read.
type counters struct {
	packets, bytes atomic.Uint64
	drops          [reasons]atomic.Uint64
}

func (c *counters) passed(packets, bytes int) {
	if packets > 0 {
		c.packets.Add(uint64(packets))
		c.bytes.Add(uint64(bytes))
	}
}

func (c *counters) dropped(why reason) { c.drops[why].Add(1) }

// sum adds the counters of the halves, and what the kernel has dropped.
func sum(rx, tx []*counters, full uint64) hal.Stats {
	s := hal.Stats{Drops: make(map[string]uint64, reasons+1)}
	for _, name := range reasonNames {
		s.Drops[name] = 0
	}
	for _, c := range rx {
		s.RxPackets += c.packets.Load()
		s.RxBytes += c.bytes.Load()
		c.addDrops(s.Drops)
	}
	for _, c := range tx {
		s.TxPackets += c.packets.Load()
		s.TxBytes += c.bytes.Load()
		c.addDrops(s.Drops)
	}
	s.Drops[queueFull] = full
	return s
}

func (c *counters) addDrops(to map[string]uint64) {
	for why, name := range reasonNames {
		to[name] += c.drops[why].Load()
	}
}
