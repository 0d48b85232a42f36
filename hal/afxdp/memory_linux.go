package afxdp

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file has all that touches memory by address: the rings, the registration
// of the memory for frames, and the system calls that x/sys has no function for.

// A mapping is the four rings of a socket in our address space. It holds the
// socket alive in the kernel: until all of it is unmapped the queue stays taken,
// even if the descriptor is closed.
type mapping [][]byte

// rings maps the rings of a socket and starts them.
func (m *mapping) rings(fd int, l *layout, rx *rxQueue, tx *txQueue) error {
	var off unix.XDPMmapOffsets
	if err := getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), unsafe.Sizeof(off)); err != nil {
		return fmt.Errorf("layout of the rings: %w", err)
	}
	err := errors.Join(
		mapRing(m, &rx.fill.ring, fd, off.Fr, unix.XDP_UMEM_PGOFF_FILL_RING, l.fill, weProduce),
		mapRing(m, &rx.ring.ring, fd, off.Rx, unix.XDP_PGOFF_RX_RING, l.rxRing, weConsume),
		mapRing(m, &tx.ring.ring, fd, off.Tx, unix.XDP_PGOFF_TX_RING, l.txRing, weProduce),
		mapRing(m, &tx.done.ring, fd, off.Cr, unix.XDP_UMEM_PGOFF_COMPLETION_RING, l.txRing, weConsume),
	)
	if err != nil {
		return fmt.Errorf("mapping the rings: %w", err)
	}
	rx.fill.start()
	rx.ring.start()
	tx.ring.start()
	tx.done.start()
	return nil
}

// Our side of a ring.
const (
	weProduce = iota
	weConsume
)

// mapRing maps one ring of n slots.
func mapRing[T any](m *mapping, r *ring[T], fd int, off unix.XDPRingOffset, at int64, n, side int) error {
	var slot T
	mem, err := unix.Mmap(fd, at, int(off.Desc)+n*int(unsafe.Sizeof(slot)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return err
	}
	*m = append(*m, mem)
	r.slots = unsafe.Slice((*T)(unsafe.Pointer(&mem[off.Desc])), n)
	r.mine, r.other = index(mem, off.Producer), index(mem, off.Consumer)
	if side == weConsume {
		r.mine, r.other = r.other, r.mine
	}
	r.flags = index(mem, off.Flags)
	return nil
}

// index is a 32-bit word in shared memory.
func index(mem []byte, off uint64) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&mem[off]))
}

// close unmaps the rings.
func (m *mapping) close() error {
	var err error
	for _, mem := range *m {
		err = errors.Join(err, unix.Munmap(mem))
	}
	*m = nil
	return err
}

// register makes mem, which frames lie in, known to the kernel. meta is how many
// bytes before each packet to send are metadata.
func register(fd int, mem []byte, chunk, meta int) error {
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&mem[0]))), Len: uint64(len(mem)), Size: uint32(chunk)}
	if meta > 0 {
		reg.Flags, reg.Tx_metadata_len = unix.XDP_UMEM_TX_METADATA_LEN, uint32(meta)
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// statistics asks the kernel what a socket has lost.
func statistics(fd int) (kernelDrops, error) {
	var s unix.XDPStatistics
	err := getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&s), unsafe.Sizeof(s))
	k := kernelDrops{
		noBuffer: s.Rx_fill_ring_empty_descs, ringFull: s.Rx_ring_full,
		badBuffer: s.Rx_invalid_descs, rejected: s.Tx_invalid_descs,
	}
	if s.Rx_dropped > k.noBuffer { // it counts those again
		k.dropped = s.Rx_dropped - k.noBuffer
	}
	return k, err
}

// zeroCopy asks whether the card reads and writes our memory by itself.
func zeroCopy(fd int) (bool, error) {
	var options uint32
	err := getsockopt(fd, unix.XDP_OPTIONS, unsafe.Pointer(&options), unsafe.Sizeof(options))
	return options&unix.XDP_OPTIONS_ZEROCOPY != 0, err
}

func getsockopt(fd, option int, value unsafe.Pointer, size uintptr) error {
	n := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option),
		uintptr(value), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// knock makes the kernel look at the fill ring, or poll the card. It cannot fail
// in a way that would matter: whoever wants frames knocks again.
func knock(fd int) {
	_, _, _ = unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
}
