package afxdp

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/ringtail-net/ringtail/hal"
)

// code writes the program that judges frames: what judge.go says, in the
// instructions of the kernel's virtual machine. The same program is loaded twice,
// at two hooks of the kernel, which differ in how a frame's bytes are read and in
// what a verdict does: as an XDP program, which gives frames that are ours to a
// socket and passes the rest, and as the filter of the packet socket for copies.
//
// need makes the first bytes of the frame readable, as many as Ethernet and IP always
// have. Behind them, where headers have no fixed place, a cursor walks from one
// to the next, and fetch makes some bytes at the cursor readable. Field loads are
// relative to what was made readable last. Where a frame ends too early it is the
// kernel's. The registers:
//
//	R6  the context
//	R7  where the readable bytes are: in the frame, or copied to the stack
//	R8  the cursor, an offset; before that, at the XDP hook, the end of the frame
//	R9  the verdict of the table of hosts on the frame's destination
//
// R0 to R5 are for the moment: a call of the kernel spoils them.
//
// The cursor is an offset, and fetch a call, because the kernel lets nobody without
// CAP_PERFMON add a number that it does not know to a pointer into a frame.
type code struct {
	asm.Instructions
	hook
	maps   maps
	labels []string // that the next instruction gets
	unique int
}

// hook is where in the kernel the program runs.
type hook interface {
	begin(*code)
	need(c *code, n int32)   // makes the first n bytes of the frame readable
	loader() asm.BuiltinFunc // of the kernel: context, offset, buffer, length
	end(*code)               // the labels ours, both and kernels
}

// maps are the tables that the program looks up.
type maps struct {
	hosts, ports, sockets *ebpf.Map
}

// The stack, from its end down.
const (
	atKey     = -16       // a key16
	atPort    = atKey - 4 // a portKey
	atProto   = -24       // the transport protocol, or the next header; 4 bytes
	atWindow  = -90       // the bytes that were copied; IP headers are aligned
	windowLen = 64
)

// The labels where a verdict takes effect.
const (
	goOurs    = "ours"
	goBoth    = "both"
	goKernels = "kernels"
)

// write returns the program for a filter.
func write(k kind, m maps, h hook) asm.Instructions {
	c := &code{maps: m, hook: h}
	h.begin(c)
	switch k {
	case everything:
		c.do(asm.Ja.Label(goOurs))
	case byMAC:
		c.judgeMAC()
	case byAddress:
		c.need(hal.EthernetHeaderLen)
		c.half(asm.R1, 12)
		c.do(
			asm.JEq.Imm(asm.R1, be16(typeIPv4), "ipv4"),
			asm.JEq.Imm(asm.R1, be16(typeIPv6), "ipv6"),
			asm.JEq.Imm(asm.R1, be16(typeARP), "arp"),
			asm.Ja.Label(goKernels),
		)
		c.judgeARP()
		c.judgeIPv4()
		c.judgeIPv6()
		c.judgePort()
		c.theirErrors("icmpv4", icmp4News)
		c.theirErrors("icmpv6", icmp6News)
	}
	h.end(c)
	return c.Instructions
}

// do appends instructions.
func (c *code) do(ins ...asm.Instruction) {
	for i, in := range ins {
		if i == 0 && len(c.labels) > 0 {
			in = in.WithSymbol(c.labels[0])
			c.labels = c.labels[1:]
		}
		c.Instructions = append(c.Instructions, in)
	}
}

// label names the next instruction.
func (c *code) label(name string) {
	if len(c.labels) > 0 { // an instruction bears only one name
		c.do(asm.Ja.Label(name))
	}
	c.labels = append(c.labels, name)
}

// used reports whether something jumps to a label. What nothing leads to must not
// be in a program.
func (c *code) used(label string) bool {
	return slices.ContainsFunc(c.Instructions, func(in asm.Instruction) bool { return in.Reference() == label })
}

// fresh returns a label that nobody else has.
func (c *code) fresh(name string) string {
	c.unique++
	return fmt.Sprintf("%s-%d", name, c.unique)
}

func (c *code) need(n int32) { c.hook.need(c, n) }

// start sets the cursor to a fixed offset, and skip moves it by a register.
func (c *code) start(at int32)      { c.do(asm.Mov.Imm(asm.R8, at)) }
func (c *code) skip(r asm.Register) { c.do(asm.Add.Reg(asm.R8, r)) }

// fetch makes n bytes at the cursor readable.
func (c *code) fetch(n int32) { c.copyOut(asm.Mov.Reg(asm.R2, asm.R8), n) }

// copyOut copies n bytes to the stack, from the offset that an instruction leaves
// in R2.
func (c *code) copyOut(from asm.Instruction, n int32) {
	if n > windowLen {
		panic("afxdp: a header longer than the window")
	}
	c.do(
		from,
		asm.Mov.Reg(asm.R7, asm.RFP),
		asm.Add.Imm(asm.R7, atWindow),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.Mov.Imm(asm.R4, n),
		c.loader().Call(),
		asm.JNE.Imm(asm.R0, 0, goKernels),
	)
}

// byte, half and word load a field of the readable bytes, in network order as it lies
// there.
func (c *code) byte(r asm.Register, at int16) { c.do(asm.LoadMem(r, asm.R7, at, asm.Byte)) }
func (c *code) half(r asm.Register, at int16) { c.do(asm.LoadMem(r, asm.R7, at, asm.Half)) }
func (c *code) word(r asm.Register, at int16) { c.do(asm.LoadMem(r, asm.R7, at, asm.Word)) }

// clear writes zeros to the stack, in words.
func (c *code) clear(at int16, n int) {
	for i := int16(0); i < int16(n); i += 4 {
		c.do(asm.StoreImm(asm.RFP, at+i, 0, asm.Word))
	}
}

// lookUp asks a table for the key on the stack. R0 is the entry, or 0.
func (c *code) lookUp(m *ebpf.Map, at int16) {
	done := c.fresh("looked-up")
	c.do(
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, int32(at)),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, done),
		asm.LoadMem(asm.R0, asm.R0, 0, asm.Word),
	)
	c.label(done)
}

// hostIPv4 asks the table of hosts for the IPv4 address in r.
func (c *code) hostIPv4(r asm.Register) {
	c.do(
		asm.StoreMem(asm.RFP, atKey+12, r, asm.Word),
		asm.StoreImm(asm.RFP, atKey+8, int64(be32(0xffff)), asm.Word),
	)
	c.clear(atKey, 8)
	c.lookUp(c.maps.hosts, atKey)
}

// be16 and be32 are constants as they look when they are loaded from a frame.
func be16(v uint16) int32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return int32(binary.NativeEndian.Uint16(b[:]))
}

func be32(v uint32) int32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return int32(binary.NativeEndian.Uint32(b[:]))
}
