package offload

import (
	"encoding/binary"

	"github.com/ringtail-net/ringtail/hal"
)

// Lengths of the virtio-net header.
const (
	VirtioLen    = 10 // struct virtio_net_hdr: TAP and packet sockets by default
	VirtioMrgLen = 12 // with the field num_buffers: VIRTIO 1.0 and later
)

// Flags and types of the virtio-net header (VIRTIO 1.2, section 5.1.6).
const (
	virtioNeedsCsum = 1
	virtioDataValid = 2

	virtioGSONone = 0
	virtioGSOTCP4 = 1
	virtioGSOUFO  = 3
	virtioGSOTCP6 = 4
	virtioGSOUDP  = 5
	virtioGSOECN  = 0x80 // a flag beside the type: the packet has CWR set
)

// PutVirtio writes the virtio-net header of a packet that is sent, in VirtioLen
// bytes, or VirtioMrgLen if b is that long. The byte order is little-endian:
// that of VIRTIO 1.0 and, on all machines we run on, the native one that TAP
// and packet sockets expect. CsumValid is not written: a sender must not vouch
// for its packets (VIRTIO 1.2, section 5.1.6.2.1). It panics if b is shorter.
func PutVirtio(b []byte, m hal.Meta) {
	_ = b[VirtioLen-1]
	clear(b[:min(len(b), VirtioMrgLen)]) // num_buffers, too: a sender must
	if m.NeedsCsum {
		b[0] = virtioNeedsCsum
		binary.LittleEndian.PutUint16(b[6:], m.CsumStart)
		binary.LittleEndian.PutUint16(b[8:], m.CsumOffset)
	}
	switch m.GSO {
	case hal.GSOTCP4:
		b[1] = virtioGSOTCP4
	case hal.GSOTCP6:
		b[1] = virtioGSOTCP6
	case hal.GSOUDP:
		b[1] = virtioGSOUDP
	default:
		return
	}
	binary.LittleEndian.PutUint16(b[2:], m.HdrLen)
	binary.LittleEndian.PutUint16(b[4:], m.GSOSize)
}

// ParseVirtio reads the virtio-net header of a received packet of packetLen
// bytes (without that header) and checks every offset against that length.
// Byte order as in PutVirtio; bytes behind the first VirtioLen are ignored, and
// so are the ECN bit and flags it does not know.
//
// HdrLen is left 0, not known: the field hdr_len is a hint only (Linux puts in
// whatever part of the packet happened to be contiguous). [Headers.Payload] is
// the true value; a Cutter finds it by itself.
//
// Errors are ErrShort, ErrMeta, and hal.ErrNotSupported for UDP fragmentation
// offload and GSO types unknown to it.
func ParseVirtio(b []byte, packetLen int) (hal.Meta, error) {
	var m hal.Meta
	if len(b) < VirtioLen {
		return m, errVirtioShort
	}
	flags := b[0]
	if flags&virtioNeedsCsum != 0 {
		m.NeedsCsum = true
		m.CsumStart, m.CsumOffset = binary.LittleEndian.Uint16(b[6:]), binary.LittleEndian.Uint16(b[8:])
		if m.CsumStart < hal.EthernetHeaderLen || int(m.CsumStart)+int(m.CsumOffset)+2 > packetLen {
			return hal.Meta{}, errCsumRange
		}
	} else {
		m.CsumValid = flags&virtioDataValid != 0
	}
	typ := b[1] &^ virtioGSOECN
	if typ == virtioGSONone {
		return m, nil
	}
	m.GSOSize = binary.LittleEndian.Uint16(b[4:])
	if int(binary.LittleEndian.Uint16(b[2:])) > packetLen {
		return hal.Meta{}, errGSOHdrLen
	}
	if err := parseGSO(&m, typ, packetLen); err != nil {
		return hal.Meta{}, err
	}
	return m, nil
}

// parseGSO translates the type of a super-frame and checks what is left.
func parseGSO(m *hal.Meta, typ uint8, packetLen int) error {
	ip, l4, field := ipv4Len, tcpLen, uint16(tcpCsum)
	switch typ {
	case virtioGSOTCP4:
		m.GSO = hal.GSOTCP4
	case virtioGSOTCP6:
		m.GSO, ip = hal.GSOTCP6, ipv6Len
	case virtioGSOUDP:
		m.GSO, l4, field = hal.GSOUDP, udpLen, udpCsum
	case virtioGSOUFO:
		return errVirtioUFO
	default:
		return errVirtioGSO
	}
	start := int(m.CsumStart)
	switch {
	case m.GSOSize == 0:
		return errGSOSize
	case !m.NeedsCsum, m.CsumOffset != field, start < hal.EthernetHeaderLen+ip, start+l4 > packetLen:
		return errGSOCsum
	}
	return nil
}
