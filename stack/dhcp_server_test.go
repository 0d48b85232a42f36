package stack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/ringtail-net/ringtail/hal"
)

// dhcpd is a DHCP server on the cable of a world, 10.0.0.1. It gives 10.0.0.50 and
// up, each client its own.
type dhcpd struct {
	w      *world
	mac    hal.MAC
	ip     netip.Addr
	lease  time.Duration
	extra  []dhcpv4.Option // beside the mask, the router, the server, the time
	silent bool
	refuse bool
	next   byte
	given  map[string]netip.Addr // by client identifier
	heard  []heard
	used   []netip.Addr // addresses of another station, which answers for them
}

// heard is a message that the server received.
type heard struct {
	at       time.Time
	from, to netip.Addr
	frame    hal.MAC // to
	*dhcpv4.DHCPv4
}

func (w *world) serveDHCP(lease time.Duration) *dhcpd {
	d := &dhcpd{
		w: w, mac: hal.MAC{2, 0, 0, 0, 0, 0xd}, ip: netip.MustParseAddr("10.0.0.1"), lease: lease, next: 50, given: map[string]netip.Addr{},
	}
	w.stations = append(w.stations, d.frame)
	return d
}

func (d *dhcpd) frame(p []byte) {
	to := hal.MAC(p[:6])
	switch p = p[12:]; {
	case p[0] == 8 && p[1] == 6:
		d.arp(p[2:])
	case p[0] == 8 && p[1] == 0 && p[2+9] == 17 && binary.BigEndian.Uint16(p[2+22:]) == 67:
		ip := p[2:]
		m, err := dhcpv4.FromBytes(ip[28:])
		if err != nil {
			d.w.t.Errorf("the host sent: %v", err)
			return
		}
		h := heard{d.w.now, netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:])), to, m}
		d.heard = append(d.heard, h)
		if !d.silent {
			d.message(h)
		}
	}
}

// arp answers for the server, and for the station with the used addresses.
func (d *dhcpd) arp(p []byte) {
	asker, target := hal.MAC(p[8:14]), netip.AddrFrom4([4]byte(p[24:28]))
	from := d.mac
	switch {
	case p[7] != 1:
		return
	case slices.Contains(d.used, target):
		from = hal.MAC{2, 0, 0, 0, 0, 0xee}
	case target != d.ip || d.silent:
		return
	}
	d.w.send(ether(asker, from, 0x0806, arpPacket(2, from, target, asker, netip.AddrFrom4([4]byte(p[14:18])))))
}

func (d *dhcpd) message(h heard) {
	id := string(h.GetOneOption(dhcpv4.OptionClientIdentifier))
	r := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: h.HWType, ClientHWAddr: h.ClientHWAddr, TransactionID: h.TransactionID, Flags: h.Flags,
		Options: dhcpv4.OptionsFromList(dhcpv4.OptServerIdentifier(d.ip.AsSlice()), dhcpv4.OptClientIdentifier([]byte(id))),
	}
	kind := dhcpv4.MessageTypeOffer
	switch h.MessageType() {
	case dhcpv4.MessageTypeRequest:
		if s := h.ServerIdentifier(); s != nil && !s.Equal(d.ip.AsSlice()) {
			return
		}
		kind = dhcpv4.MessageTypeAck
		want := h.ClientIPAddr
		if a := h.RequestedIPAddress(); a != nil {
			want = a
		}
		if d.refuse || !want.Equal(d.given[id].AsSlice()) {
			kind = dhcpv4.MessageTypeNak
		}
	case dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeRelease:
		delete(d.given, id)
		return
	}
	r.UpdateOption(dhcpv4.OptMessageType(kind))
	if kind != dhcpv4.MessageTypeNak {
		if _, ok := d.given[id]; !ok {
			d.given[id] = netip.AddrFrom4([4]byte{10, 0, 0, d.next})
			d.next++
		}
		r.YourIPAddr = d.given[id].AsSlice()
		r.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		r.UpdateOption(dhcpv4.OptRouter(d.ip.AsSlice()))
		r.UpdateOption(dhcpv4.OptIPAddressLeaseTime(d.lease))
		for _, o := range d.extra {
			r.UpdateOption(o)
		}
	}
	to, frame := netip.MustParseAddr("255.255.255.255"), hal.Broadcast
	if !h.ClientIPAddr.IsUnspecified() {
		to, frame = netip.AddrFrom4([4]byte(h.ClientIPAddr)), hal.MAC(h.ClientHWAddr)
	}
	d.w.send(ether(frame, d.mac, 0x0800, udp4(netip.AddrPortFrom(d.ip, 67), netip.AddrPortFrom(to, 68), r.ToBytes())))
}

// kinds returns what the server has heard since, and forgets it.
func (d *dhcpd) kinds() (list []dhcpv4.MessageType) {
	for _, h := range d.heard {
		list = append(list, h.MessageType())
	}
	d.heard = nil
	return list
}

// answers reports whether the host has an address: whether it answers the
// server's question for it.
func (d *dhcpd) answers(a netip.Addr) (yes bool) {
	d.w.stations = append(d.w.stations, func(p []byte) {
		yes = yes || p[12] == 8 && p[13] == 6 && p[21] == 2 && netip.AddrFrom4([4]byte(p[28:32])) == a
	})
	d.w.send(ether(hal.Broadcast, d.mac, 0x0806, arpPacket(1, d.mac, d.ip, hal.MAC{}, a)))
	d.w.settle()
	d.w.stations = d.w.stations[:len(d.w.stations)-1]
	return yes
}
