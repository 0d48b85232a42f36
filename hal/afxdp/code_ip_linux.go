package afxdp

import (
	"fmt"

	"github.com/cilium/ebpf/asm"

	"github.com/ringtail-net/ringtail/hal"
)

// judgeIPv4 is tables.judgeIPv4.
func (c *code) judgeIPv4() {
	const ip = hal.EthernetHeaderLen
	c.label("ipv4")
	c.need(ip + 20)
	c.byte(asm.R1, ip)
	c.do(
		asm.And.Imm(asm.R1, 0xf0),
		asm.JNE.Imm(asm.R1, 0x40, goKernels),
	)
	c.word(asm.R3, ip+16)
	// What every station gets is looked up as 255.255.255.255.
	for i := int16(0); i < 6; i += 2 {
		c.half(asm.R1, i)
		c.do(asm.JNE.Imm(asm.R1, 0xffff, "ipv4-unicast"))
	}
	c.do(asm.Mov.Imm32(asm.R3, -1))
	c.label("ipv4-unicast")
	c.hostIPv4(asm.R3)
	c.do(
		asm.JEq.Imm(asm.R0, int32(forUs), goOurs),
		asm.Mov.Reg(asm.R9, asm.R0),
	)

	c.half(asm.R1, ip+6)
	c.do(
		asm.And.Imm(asm.R1, be16(0x1fff)),
		asm.JNE.Imm(asm.R1, 0, "ipv4-later"),
	)
	c.byte(asm.R1, ip+9)
	c.do(asm.StoreMem(asm.RFP, atProto, asm.R1, asm.Word))
	c.byte(asm.R2, ip)
	c.do(
		asm.And.Imm(asm.R2, 0x0f),
		asm.LSh.Imm(asm.R2, 2), // words to bytes
		asm.JLT.Imm(asm.R2, 20, goKernels),
	)
	c.start(ip)
	c.skip(asm.R2)
	c.judgeDHCP()

	c.label("ipv4-transport")
	c.unlessByPort("ipv4-all")
	c.do(
		asm.LoadMem(asm.R1, asm.RFP, atProto, asm.Word),
		asm.JEq.Imm(asm.R1, protoTCP, "port"),
		asm.JEq.Imm(asm.R1, protoUDP, "port"),
		asm.JEq.Imm(asm.R1, protoICMP, "icmpv4"),
		asm.JEq.Imm(asm.R1, protoIGMP, goBoth),
		asm.Ja.Label(goKernels),
	)
	c.label("ipv4-later")
	c.unlessByPort("ipv4-all")
	c.do(asm.Ja.Label(goBoth))
	c.label("ipv4-all")
	c.do(
		asm.JEq.Imm(asm.R9, int32(forBoth), goBoth),
		asm.Ja.Label(goKernels),
	)
}

// judgeDHCP finds answers to a DHCP client, which come to an address that
// nobody has yet.
func (c *code) judgeDHCP() {
	c.do(asm.JNE.Imm(asm.R1, protoUDP, "ipv4-transport"))
	c.fetch(4)
	c.half(asm.R1, 2)
	c.do(
		asm.JNE.Imm(asm.R1, be16(portBOOTPC), "ipv4-transport"),
		asm.Mov.Imm(asm.R3, 0),
	)
	c.hostIPv4(asm.R3)
	c.do(asm.JNE.Imm(asm.R0, 0, goBoth))
}

// unlessByPort goes to a label if R9 does not depend on the port.
func (c *code) unlessByPort(label string) {
	c.do(
		asm.Mov.Reg(asm.R1, asm.R9),
		asm.And.Imm(asm.R1, int32(byPort)),
		asm.JEq.Imm(asm.R1, 0, label),
	)
}

// judgeIPv6 is tables.judgeIPv6.
func (c *code) judgeIPv6() {
	const ip = hal.EthernetHeaderLen
	c.label("ipv6")
	c.need(ip + 40)
	c.byte(asm.R1, ip)
	c.do(
		asm.And.Imm(asm.R1, 0xf0),
		asm.JNE.Imm(asm.R1, 0x60, goKernels),
	)
	for i := int16(0); i < 16; i += 4 {
		c.word(asm.R1, ip+24+i)
		c.do(asm.StoreMem(asm.RFP, atKey+i, asm.R1, asm.Word))
	}
	c.lookUp(c.maps.hosts, atKey)
	c.do(
		asm.JEq.Imm(asm.R0, int32(forUs), goOurs),
		asm.JEq.Imm(asm.R0, int32(forBoth), goBoth),
		asm.JEq.Imm(asm.R0, 0, goKernels),
		asm.Mov.Reg(asm.R9, asm.R0),
	)
	c.byte(asm.R1, ip+6)
	c.start(ip + 40)
	for i := range maxExtensions + 1 {
		c.nextHeader(fmt.Sprintf("ipv6-%d", i))
	}
	c.do(asm.Ja.Label(goKernels))
}

// nextHeader looks at the header at the cursor, whose type is in R1. Behind a
// transport header it does not go on; else R1 and the cursor are at the next header.
func (c *code) nextHeader(name string) {
	c.do(
		asm.StoreMem(asm.RFP, atProto, asm.R1, asm.Word),
		asm.JEq.Imm(asm.R1, protoTCP, "port"),
		asm.JEq.Imm(asm.R1, protoUDP, "port"),
		asm.JEq.Imm(asm.R1, protoICMPv6, "icmpv6"),
	)
	c.fetch(8) // R1 is spoiled
	c.do(
		asm.LoadMem(asm.R1, asm.RFP, atProto, asm.Word),
		asm.JEq.Imm(asm.R1, extFragment, name+"-fragment"),
		asm.JEq.Imm(asm.R1, extHopByHop, name+"-extension"),
		asm.JEq.Imm(asm.R1, extRouting, name+"-extension"),
		asm.JEq.Imm(asm.R1, extDestination, name+"-extension"),
		asm.Ja.Label(goKernels),
	)
	c.label(name + "-fragment")
	c.half(asm.R1, 2)
	c.do(
		asm.And.Imm(asm.R1, be16(0xfff8)),
		asm.JNE.Imm(asm.R1, 0, goBoth),
		asm.Mov.Imm(asm.R2, 8),
		asm.Ja.Label(name+"-next"),
	)
	c.label(name + "-extension")
	c.byte(asm.R2, 1)
	c.do(
		asm.Add.Imm(asm.R2, 1),
		asm.LSh.Imm(asm.R2, 3), // units of eight bytes
	)
	c.label(name + "-next")
	c.byte(asm.R1, 0)
	c.skip(asm.R2)
}
