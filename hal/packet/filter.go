package packet

import (
	"encoding/binary"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
)

// wanted is what a socket shall receive.
type wanted struct {
	macs   []hal.MAC    // of ours
	steer  bool         // SetLocal was called: what follows holds
	addrs  []netip.Addr // unicast and groups
	any4   bool         // there is an IPv4 address: ARP and broadcasts
	dhcp   bool         // a DHCP client waits for answers
	ignore bool         // nothing at all, for now
}

// An instruction of the kernel's classic packet filter
// (Documentation/networking/filter.rst); the layout is struct sock_filter.
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// The instructions used here: load a word, half or byte of the packet into A; load
// the length of the IPv4 header at k into X; load at X+k; A and k; jump by k; jump
// by jt or jf if A is k, or has a bit of it; return how much of the packet to keep.
const (
	ldW  = 0x20
	ldH  = 0x28
	ldB  = 0x30
	ldxM = 0xb1
	ldHX = 0x48
	and  = 0x54
	ja   = 0x05
	jeq  = 0x15
	jset = 0x45
	ret  = 0x06
)

// Where the kernel's own knowledge of a packet can be loaded from (SKF_AD_OFF with
// SKF_AD_PKTTYPE and SKF_AD_VLAN_TAG), and what it says of our own packets.
const (
	atPacketType = 0xfffff000 + 4
	atVLANTag    = 0xfffff000 + 44
	outgoing     = 4
)

// Offsets in an Ethernet frame, and values there.
const (
	atEtherType = 12
	atIPv4      = 14
	atFragment  = atIPv4 + 6
	atProtocol  = atIPv4 + 9
	atIPv4Dst   = atIPv4 + 16
	atIPv6Dst   = 14 + 24

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	protoUDP   = 17
	portClient = 68 // of DHCP
)

const keepAll = 0xffffffff

// mostAddrs bounds the filter's length: 9 instructions an address, and the
// kernel allows 4096. With more addresses all that comes to our MAC is received.
const mostAddrs = 400

// mostMACs bounds how many stations we can be: the filter names each.
const mostMACs = 64

// A program is built from front to back. Every comparison jumps over what follows
// it at once, so that no distance can grow beyond what an instruction can say.
type program []instruction

func (p *program) add(code uint16, k uint32) { *p = append(*p, instruction{code: code, k: k}) }

// jump adds a jump to a place that land names later.
func (p *program) jump() (at int) {
	p.add(ja, 0)
	return len(*p) - 1
}

func (p program) land(at int) { p[at].k = uint32(len(p) - at - 1) }

// unless makes the next instructions, skip of them, depend on A being k.
func (p *program) unless(k uint32, skip uint8) {
	*p = append(*p, instruction{code: jeq, k: k, jf: skip})
}

// keepIf ends the program with the packet kept if A is k.
func (p *program) keepIf(k uint32) {
	p.unless(k, 1)
	p.add(ret, keepAll)
}

// compile makes the program that keeps what is wanted. Whatever it cannot be sure
// of it keeps: what is received besides costs a little, what is lost is lost. Loads
// beyond the end of a packet end the program and drop the packet.
func (w wanted) compile() []instruction {
	var p program
	if w.ignore {
		p.add(ret, 0)
		return p
	}
	p.add(ldB, atPacketType)
	p.unless(outgoing, 1)
	p.add(ret, 0)
	// The tag has been taken off the packet. A priority without a VLAN is none.
	p.add(ldW, atVLANTag)
	p.add(and, 0xfff)
	p = append(p, instruction{code: jeq, jt: 1})
	p.add(ret, 0)
	p.stations(w.macs)
	if !w.steer || len(w.addrs) > mostAddrs {
		p.add(ret, keepAll)
		return p
	}
	p.add(ldH, atEtherType)
	p.unless(typeIPv4, 1)
	four := p.jump()
	p.unless(typeIPv6, 1)
	six := p.jump()
	if w.any4 {
		// All of ARP, not only the requests for our addresses: what others
		// announce concerns us too, and it is never much.
		p.keepIf(typeARP)
	}
	p.add(ret, 0)
	p.land(four)
	p.ipv4(w)
	p.land(six)
	p.ipv6(w)
	return p
}

// stations keeps on with groups and our own MAC addresses only.
func (p *program) stations(macs []hal.MAC) {
	var found []int
	p.add(ldB, 0)
	*p = append(*p, instruction{code: jset, k: 1, jf: 1})
	found = append(found, p.jump())
	for _, m := range macs {
		p.add(ldW, 0)
		p.unless(binary.BigEndian.Uint32(m[:]), 3)
		p.add(ldH, 4)
		p.unless(uint32(binary.BigEndian.Uint16(m[4:])), 1)
		found = append(found, p.jump())
	}
	p.add(ret, 0)
	for _, at := range found {
		p.land(at)
	}
}

// ipv4 ends the program for IPv4: what is sent to our addresses and groups; to
// everybody on the link, whatever the address, since we do not know which address
// means everybody; and to the port of DHCP clients, unless it is a fragment's rest.
func (p *program) ipv4(w wanted) {
	if w.dhcp {
		p.add(ldB, atProtocol)
		p.unless(protoUDP, 6)
		p.add(ldH, atFragment)
		*p = append(*p, instruction{code: jset, k: 0x1fff, jt: 4})
		p.add(ldxM, atIPv4)
		p.add(ldHX, atIPv4+2)
		p.keepIf(portClient)
	}
	if w.any4 {
		p.add(ldW, 0)
		p.keepIf(0xffffffff)
	}
	p.add(ldW, atIPv4Dst)
	for _, a := range w.addrs {
		if a.Is4() {
			b := a.As4()
			p.keepIf(binary.BigEndian.Uint32(b[:]))
		}
	}
	p.add(ret, 0)
}

func (p *program) ipv6(w wanted) {
	for _, a := range w.addrs {
		if !a.Is6() {
			continue
		}
		b := a.As16()
		for i := range 4 {
			p.add(ldW, uint32(atIPv6Dst+4*i))
			p.unless(binary.BigEndian.Uint32(b[4*i:]), uint8(7-2*i))
		}
		p.add(ret, keepAll)
	}
	p.add(ret, 0)
}
