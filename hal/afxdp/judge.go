package afxdp

import (
	"encoding/binary"

	"github.com/ringtail-net/ringtail/hal"
)

// A verdict says whose a frame is. The numbers are those in the kernel's tables.
type verdict uint32

const (
	forKernel verdict = 0 // nobody's here but the kernel's: it passes
	forUs     verdict = 1 // ours alone: the kernel never hears of it
	forBoth   verdict = 2 // the kernel's, and ours: it passes, and we get a copy

	// byPort is added to the verdict on an address that the kernel has too:
	// it holds for frames to our ports only.
	byPort verdict = 4
)

// A key is what the kernel's table of hosts is asked for: an IP address, an IPv4
// one in the form ::ffff:a.b.c.d, or with filter=mac a MAC address and zeros.
type key16 [16]byte

// A portKey is what the kernel's table of ports is asked for: the protocol, a
// byte of zero, and the port in network order.
type portKey [4]byte

// judge says whose a frame is. It is what the program in the kernel does, written
// for people, and for the tests, which hold the program to it: compare the files
// code_*_linux.go.
func (t *tables) judge(frame []byte) verdict {
	if t.kind == everything {
		return forUs
	}
	if len(frame) < hal.EthernetHeaderLen {
		return forKernel
	}
	typ := binary.BigEndian.Uint16(frame[12:])
	if t.kind == byMAC {
		return t.judgeMAC(frame, typ)
	}
	switch typ {
	case typeARP:
		return t.judgeARP(frame)
	case typeIPv4:
		return t.judgeIPv4(frame)
	case typeIPv6:
		return t.judgeIPv6(frame)
	}
	return forKernel // what has a VLAN tag is the kernel's too
}

// The types of Ethernet that have a meaning here.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100 // 802.1Q
	typeQinQ = 0x88a8 // 802.1ad
	typeIPv6 = 0x86dd
)

// judgeMAC: what is sent to our own station is ours, and what is sent to many is
// everybody's.
func (t *tables) judgeMAC(frame []byte, typ uint16) verdict {
	switch {
	case typ == typeVLAN || typ == typeQinQ:
		return forKernel
	case frame[0]&1 != 0:
		return forBoth
	}
	return t.hosts[macKey(hal.MAC(frame[:6]))]
}

// judgeARP: questions for our address and answers to us are ours. Where the kernel
// has the address too it answers. Other answers are everybody's: to who asks before
// he takes an address they go to none (RFC 5227), and unasked ones announce
// that an address has moved.
func (t *tables) judgeARP(frame []byte) verdict {
	const end = hal.EthernetHeaderLen + 28
	if len(frame) < end {
		return forKernel
	}
	p := frame[hal.EthernetHeaderLen:]
	if [6]byte(p) != [6]byte{0, 1, 8, 0, 6, 4} { // Ethernet and IPv4
		return forKernel
	}
	switch {
	case t.hosts[ip4Key([4]byte(p[24:]))] == forUs: // the target
		return forUs
	case binary.BigEndian.Uint16(p[6:]) == arpReply && t.hosts[ip4Key(limitedBroadcast)] != forKernel:
		return forBoth // we have an IPv4 address
	}
	return forKernel
}

const arpReply = 2

func (t *tables) judgeIPv4(frame []byte) verdict {
	const fixed = 20
	if len(frame) < hal.EthernetHeaderLen+fixed {
		return forKernel
	}
	p := frame[hal.EthernetHeaderLen:]
	if p[0]>>4 != 4 {
		return forKernel
	}
	to := [4]byte(p[16:])
	if hal.MAC(frame[:6]) == hal.Broadcast {
		to = limitedBroadcast // as is 10.0.0.255: nobody here knows the prefix
	}
	v := t.hosts[ip4Key(to)]
	if v == forUs {
		return forUs // the way of most frames
	}
	if binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return v.later()
	}
	header := int(p[0]&0xf) * 4
	if header < fixed {
		return forKernel
	}
	l4 := p[min(header, len(p)):]
	if p[9] == protoUDP {
		if len(l4) < 4 {
			return forKernel
		}
		if binary.BigEndian.Uint16(l4[2:]) == portBOOTPC && t.hosts[ip4Key(anyHost)] != forKernel {
			return forBoth // the kernel may have a DHCP client too
		}
	}
	if v&byPort == 0 {
		return v
	}
	switch p[9] {
	case protoTCP, protoUDP:
		return t.judgePort(v, p[9], l4)
	case protoICMP:
		return theirErrors(icmp4News, l4)
	case protoIGMP:
		return forBoth
	}
	return forKernel
}

// judgeIPv6 needs no more than the address, unless the port counts. Then it looks
// behind as many extension headers as anybody sends.
func (t *tables) judgeIPv6(frame []byte) verdict {
	const fixed = 40
	if len(frame) < hal.EthernetHeaderLen+fixed {
		return forKernel
	}
	p := frame[hal.EthernetHeaderLen:]
	if p[0]>>4 != 6 {
		return forKernel
	}
	v := t.hosts[key16(p[24:fixed])]
	if v&byPort == 0 {
		return v
	}
	next, rest := p[6], p[fixed:]
	for range maxExtensions + 1 {
		switch next {
		case protoTCP, protoUDP:
			return t.judgePort(v, next, rest)
		case protoICMPv6:
			return theirErrors(icmp6News, rest)
		}
		size := 8
		if len(rest) < size {
			return forKernel
		}
		switch next {
		case extFragment:
			if binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0 {
				return forBoth
			}
		case extHopByHop, extRouting, extDestination:
			size += int(rest[1]) * 8
		default:
			return forKernel
		}
		if len(rest) < size {
			return forKernel
		}
		next, rest = rest[0], rest[size:]
	}
	return forKernel
}

// later is the verdict on the later fragments of a datagram, which have no ports.
// Where these count, whoever got the first one needs them.
func (v verdict) later() verdict {
	if v&byPort != 0 {
		return forBoth
	}
	return v
}

// judgePort: of an address that the kernel has too, some ports are ours.
func (t *tables) judgePort(v verdict, proto uint8, l4 []byte) verdict {
	if len(l4) < 4 || !t.ports[portKey{proto, 0, l4[2], l4[3]}] {
		return forKernel
	}
	return v &^ byPort
}

// theirErrors: what ICMP says about packets, and about neighbours, is news to both.
// It answers questions for the address alone: the kernel.
func theirErrors(news []uint8, l4 []byte) verdict {
	if len(l4) >= 1 {
		for _, typ := range news {
			if l4[0] == typ {
				return forBoth
			}
		}
	}
	return forKernel
}

const (
	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extDestination = 60

	// maxExtensions is how many extension headers are walked through.
	maxExtensions = 4

	portBOOTPC = 68
)

// The types of ICMP that both want to hear of: unreachable, time exceeded,
// parameter problem; over IPv6 also packet too big, and of neighbours: queries
// for listeners, advertisements of routers and of neighbours, redirects.
var (
	icmp4News = []uint8{3, 11, 12}
	icmp6News = []uint8{1, 2, 3, 4, 130, 134, 136, 137}
)
