package afxdp

import (
	"github.com/cilium/ebpf/asm"
)

// What an XDP program returns to let a frame pass: XDP_PASS.
const xdpPass = 2

// atDriver is the hook of an XDP program: the frame is in the memory of the
// interface's driver, and read where it is. The kernel's verifier lets only those
// bytes be read that were compared with the end before.
type atDriver struct{}

func (atDriver) begin(c *code) {
	c.do(
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 0, asm.Word), // xdp_md.data
		asm.LoadMem(asm.R8, asm.R6, 4, asm.Word), // xdp_md.data_end
	)
}

func (atDriver) need(c *code, n int32) {
	c.do(
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Add.Imm(asm.R1, n),
		asm.JGT.Reg(asm.R1, asm.R8, goKernels),
	)
}

func (atDriver) loader() asm.BuiltinFunc { return asm.FnXdpLoadBytes }

// end gives what is ours to the socket of the queue that the frame came by. If the
// queue has none the frame passes, and the packet socket makes us a copy.
func (atDriver) end(c *code) {
	c.label(goOurs)
	c.do(
		asm.LoadMem(asm.R2, asm.R6, 16, asm.Word), // xdp_md.rx_queue_index
		asm.LoadMapPtr(asm.R1, c.maps.sockets.FD()),
		asm.Mov.Imm(asm.R3, xdpPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	)
	for _, label := range []string{goBoth, goKernels} {
		if c.used(label) {
			c.label(label)
			c.do(asm.Mov.Imm(asm.R0, xdpPass), asm.Return())
		}
	}
}

// atPacketSocket is the hook of the filter of a packet socket: the frame is in
// a buffer of the kernel's, perhaps in pieces, and is read by copying. The kernel
// has taken a VLAN tag out of it already.
type atPacketSocket struct{}

func (atPacketSocket) begin(c *code) {
	c.do(
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R1, asm.R6, 20, asm.Word), // __sk_buff.vlan_present
		asm.JNE.Imm(asm.R1, 0, goKernels),
	)
}

func (atPacketSocket) need(c *code, n int32) { c.copyOut(asm.Mov.Imm(asm.R2, 0), n) }

func (atPacketSocket) loader() asm.BuiltinFunc { return asm.FnSkbLoadBytes }

// end copies what is ours, in part or altogether: what is ours alone comes this
// far only if the queue it came by has no socket.
func (atPacketSocket) end(c *code) {
	c.label(goOurs)
	c.do(asm.Ja.Label(goBoth))
	c.label(goBoth)
	c.do(asm.Mov.Imm(asm.R0, -1), asm.Return()) // all bytes of it
	c.label(goKernels)
	c.do(asm.Mov.Imm(asm.R0, 0), asm.Return())
}
