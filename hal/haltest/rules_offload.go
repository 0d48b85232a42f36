package haltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

var offloadRules = []rule{
	{
		name: "super-frames-out",
		text: "An announced kind of super-frame arrives with all of its payload, whole or in segments.",
		far:  true,
		run: func(l *lab) {
			tried := 0
			for _, k := range superKinds {
				if l.info.TxOffloads&k.offload == 0 {
					continue
				}
				tried++
				p := l.super(k, l.toFar())
				l.must(transmit(l.tx, l.fs, p.bytes, p.meta))
				if err := l.gather(p, func() (arrival, error) {
					data, err := l.far.Recv(guard)
					return arrival{data: data}, err
				}); err != nil {
					l.Errorf("%s: %v", k.name, err)
				}
			}
			if tried == 0 {
				l.Skip("the device takes none")
			}
		},
	},
	{
		name: "super-frames-in",
		text: "A super-frame is received with all of its payload, whole and described by Meta, or in segments.",
		far:  true,
		run: func(l *lab) {
			far, ok := l.far.(FarMeta)
			if !ok || l.info.RxOffloads&^hal.Csum == 0 {
				l.Skip("the device gives none, or the far end cannot send any")
			}
			for _, k := range superKinds {
				if l.info.RxOffloads&k.offload == 0 {
					continue
				}
				p := l.super(k, l.toDev())
				l.must(far.SendMeta(p.bytes, p.meta))
				if err := l.gather(p, func() (a arrival, err error) {
					err = eventually(func() (ok bool, err error) {
						_, err = l.in.poll()
						a, ok = l.in.pop()
						return ok, err
					})
					return a, err
				}); err != nil {
					l.Errorf("%s: %v", k.name, err)
				}
			}
		},
	},
	{
		name: "checksum-out",
		text: "A blank transport checksum is completed on its way, or stays as it is if the packet never leaves the machine.",
		far:  true,
		run: func(l *lab) {
			if l.info.TxOffloads&hal.Csum == 0 {
				l.Skip("the device does not take blank checksums")
			}
			const l4 = hal.EthernetHeaderLen + ip4Len
			full := l.flow(l.toFar(), flowPort, 1, 301) // an odd length
			blank := bytes.Clone(full)
			d := l.toFar()
			binary.BigEndian.PutUint16(blank[l4+6:], fold(pseudo(d.src4, d.dst4, protoUDP, len(full)-l4)))
			l.must(transmit(l.tx, l.fs, blank, hal.Meta{NeedsCsum: true, CsumStart: l4, CsumOffset: 6}))
			for {
				data, err := l.far.Recv(guard)
				l.must(err)
				if bytes.Equal(data, full) || bytes.Equal(data, blank) {
					return
				}
				if len(data) == len(full) && bytes.Equal(data[l4+8:], full[l4+8:]) {
					l.Fatalf("the checksum is %x, want %x, or %x as it was sent", data[l4+6:l4+8], full[l4+6:l4+8], blank[l4+6:l4+8])
				}
			}
		},
	},
	{
		name: "unannounced",
		text: "A packet with an offload that the device has not announced is taken and counted as a drop.",
		run: func(l *lab) {
			tried := 0
			for _, k := range superKinds {
				if l.info.TxOffloads&k.offload != 0 {
					continue
				}
				tried++
				before := l.drops()
				p := l.super(k, l.toFar())
				p.bytes = p.bytes[:min(len(p.bytes), l.packetMax())]
				l.must(transmit(l.tx, l.fs, p.bytes, p.meta))
				l.countsDrop(before)
				l.works(tried)
			}
			if tried == 0 {
				l.Skip("the device announces everything")
			}
		},
	},
	{
		name: "bad-metadata",
		text: "Metadata that speaks of bytes outside of the packet is a drop, and the next packet passes.",
		run: func(l *lab) {
			seq := 0
			for _, m := range []hal.Meta{
				{NeedsCsum: true, CsumStart: minPacket, CsumOffset: 6},
				{NeedsCsum: true, CsumStart: 0xffff, CsumOffset: 0xffff},
				{NeedsCsum: true, CsumStart: 34, CsumOffset: 6, GSO: hal.GSOUDP, GSOSize: 0, HdrLen: 42},
				{NeedsCsum: true, CsumStart: 34, CsumOffset: 6, GSO: hal.GSOUDP, GSOSize: 8, HdrLen: minPacket + 1},
				{NeedsCsum: true, CsumStart: 34, CsumOffset: 6, GSO: 99, GSOSize: 8, HdrLen: 42},
			} {
				before := l.drops()
				l.must(transmit(l.tx, l.fs, l.flow(l.toFar(), flowPort, 0, minPacket), m))
				l.countsDrop(before)
				seq++
				l.works(seq)
			}
		},
	},
}

