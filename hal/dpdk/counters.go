//go:build dpdk && cgo && linux

package dpdk

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/ringtail-net/ringtail/hal"
)

// A reason is why a packet was lost.
type reason int

const (
	rxRunt reason = iota
	rxTooLong
	rxNoBuffer
	rxMissed
	rxErrors
	txRunt
	txTooLong
	txOffload
	txChained
	txRejected
	txLinkDown
	txErrors
	reasons
)

var reasonNames = [reasons]string{
	rxRunt:     "rx-runt",      // shorter than an Ethernet header
	rxTooLong:  "rx-too-long",  // of more buffers than Info.MaxChain, even after it was copied
	rxNoBuffer: "rx-no-buffer", // no buffer was free: in the port, or for a packet that had to be copied
	rxMissed:   "rx-missed",    // the port's: its queue towards us was full
	rxErrors:   "rx-errors",    // the port's: damaged packets
	txRunt:     "tx-runt",      // shorter than an Ethernet header
	txTooLong:  "tx-too-long",  // longer than the MTU or, as a super-frame, than GSOMax
	txOffload:  "tx-offload",   // needs an offload that is not in Info.TxOffloads, or has bad metadata
	txChained:  "tx-chained",   // of more buffers than the port can send
	txRejected: "tx-rejected",  // the port finds it malformed
	txLinkDown: "tx-link-down", // the port was full and its link is down
	txErrors:   "tx-errors",    // the port's
}

// counters belong to one half, which alone adds; anybody may read.
type counters struct {
	packets, bytes atomic.Uint64
	full           atomic.Uint64
	drops          [reasons]atomic.Uint64
}

func (c *counters) passed(packets uint32, bytes uint64) {
	if packets > 0 {
		c.packets.Add(uint64(packets))
		c.bytes.Add(bytes)
	}
}

func (c *counters) dropped(why reason, n uint32) {
	if n > 0 {
		c.drops[why].Add(uint64(n))
	}
}

func (c *counters) addDrops(to map[string]uint64) {
	for why, name := range reasonNames {
		to[name] += c.drops[why].Load()
	}
}

// stableMAC is the address of a port that has none: always the same for this name
// on this machine, because others keep it in their
// neighbour tables. It is locally administered (IEEE Std 802, section 8.4.4).
func stableMAC(name string) hal.MAC {
	host, _ := os.Hostname() // without it, the rest is a good guess
	sum := sha256.Sum256(fmt.Appendf(nil, "ringtail dpdk %s %s", name, host))
	m := hal.MAC(sum[:6])
	m[0] = m[0]&^1 | 2
	return m
}
