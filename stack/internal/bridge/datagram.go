package bridge

import (
	"encoding/binary"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A Datagram of UDP over IPv4 that passes by the stack: without an address there
// is no socket to send it from, and none to receive it at.
type Datagram struct {
	Station  hal.MAC // at the other end of the link: whom it is to, or from
	From, To netip.AddrPort
	Payload  []byte
}

// Take gives the datagrams that come to a port, whatever their address, to f
// instead of the stack, once their checksums were verified. f is called within
// Receive and may call the stack; the payload is its own until it returns. Nil ends
// it. Take belongs to who calls Receive.
func (l *Link) Take(port uint16, f func(Datagram)) { l.rx.port, l.rx.taker = port, f }

// take gives a packet to the taker, if it is for it.
func (l *Link) take(chain []hal.Frame) (taken bool) {
	r, h := &l.rx, &l.rx.headers
	if r.taker == nil || h.Version != 4 || h.Proto != uint8(header.UDPProtocolNumber) || h.DstPort != r.port ||
		h.Fragment || chain[0].Meta.GSO != hal.GSONone {
		return false
	}
	r.pieces = offload.Frames(chain, r.pieces[:0])
	r.datagram = r.datagram[:0]
	for _, p := range r.pieces {
		r.datagram = append(r.datagram, p...)
	}
	end := h.L4 + int(binary.BigEndian.Uint16(r.datagram[h.L4+4:]))
	r.taker(Datagram{
		Station: hal.MAC(r.datagram[6:12]),
		From:    netip.AddrPortFrom(h.Src, h.SrcPort), To: netip.AddrPortFrom(h.Dst, h.DstPort),
		Payload: r.datagram[h.Payload:end],
	})
	return true
}

// Send puts a datagram on its way, behind the packets that wait already. It keeps
// nothing of the payload.
func (l *Link) Send(d Datagram) {
	src, dst := tcpip.AddrFrom4(d.From.Addr().As4()), tcpip.AddrFrom4(d.To.Addr().As4())
	v := buffer.NewViewSize(header.IPv4MinimumSize + header.UDPMinimumSize + len(d.Payload))
	ip := header.IPv4(v.AsSlice())
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(v.Size()), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: src, DstAddr: dst,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	udp := header.UDP(ip.Payload())
	udp.Encode(&header.UDPFields{SrcPort: d.From.Port(), DstPort: d.To.Port(), Length: uint16(len(udp))})
	copy(udp.Payload(), d.Payload)
	udp.SetChecksum(udpSum(udp, src, dst))
	l.send(d.Station, header.IPv4ProtocolNumber, v)
}

func udpSum(udp header.UDP, src, dst tcpip.Address) uint16 {
	pseudo := header.PseudoHeaderChecksum(header.UDPProtocolNumber, src, dst, uint16(len(udp)))
	if sum := ^checksum.Checksum(udp, pseudo); sum != 0 {
		return sum
	}
	return 0xffff // 0 would say that there is none
}

// Announce tells the stations of the link that an address is here (RFC 5227,
// section 2.3), so that they forget where it was before.
func (l *Link) Announce(a netip.Addr) {
	v := buffer.NewViewSize(header.ARPSize)
	arp, mac := header.ARP(v.AsSlice()), l.LinkAddress()
	arp.SetIPv4OverEthernet()
	arp.SetOp(header.ARPRequest)
	copy(arp.HardwareAddressSender(), mac)
	copy(arp.ProtocolAddressSender(), a.AsSlice())
	copy(arp.ProtocolAddressTarget(), a.AsSlice())
	l.send(hal.Broadcast, header.ARPProtocolNumber, v)
}

func (l *Link) send(to hal.MAC, protocol tcpip.NetworkProtocolNumber, v *buffer.View) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: hal.EthernetHeaderLen, Payload: buffer.MakeWithView(v),
	})
	defer pkt.DecRef()
	pkt.NetworkProtocolNumber = protocol
	pkt.EgressRoute.RemoteLinkAddress = tcpip.LinkAddress(to[:])
	l.AddHeader(pkt)
	var list stack.PacketBufferList
	list.PushBack(pkt)
	l.WritePackets(list)
}
