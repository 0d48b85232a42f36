package packet

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// The ring: as many blocks as frames can be on loan, since each frame may hold
// another block. A block has room for the longest super-frame with all headers, or
// for some 80 packets of 1500 bytes, or 700 short ones.
const (
	longBlock   = 128 << 10
	ringBlocks  = superLoans
	ringTimeout = 1 // ms after its first packet that a block is handed over, full or not
)

// ringRx receives from memory that it shares with the kernel. The kernel hands
// over a block at a time, in order; we hand it back when all of its packets were
// lent and have come back.
type ringRx struct {
	half
	mem    []byte
	size   int    // of a block
	turn   int    // the block to be read next, or being read
	open   bool   // it is being read: place holds
	place  cursor // in it
	blocks [ringBlocks]struct {
		lent int  // frames on loan
		read bool // all packets of it were lent, or dropped
	}

	// Frames on loan, by number, so that one that comes back twice is noticed.
	lent [superLoans]struct {
		block int
		out   bool
	}
	free []int // numbers that are not in use
	dead bool  // Close was called: mem is blank, or unmapped
}

// newRing makes a socket's ring and the receiving half that reads it. The socket
// is not bound yet, so nothing is received in between.
func newRing(w *wire, fd, size int) (*ringRx, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("the kernel has no TPACKET_V3 (Linux 3.2 has; leave out ring=on): %w: %w", hal.ErrNotSupported, err)
	}
	req := unix.TpacketReq3{
		Block_size: uint32(size), Block_nr: ringBlocks,
		Frame_size: 2048, Frame_nr: uint32(size) / 2048 * ringBlocks, // the kernel wants them to agree, and uses neither
		Retire_blk_tov: ringTimeout,
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("a ring of %d MiB (fewer queues take less, ring=off takes none): %w", ringBlocks*size>>20, err)
	}
	mem, err := mapRing(fd, ringBlocks*size)
	if err != nil {
		return nil, fmt.Errorf("mapping the ring: %w", err)
	}
	return overRing(w, mem), nil
}

// overRing makes the receiving half that reads a ring.
func overRing(w *wire, mem []byte) *ringRx {
	q := &ringRx{half: half{wire: w}, mem: mem, size: len(mem) / ringBlocks, free: make([]int, 0, superLoans)}
	for i := range superLoans {
		q.free = append(q.free, i)
	}
	return q
}

func (q *ringRx) block(i int) block { return q.mem[i*q.size : (i+1)*q.size : (i+1)*q.size] }

// Rx implements [hal.RxQueue].
func (q *ringRx) Rx(fs []hal.Frame) (int, error) {
	if len(fs) < 1 {
		return 0, hal.ErrShortBurst
	}
	fd := q.Lock()
	defer q.Unlock()
	if fd < 0 {
		return 0, hal.ErrClosed
	}
	n, bytes := 0, 0
	for n < len(fs) && len(q.free) > 0 && q.begin() {
		if q.place.left == 0 {
			q.end()
			continue
		}
		if f, ok := q.next(); ok {
			fs[n] = f
			bytes += len(f.Data)
			n++
		}
	}
	q.passed(n, bytes)
	if n == 0 && len(q.free) > 0 {
		return 0, q.idle(fd)
	}
	return n, nil
}

// begin makes sure that there is a block to read from, and reports whether there
// is.
func (q *ringRx) begin() bool {
	if q.open {
		return true
	}
	b := q.block(q.turn)
	if q.blocks[q.turn].read || b.status().Load()&unix.TP_STATUS_USER == 0 {
		return false
	}
	q.open = true
	ok := false
	if q.place, ok = b.begin(); !ok {
		q.dropped(rxBadBlock)
		q.place.left = 0
	}
	return true
}

// end goes on to the next block, and hands this one back if nothing of it is out.
func (q *ringRx) end() {
	q.blocks[q.turn].read = true
	q.handBack(q.turn)
	q.open = false
	q.turn = (q.turn + 1) % ringBlocks
}

func (q *ringRx) handBack(i int) {
	if b := &q.blocks[i]; b.read && b.lent == 0 {
		b.read = false
		q.block(i).status().Store(unix.TP_STATUS_KERNEL)
	}
}

// next lends the next packet of the open block, or drops it.
func (q *ringRx) next() (f hal.Frame, ok bool) {
	b := q.block(q.turn)
	p, ok := b.next(&q.place, offload.VirtioLen)
	if !ok {
		q.dropped(rxBadBlock)
		return f, false
	}
	buf := b[p.start-offload.VirtioLen : p.end : p.end]
	meta, why, ok := inspectPacket(buf, len(buf), p.cut)
	if !ok {
		q.dropped(why)
		return f, false
	}
	ref := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	q.lent[ref].block, q.lent[ref].out = q.turn, true
	q.blocks[q.turn].lent++
	f = hal.NewFrame(buf, offload.VirtioLen, len(buf)-offload.VirtioLen, uint64(ref))
	f.Meta = meta
	return f, true
}

// idle takes an error out of the socket, which would keep it readable, and says
// whether the interface is gone.
func (q *ringRx) idle(fd int) error {
	if q.gone.Load() {
		return q.errGone()
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return q.broken("receive from", err)
	case errno == 0:
		return nil
	case unix.Errno(errno) != unix.ENETDOWN:
		return q.broken("receive from", unix.Errno(errno))
	case q.lost(fd):
		return q.errGone()
	}
	return nil
}

// Release implements [hal.RxQueue].
func (q *ringRx) Release(fs []hal.Frame) {
	q.Lock()
	defer q.Unlock()
	for i := range fs {
		ref := fs[i].Ref()
		if ref >= superLoans || !q.lent[ref].out {
			if q.dead {
				continue
			}
			panic(fmt.Sprintf("hal: a frame was given back twice, or to the wrong half (frame %d)", ref))
		}
		q.lent[ref].out = false
		q.free = append(q.free, int(ref))
		if at := q.lent[ref].block; !q.dead {
			q.blocks[at].lent--
			q.handBack(at)
		}
	}
	if q.dead {
		q.unmap()
	}
}

// retire takes the ring from the kernel's hands and the socket from ours. Frames
// on loan stay readable, though blank: the ring is replaced by empty memory, which
// is unmapped when the last of them has come back.
func (q *ringRx) retire() (fd int, err error) {
	fd = q.Retire()
	q.Lock()
	defer q.Unlock()
	q.dead = true
	if len(q.free) < superLoans {
		return fd, blankRing(q.mem)
	}
	return fd, q.unmap()
}

// unmap ends the mapping once nothing of it is on loan.
func (q *ringRx) unmap() error {
	if len(q.free) < superLoans || q.mem == nil {
		return nil
	}
	mem := q.mem
	q.mem = nil
	return unmapRing(mem)
}
