package rawbench

import (
	"encoding/binary"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// Sizes of frames worth a measurement: the shortest that Ethernet has, without
// its checksum the way devices count it, and the longest of the usual MTU.
var Sizes = []int{64, 1514}

// Addr is the address that frames go to: of the network that RFC 2544 sets aside
// for measuring. A device that is shared with the kernel has to be told of it.
var Addr = [4]byte{198, 18, 0, 2}

const (
	ipHeader  = 20
	udpHeader = 8
	minFrame  = hal.EthernetHeaderLen + ipHeader + udpHeader
)

// Frame makes a frame of size bytes: a datagram to [Addr], with its checksums.
func Frame(from, to hal.MAC, size int) []byte {
	f := make([]byte, max(size, minFrame))
	copy(f, to[:])
	copy(f[6:], from[:])
	f[12], f[13] = 0x08, 0x00 // IPv4
	ip := f[hal.EthernetHeaderLen:]
	ip[0] = 4<<4 | ipHeader/4
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[8] = 64 // TTL
	ip[9] = 17 // UDP
	copy(ip[12:], []byte{198, 18, 0, 1})
	copy(ip[16:], Addr[:])
	var sum offload.Sum
	sum.Add(ip[:ipHeader])
	binary.BigEndian.PutUint16(ip[10:], ^sum.Fold())
	udp := ip[ipHeader:]
	binary.BigEndian.PutUint16(udp[0:], 9) // discard (RFC 863)
	binary.BigEndian.PutUint16(udp[2:], 9)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	sum = offload.Sum{}
	sum.Add(ip[12:ipHeader])
	sum.AddUint16(17)
	sum.AddUint16(uint16(len(udp)))
	sum.Add(udp)
	binary.BigEndian.PutUint16(udp[6:], ^sum.Fold())
	return f
}
