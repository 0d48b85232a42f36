// Package pcapng writes and reads packet captures in the pcapng format, which
// Wireshark, tshark and tcpdump open: as much of it as Ethernet captures need,
// with nanoseconds, directions and comments.
//
//	w := pcapng.NewWriter(file, "my program")
//	eth0 := w.AddInterface(pcapng.Interface{Name: "eth0"})
//	w.Write(pcapng.Packet{Interface: eth0, Time: now, Data: frame, Dir: pcapng.Out})
//	w.Flush()
//
// One writer can take several interfaces, as the devices of one simulated
// network, and packets from several goroutines. The same calls give the same
// bytes on every machine.
//
// The trap: the writer keeps what it is given in memory until Flush, or until
// there are 64 KiB. A capture that somebody watches is flushed after every
// burst; one that is never flushed may be empty.
//
// The format is draft-ietf-opsawg-pcapng of the IETF.
package pcapng

import (
	"errors"
	"time"
)

// ErrFormat is wrapped by every complaint of a [Reader] about what it reads.
var ErrFormat = errors.New("pcapng: not a pcapng capture, or a damaged one")

// An Interface is where packets were captured. All are Ethernet.
type Interface struct {
	Name        string // such as eth0; may be empty
	Description string // for people; may be empty
	SnapLen     int    // longest Data of its packets; 0: no limit
}

// A Packet is one captured packet.
type Packet struct {
	Interface int       // the number that AddInterface returned
	Time      time.Time // from 1970 to 2262; nanoseconds count
	Data      []byte    // from the Ethernet header on
	Len       int       // length on the wire, if Data is cut off; 0: len(Data)
	Dir       Direction
	Comments  []string // for people, shown with the packet; UTF-8
}

// Direction is that of a packet at its interface.
type Direction uint8

// The directions, by the numbers of the format's epb_flags.
const (
	Unknown Direction = iota
	In
	Out
)

func (d Direction) String() string { return [...]string{"unknown", "in", "out", "unknown"}[d&3] }

// Block types, option codes and the link type, by the numbers of the format.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6

	optEnd         = 0
	optComment     = 1
	optApplication = 4 // of a section
	optName        = 2 // of an interface
	optDescription = 3
	optResolution  = 9
	optOffset      = 14
	optFlags       = 2 // of a packet

	byteOrderMagic = 0x1a2b3c4d
	linkEthernet   = 1
	nanoseconds    = 9 // a resolution of ten to the minus ninth
)
