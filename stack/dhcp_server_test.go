package stack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack/internal/dhcp"
)

// dhcpd is a DHCP server on the cable of a world, 10.0.0.1. It gives 10.0.0.50 and
// up, each client its own.
type dhcpd struct {
	w      *world
	mac    hal.MAC
	ip     netip.Addr
	lease  time.Duration
	extra  dhcp.Options // beside the mask, the router, the server, the time
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
	dhcp.Message
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
		m, err := dhcp.Parse(ip[28:])
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
	id := string(h.Options[dhcp.OptID])
	r := dhcp.Message{Reply: true, XID: h.XID, MAC: h.MAC, Broadcast: h.Broadcast, Options: dhcp.Options{
		dhcp.OptServer: d.ip.AsSlice(), dhcp.OptID: h.Options[dhcp.OptID],
	}}
	switch h.Kind {
	case dhcp.Discover:
		r.Kind = dhcp.Offer
	case dhcp.Request:
		if s, ok := h.Options[dhcp.OptServer]; ok && string(s) != string(d.ip.AsSlice()) {
			return
		}
		r.Kind = dhcp.Ack
		want := h.Client
		if a := h.Options[dhcp.OptAddress]; len(a) == 4 {
			want = netip.AddrFrom4([4]byte(a))
		}
		if d.refuse || d.given[id] != want {
			r.Kind = dhcp.Nak
		}
	case dhcp.Decline, dhcp.Release:
		delete(d.given, id)
		return
	}
	if r.Kind != dhcp.Nak {
		if _, ok := d.given[id]; !ok {
			d.given[id] = netip.AddrFrom4([4]byte{10, 0, 0, d.next})
			d.next++
		}
		r.Yours = d.given[id]
		r.Options[dhcp.OptMask] = []byte{255, 255, 255, 0}
		r.Options[dhcp.OptRouters] = d.ip.AsSlice()
		r.Options[dhcp.OptLeaseTime] = binary.BigEndian.AppendUint32(nil, uint32(d.lease/time.Second))
		for o, v := range d.extra {
			r.Options[o] = v
		}
	}
	to, frame := netip.MustParseAddr("255.255.255.255"), hal.Broadcast
	if h.Client.IsValid() && !h.Client.IsUnspecified() {
		to, frame = h.Client, h.MAC
	}
	d.w.send(ether(frame, d.mac, 0x0800, udp4(netip.AddrPortFrom(d.ip, 67), netip.AddrPortFrom(to, 68), r.Append(nil))))
}

// kinds returns what the server has heard since, and forgets it.
func (d *dhcpd) kinds() (list []dhcp.Kind) {
	for _, h := range d.heard {
		list = append(list, h.Kind)
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
