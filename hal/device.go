package hal

import (
	"fmt"
	"net"
	"strings"
)

// A Device is an open network device. Its methods are safe for concurrent use;
// those of its queues are not: each half has one owner at a time.
type Device interface {
	// Info describes the device as it is now. It may take a system call: it
	// is not for the data path.
	Info() Info

	// Queue returns both halves of queue i, 0 <= i < Info().Queues, the same
	// ones in every call. A half may be owned by another goroutine than its
	// twin: they share no lock.
	Queue(i int) (RxQueue, TxQueue, error)

	// Close ends the device. It is idempotent, may be called beside any other
	// method, wakes whoever sleeps on the device, takes back every loan and
	// leaves nothing behind in the kernel. Frames still on loan stay readable
	// but mean nothing; releasing them does nothing. Afterwards all calls
	// fail with ErrClosed.
	Close() error
}

// An RxQueue is the receiving half of a queue. It never blocks.
type RxQueue interface {
	// Rx fills fs with received frames, lent until Release, and returns how
	// many. It returns whole chains only: if the next packet has more frames
	// than fs has room for, it stops before it. To be sure of progress fs
	// must hold Info.MaxChain frames; with fewer Rx fails with ErrShortBurst.
	// 0, nil means that nothing has arrived.
	Rx(fs []Frame) (int, error)

	// Release ends the loan of received frames, in any order, in pieces or
	// at once. A queue out of which Info.Loans frames are on loan receives
	// nothing until some come back.
	Release(fs []Frame)
}

// A TxQueue is the transmitting half of a queue. It never blocks.
type TxQueue interface {
	// Alloc lends frames for one packet of size bytes, More set on all but
	// the last, and returns how many; fs must have room for Info.MaxChain.
	// Every frame has Info.Headroom bytes in front, the content of Data is
	// undefined, and Meta is zero. 0, nil means that no memory is free now:
	// flush, and wait until the device is writable. A size that can never be
	// sent fails with ErrTooLong.
	//
	// The packet may be shortened before Tx, also by whole frames at its end
	// (those go to Release).
	Alloc(fs []Frame, size int) (int, error)

	// Tx queues packets made of frames from Alloc of this queue and returns
	// the number of frames taken, which ends on a packet boundary. Taken
	// frames are the device's again; the others stay the caller's, to be
	// tried again or released. Fewer than len(fs) without an error means that
	// the device is full. A packet the device cannot carry (too long, or with
	// an offload it has not announced) is taken and counted as a drop.
	Tx(fs []Frame) (int, error)

	// Flush rings the doorbell: what Tx has taken is now sent. A driver whose
	// Tx sends at once has an empty Flush.
	Flush() error

	// Release ends the loan of allocated frames that will not be sent.
	Release(fs []Frame)
}

// A MAC is an Ethernet address.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsMulticast reports whether m is a group address; broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// Check fails if m cannot be the address of one station.
func (m MAC) Check() error {
	if m.IsMulticast() || m == (MAC{}) {
		return fmt.Errorf("%v is not the address of one station: its first byte must be even, and it must not be zero", m)
	}
	return nil
}

// ParseMAC reads the address of one station, as in 02:00:00:00:00:01.
func ParseMAC(text string) (MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("must be a MAC address, as in 02:00:00:00:00:01")
	}
	return MAC(hw), MAC(hw).Check()
}

// Broadcast is the address of every station.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Offload is a set of things a device does, or bears, so that software need not.
type Offload uint8

// The offloads. What TSO4, TSO6 and USO mean depends on the direction: in
// Info.TxOffloads the device cuts such super-frames, in Info.RxOffloads it may
// deliver them.
const (
	Csum Offload = 1 << iota // transport checksums: Meta.NeedsCsum and CsumValid
	TSO4                     // GSOTCP4 super-frames
	TSO6                     // GSOTCP6 super-frames
	USO                      // GSOUDP super-frames
)

// Carries reports whether a packet with m may be given to a device with the
// transmit offloads o.
func (o Offload) Carries(m Meta) bool {
	need := Offload(0)
	if m.NeedsCsum {
		need |= Csum
	}
	switch m.GSO {
	case GSOTCP4:
		need |= TSO4
	case GSOTCP6:
		need |= TSO6
	case GSOUDP:
		need |= USO
	}
	return o&need == need
}

func (o Offload) String() string {
	var s []string
	for i, name := range []string{"csum", "tso4", "tso6", "uso"} {
		if o&(1<<i) != 0 {
			s = append(s, name)
		}
	}
	if s == nil {
		return "none"
	}
	return strings.Join(s, ",")
}

// Link is the state of a device's link.
type Link uint8

// The states of a link.
const (
	LinkUnknown Link = iota
	LinkUp
	LinkDown
)

func (l Link) String() string { return [...]string{"unknown", "up", "down"}[l%3] }

// Info describes a device.
type Info struct {
	Driver string // the registered name
	Name   string // the target of the spec, or what the driver made of it
	Mode   string // what was really obtained: "vnet", "native, zero-copy", …; may be empty
	MAC    MAC
	MTU    int // longest IP packet on the wire; a packet is EthernetHeaderLen longer
	GSOMax int // longest super-frame, headers included; 0: none
	Queues int
	Link   Link

	TxOffloads Offload // what Tx takes
	RxOffloads Offload // what Rx may give

	Loans    int // frames each RxQueue can lend at a time
	Headroom int // bytes in front of every allocated frame
	MaxChain int // most frames of one packet, in either direction

	// SharedMAC says that somebody else on this machine, the kernel as a rule,
	// sends and receives with this MAC address too: nothing that must be ours
	// alone, such as the identifier in an IPv6 link-local address, may be
	// derived from it.
	SharedMAC bool
}

// Stats counts what went through a device and what did not. Packets count once,
// super-frames too.
type Stats struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64

	// RxBlank is how many of the received packets had a transport checksum
	// that their sender left blank, which the device found out by itself and
	// took for right: see Meta.NeedsCsum.
	RxBlank uint64

	// Drops counts lost packets by reason, every reason the device knows of
	// (also while it is zero). Names are lower case with hyphens and begin
	// with the direction: "rx-no-buffer", "tx-too-long".
	Drops map[string]uint64
}

// Counting is a device that keeps statistics. Optional; see [StatsOf].
type Counting interface {
	Stats() Stats
}

// StatsOf returns the statistics of d: the traffic as the outermost layer that
// counts it saw it, and the blank checksums and drops of all layers together.
func StatsOf(d Device) Stats {
	var s Stats
	for v, first := any(d), true; v != nil; v = unwrap(v) {
		c, ok := v.(Counting)
		if !ok {
			continue
		}
		l := c.Stats()
		if first {
			s, first = l, false
			s.RxBlank, s.Drops = 0, make(map[string]uint64, len(l.Drops))
		}
		s.RxBlank += l.RxBlank
		for reason, n := range l.Drops {
			s.Drops[reason] += n
		}
	}
	return s
}
