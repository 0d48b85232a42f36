package afxdp

import (
	"github.com/cilium/ebpf/asm"

	"github.com/ringtail-net/ringtail/hal"
)

// judgeMAC is tables.judgeMAC.
func (c *code) judgeMAC() {
	c.need(hal.EthernetHeaderLen)
	c.half(asm.R1, 12)
	c.do(
		asm.JEq.Imm(asm.R1, be16(typeVLAN), goKernels),
		asm.JEq.Imm(asm.R1, be16(typeQinQ), goKernels),
	)
	c.byte(asm.R1, 0)
	c.do(
		asm.And.Imm(asm.R1, 1),
		asm.JNE.Imm(asm.R1, 0, goBoth),
	)
	c.clear(atKey, len(key16{}))
	for i := int16(0); i < 6; i += 2 {
		c.half(asm.R1, i)
		c.do(asm.StoreMem(asm.RFP, atKey+i, asm.R1, asm.Half))
	}
	c.lookUp(c.maps.hosts, atKey)
	c.do(
		asm.JEq.Imm(asm.R0, int32(forUs), goOurs),
		asm.Ja.Label(goKernels),
	)
}

// judgeARP is tables.judgeARP.
func (c *code) judgeARP() {
	const header = hal.EthernetHeaderLen
	c.label("arp")
	c.need(header + 28)
	c.word(asm.R1, header)
	c.do(asm.JNE.Imm32(asm.R1, be32(0x0001_0800), goKernels)) // Ethernet, IPv4
	c.half(asm.R1, header+4)
	c.do(asm.JNE.Imm(asm.R1, be16(0x0604), goKernels)) // the lengths of their addresses
	c.word(asm.R1, header+24)
	c.hostIPv4(asm.R1)
	c.do(asm.JEq.Imm(asm.R0, int32(forUs), goOurs))
	c.half(asm.R1, header+6)
	c.do(
		asm.JNE.Imm(asm.R1, be16(arpReply), goKernels),
		asm.Mov.Imm32(asm.R3, -1), // 255.255.255.255
	)
	c.hostIPv4(asm.R3)
	c.do(
		asm.JNE.Imm(asm.R0, 0, goBoth),
		asm.Ja.Label(goKernels),
	)
}

// judgePort is tables.judgePort, for R9 and the protocol on the stack.
func (c *code) judgePort() {
	c.label("port")
	c.fetch(4)
	c.half(asm.R1, 2)
	c.do(
		asm.StoreMem(asm.RFP, atPort+2, asm.R1, asm.Half),
		asm.LoadMem(asm.R1, asm.RFP, atProto, asm.Word),
		asm.StoreMem(asm.RFP, atPort, asm.R1, asm.Byte),
		asm.StoreImm(asm.RFP, atPort+1, 0, asm.Byte),
	)
	c.lookUp(c.maps.ports, atPort)
	c.do(
		asm.JEq.Imm(asm.R0, 0, goKernels),
		asm.JEq.Imm(asm.R9, int32(forUs|byPort), goOurs),
		asm.Ja.Label(goBoth),
	)
}

// theirErrors is the function of that name.
func (c *code) theirErrors(label string, news []uint8) {
	c.label(label)
	c.fetch(1)
	c.byte(asm.R1, 0)
	for _, typ := range news {
		c.do(asm.JEq.Imm(asm.R1, int32(typ), goBoth))
	}
	c.do(asm.Ja.Label(goKernels))
}
