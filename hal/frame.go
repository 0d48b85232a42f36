package hal

import "fmt"

// EthernetHeaderLen is the length of the header at the start of every packet:
// destination, source and type. Tags (802.1Q) are payload to this package.
const EthernetHeaderLen = 14

// Contiguous is how many bytes of a packet a driver must deliver in the first
// frame of its chain (or the whole packet, if that is shorter). Everything that
// looks at headers looks only there.
const Contiguous = 192

// A Frame is one Ethernet frame, or a piece of one, in memory that belongs to a
// device: a loan. Whoever holds it gives it back exactly once, on the half it
// came from: to [RxQueue.Release], to [TxQueue.Tx] or to [TxQueue.Release].
//
// A packet longer than the device's buffers is a chain: consecutive frames of
// one burst, all but the last with More set. Calls never split a chain.
//
// The zero Frame is an empty slot of a burst. Frames are values; a copy is the
// same loan.
type Frame struct {
	// Data is the content. It may be shortened from either end by plain
	// slicing; to grow it to the front use Prepend. It must not be touched
	// after the loan has ended.
	Data []byte

	// More says that the packet goes on in the next frame of the burst.
	More bool

	// Meta describes the whole packet. Only that of a chain's first frame counts.
	Meta Meta

	room []byte // Data and the headroom before it, up to the same end
	ref  uint64 // the driver's way back to its buffer
}

// NewFrame makes the loan of a buffer. It is for drivers: Data is
// buf[headroom:headroom+size], and ref is any number that leads the driver back
// to its buffer when the loan ends.
func NewFrame(buf []byte, headroom, size int, ref uint64) Frame {
	return Frame{Data: buf[headroom : headroom+size], room: buf, ref: ref}
}

// Ref returns the number that the driver gave to NewFrame.
func (f *Frame) Ref() uint64 { return f.ref }

// Headroom returns how many bytes Prepend can still give.
func (f *Frame) Headroom() int { return cap(f.room) - cap(f.Data) }

// Prepend grows Data by n bytes to the front and returns the new bytes, whose
// content is undefined. It panics if the headroom is shorter; [Info.Headroom]
// says how much every allocated frame has at least.
func (f *Frame) Prepend(n int) []byte {
	at := f.Headroom()
	if n < 0 || n > at {
		panic(fmt.Sprintf("hal: Prepend(%d) with a headroom of %d bytes", n, at))
	}
	f.Data = f.room[at-n : at+len(f.Data)]
	return f.Data[:n]
}

// Meta is what a device knows, or has to know, about a packet beyond its bytes.
// Its meaning is that of the virtio-net header (Virtual I/O Device 1.2, section
// 5.1.6). Offsets count from the first byte of the packet, its Ethernet header.
type Meta struct {
	// NeedsCsum says that the 16-bit checksum at CsumStart+CsumOffset holds
	// only the sum of the pseudo-header, and that the sum over the bytes from
	// CsumStart to the end is still to be added: by the device on transmit, by
	// nobody on receive (the packet never left the machine; it counts as valid).
	NeedsCsum bool

	// CsumValid, on receive, says that the device has verified the transport
	// checksum of this very packet.
	CsumValid bool

	CsumStart  uint16
	CsumOffset uint16

	// GSO is not GSONone for a super-frame: one header and the payload of many
	// segments. Each segment but the last carries GSOSize bytes of payload.
	// A super-frame has NeedsCsum set.
	GSO     GSO
	GSOSize uint16
	// HdrLen is the length of the headers up to the payload: Ethernet, IP and
	// transport.
	HdrLen uint16
}

// GSO is the kind of a super-frame.
type GSO uint8

// The kinds of super-frames.
const (
	GSONone GSO = iota
	GSOTCP4     // TCP over IPv4
	GSOTCP6     // TCP over IPv6
	GSOUDP      // UDP datagrams of equal length, over IPv4 or IPv6 (USO)
)

func (g GSO) String() string {
	switch g {
	case GSONone:
		return "none"
	case GSOTCP4:
		return "tcp4"
	case GSOTCP6:
		return "tcp6"
	case GSOUDP:
		return "udp"
	}
	return fmt.Sprintf("GSO(%d)", uint8(g))
}

// ChainLen returns the number of frames of the packet that starts at fs[0],
// and 0 if fs ends before the packet does.
func ChainLen(fs []Frame) int {
	for i := range fs {
		if !fs[i].More {
			return i + 1
		}
	}
	return 0
}

// PacketLen returns the number of bytes of a chain.
func PacketLen(chain []Frame) int {
	n := 0
	for i := range chain {
		n += len(chain[i].Data)
	}
	return n
}
