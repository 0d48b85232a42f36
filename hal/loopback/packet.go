package loopback

import (
	"encoding/binary"

	"github.com/ringtail-net/ringtail/hal"
)

// packet is what Tx finds out about a packet.
type packet struct {
	bad  drop
	size int
	head []byte // the first bytes, as many as are contiguous
	meta hal.Meta
	asIs bool // its frames can be delivered as they are
}

// inspect looks at a packet before any ring is locked. It panics if a frame is
// not the half's own.
func (q *txQueue) inspect(chain []hal.Frame) (p packet) {
	for i := range chain {
		q.loans.find(&chain[i]).offset(&chain[i])
	}
	c := &q.dev.config
	p.size = hal.PacketLen(chain)
	p.meta = chain[0].Meta
	p.meta.CsumValid = false // is for receivers, and nobody has verified anything
	p.head = chain[0].Data
	contiguous := len(p.head) >= min(p.size, hal.Contiguous)
	p.asIs = contiguous && len(chain) <= q.dev.maxChain()
	switch {
	case p.size < hal.EthernetHeaderLen:
		p.bad = txRunt
	case p.size > c.longest(), p.meta.GSO == hal.GSONone && p.size > c.packet():
		p.bad = txTooLong
	case !c.offloads().Carries(p.meta):
		p.bad = txOffload
	case !sane(&p.meta, p.size):
		p.bad = txBadMeta
	case !contiguous:
		p.head = q.gather(chain)
	}
	return p
}

// gather copies the first bytes of a chain to where they are contiguous.
func (q *txQueue) gather(chain []hal.Frame) []byte {
	n := 0
	for i := range chain {
		n += copy(q.gathered[n:], chain[i].Data)
	}
	return q.gathered[:n]
}

// sane reports whether metadata speaks of bytes that exist.
func sane(m *hal.Meta, size int) bool {
	if m.NeedsCsum && int(m.CsumStart)+int(m.CsumOffset)+2 > size {
		return false
	}
	if m.GSO == hal.GSONone {
		return true
	}
	return m.GSO <= hal.GSOUDP && m.NeedsCsum && m.GSOSize > 0 && int(m.HdrLen) <= size
}

// pick returns the queue of a flow: its addresses and, if they are there, ports.
func (d *device) pick(head []byte) *rxQueue {
	if len(d.rx) == 1 {
		return d.rx[0]
	}
	return d.rx[flowHash(head)%uint32(len(d.rx))]
}

// flowHash hashes what all packets of a flow have in common, so that they stay
// in order. Everything that is not IP is one flow.
func flowHash(p []byte) uint32 {
	const ip4, ip6 = 0x0800, 0x86dd
	if len(p) < hal.EthernetHeaderLen {
		return 0
	}
	typ, p := binary.BigEndian.Uint16(p[12:]), p[hal.EthernetHeaderLen:]
	switch {
	case typ == ip4 && len(p) >= 20:
		h := mix(hashStart, p[12:20])
		l4 := int(p[0]&15) * 4
		if fragment := binary.BigEndian.Uint16(p[6:]) & 0x3fff; fragment != 0 {
			return h // the ports are in the first one only
		}
		return ports(h, p[9], p[min(l4, len(p)):])
	case typ == ip6 && len(p) >= 40:
		return ports(mix(hashStart, p[8:40]), p[6], p[40:])
	}
	return 0
}

func ports(h uint32, proto byte, l4 []byte) uint32 {
	const tcp, udp = 6, 17
	if proto != tcp && proto != udp || len(l4) < 4 {
		return h
	}
	return mix(h, l4[:4])
}

const hashStart = 2166136261

// mix is a step of the FNV-1a hash, as in hash/fnv but without its allocation.
func mix(h uint32, b []byte) uint32 {
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