// superKind is a kind of super-frame.
type superKind struct {
	name    string
	offload hal.Offload
	gso     hal.GSO
	v6      bool
}

var superKinds = []superKind{
	{"TCP over IPv4", hal.TSO4, hal.GSOTCP4, false},
	{"TCP over IPv6", hal.TSO6, hal.GSOTCP6, true},
	{"UDP over IPv4", hal.USO, hal.GSOUDP, false},
	{"UDP over IPv6", hal.USO, hal.GSOUDP, true},
}

// superFrame is one of them, and what has to arrive.
type superFrame struct {
	bytes   []byte
	meta    hal.Meta
	payload []byte
	port    uint16
	v6      bool
}

// super makes a super-frame of three and a half segments.
func (l *lab) super(k superKind, d direction) superFrame {
	const seq = 1 << 30
	f := superFrame{port: uint16(42000 + l.id&0x3ff), v6: k.v6}
	f.meta = hal.Meta{NeedsCsum: true, GSO: k.gso, GSOSize: uint16(min(500, l.info.MTU-ip6Len-tcpLen))}
	f.payload = make([]byte, int(f.meta.GSOSize)*7/2)
	for i := range f.payload {
		f.payload[i] = byte(i * 31)
	}
	proto, l4, at := byte(protoTCP), tcpHeader(f.port, seq), uint16(16)
	if k.gso == hal.GSOUDP {
		proto, l4, at = protoUDP, udpHeader(f.port, len(f.payload)), 6
	}
	length := len(l4) + len(f.payload)
	start, src, dst, packet := hal.EthernetHeaderLen+ip4Len, d.src4, d.dst4, ip4
	if k.v6 {
		start, src, dst, packet = hal.EthernetHeaderLen+ip6Len, d.src6, d.dst6, ip6
	}
	binary.BigEndian.PutUint16(l4[at:], fold(pseudo(src, dst, proto, length)))
	f.bytes = packet(d, proto, l4, f.payload)
	f.meta.CsumStart, f.meta.CsumOffset = uint16(start), at
	f.meta.HdrLen = uint16(start + len(l4))
	return f
}

// gather receives until all of a super-frame's payload is there.
func (l *lab) gather(f superFrame, next func() (arrival, error)) error {
	var got []byte
	for deadline := time.Now().Add(guard); len(got) < len(f.payload) && time.Now().Before(deadline); {
		a, err := next()
		if err != nil {
			return fmt.Errorf("%d of %d bytes arrived, then: %w", len(got), len(f.payload), err)
		}
		part, ours := f.payloadOf(a.data)
		if !ours {
			continue
		}
		if a.meta.GSO != hal.GSONone && (a.meta.GSO != f.meta.GSO || a.meta.GSOSize != f.meta.GSOSize) {
			return fmt.Errorf("arrived with metadata %+v, was sent with %+v", a.meta, f.meta)
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, f.payload) {
		return fmt.Errorf("another payload arrived than was sent, %d of %d bytes", len(got), len(f.payload))
	}
	return nil
}

// payloadOf returns the payload of a packet if it is a part of f.
func (f *superFrame) payloadOf(p []byte) ([]byte, bool) {
	typ, start := uint16(0x0800), hal.EthernetHeaderLen+ip4Len
	if f.v6 {
		typ, start = 0x86dd, hal.EthernetHeaderLen+ip6Len
	}
	if len(p) < int(f.meta.HdrLen) || binary.BigEndian.Uint16(p[12:]) != typ ||
		binary.BigEndian.Uint16(p[start+2:]) != f.port || p[start-ip4Len+9] != f.bytes[start-ip4Len+9] && !f.v6 {
		return nil, false
	}
	if !bytes.Equal(p[:6], f.bytes[:6]) {
		return nil, false
	}
	return p[f.meta.HdrLen:], true
}
