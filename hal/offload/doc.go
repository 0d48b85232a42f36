// Package offload does in software what a network card does in hardware:
// Internet checksums, the virtio-net header, and cutting a super-frame into
// packets of the wire's size. It is for drivers, for wrappers and for whoever
// feeds a device; it is pure (no clock, no system call, no goroutine) and
// allocates nothing on the data path.
//
// To send a packet with whatever metadata on whatever device, copy it through a
// [Cutter]:
//
//	err := c.Reset(packet, meta, dev.Info().TxOffloads)
//	for err == nil && c.More() {
//		n, _ := tx.Alloc(frames, c.Len())
//		if n == 0 {
//			break // full: come back with the same Cutter when it is writable
//		}
//		c.Next(frames[:n])
//		if took, _ := tx.Tx(frames[:n]); took == 0 {
//			break // full: the frames are still ours, offer them again later
//		}
//	}
//
// On the other side [Verify] says whether a received packet may be believed:
//
//	if offload.Verify(chain) == offload.Bad {
//		drops++
//	}
//
// The trap: a [hal.Meta] with NeedsCsum is not a promise about the bytes. The
// checksum field of such a packet holds an intermediate sum, so the packet must
// not reach a wire, a capture that claims to show one, or a peer that verifies,
// before a device, [Complete] or a Cutter has finished it.
//
// Headers are looked for in the first frame of a chain only, which holds them
// by contract ([hal.Contiguous]); sums run over all frames and carry odd lengths
// from one to the next.
package offload

import (
	"errors"
	"fmt"

	"github.com/ringtail-net/ringtail/hal"
)

// Errors of this package, to be asked for with [errors.Is]. None is made anew
// for a packet, so a flood of bad packets costs no memory.
var (
	// ErrShort says that a header runs past the bytes at hand: the packet is
	// a runt, or (IPv6 extension headers) its headers are longer than the
	// first frame of the chain.
	ErrShort = errors.New("offload: the headers run past the first bytes of the packet")

	// ErrMalformed says that a header contradicts itself or the packet.
	ErrMalformed = errors.New("offload: malformed header")

	// ErrMeta says that the metadata does not fit the packet it came with.
	ErrMeta = errors.New("offload: the metadata does not fit the packet")
)

var (
	errCsumRange  = fmt.Errorf("%w: the checksum lies outside of the packet's first frame", ErrMeta)
	errStillSuper = fmt.Errorf("%w: a super-frame has no single checksum; cut it with a Cutter", ErrMeta)
	errGSOSize    = fmt.Errorf("%w: the GSO size is zero", ErrMeta)
	errGSOCsum    = fmt.Errorf("%w: a super-frame needs NeedsCsum, at its transport checksum", ErrMeta)
	errGSOType    = fmt.Errorf("%w: the GSO type is not that of the headers", ErrMeta)
	errGSOHdrLen  = fmt.Errorf("%w: HdrLen is not the length of the headers", ErrMeta)
	errGSOLength  = fmt.Errorf("%w: a super-frame's length is not that of its headers", ErrMalformed)
	errGSOHeaders = fmt.Errorf("%w: the headers of a super-frame must fit in hal.Contiguous bytes", ErrShort)
	errGSOSyn     = fmt.Errorf("%w: a SYN of more than one segment", ErrMalformed)

	errVirtioShort = fmt.Errorf("%w: the virtio-net header has %d bytes", ErrShort, VirtioLen)
	errVirtioUFO   = fmt.Errorf("offload: UDP fragmentation (UFO): %w; switch it off with ethtool -K IFACE ufo off", hal.ErrNotSupported)
	errVirtioGSO   = fmt.Errorf("offload: unknown GSO type in a virtio-net header: %w", hal.ErrNotSupported)
)
