package wrap

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

const etherARP = 0x0806

// summary says in a few words what a packet is.
func summary(chain []hal.Frame) []slog.Attr {
	first, m := chain[0].Data, chain[0].Meta
	h, err := offload.Parse(first)
	var as []slog.Attr
	switch {
	case h.Version != 0:
		as = summaryIP(first, &h, err == nil)
	case h.EtherType == etherARP && len(first) >= h.L3+28:
		as = summaryARP(first[h.L3:])
	case len(first) >= hal.EthernetHeaderLen:
		as = []slog.Attr{slog.String("proto", fmt.Sprintf("ethertype 0x%04x", h.EtherType))}
	}
	if err != nil {
		as = append(as, slog.String("malformed", err.Error()))
	}
	if m.GSO != hal.GSONone {
		as = append(as, slog.String("gso", m.GSO.String()), slog.Int("segment", int(m.GSOSize)))
	}
	if m.NeedsCsum {
		as = append(as, slog.String("csum", "partial"))
	}
	return as
}

// summaryIP describes an IP packet; without a transport header at hand, only the
// addresses.
func summaryIP(first []byte, h *offload.Headers, whole bool) []slog.Attr {
	proto := slog.String("proto", protoName(h.Proto))
	if !whole || h.Fragment || h.Payload == h.L4 {
		as := []slog.Attr{proto, slog.Any("src", h.Src), slog.Any("dst", h.Dst)}
		if h.Fragment {
			as = append(as, slog.Bool("fragment", true))
		}
		return as
	}
	b := first[h.L4:]
	size := slog.Int("len", h.Total-h.Payload)
	if h.Proto == protoTCP || h.Proto == protoUDP {
		src, dst := netip.AddrPortFrom(h.Src, h.SrcPort), netip.AddrPortFrom(h.Dst, h.DstPort)
		as := []slog.Attr{proto, slog.Any("src", src), slog.Any("dst", dst)}
		if h.Proto == protoTCP {
			as = append(as, slog.String("flags", tcpFlags(h.TCPFlags)),
				slog.Any("seq", binary.BigEndian.Uint32(b[4:])), slog.Any("ack", binary.BigEndian.Uint32(b[8:])))
		}
		return append(as, size)
	}
	return []slog.Attr{proto, slog.Any("src", h.Src), slog.Any("dst", h.Dst),
		slog.Int("type", int(b[0])), slog.Int("code", int(b[1])), size}
}

// summaryARP describes an ARP packet for IPv4 over Ethernet (RFC 826).
func summaryARP(b []byte) []slog.Attr {
	op := "request"
	if b[7] == 2 {
		op = "reply"
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	return []slog.Attr{
		slog.String("proto", "arp"), slog.String("op", op), slog.Any("src", sender), slog.Any("dst", target),
		slog.Any("mac", hal.MAC(b[8:14])),
	}
}

func protoName(p uint8) string {
	switch p {
	case protoICMP:
		return "icmp"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMPv6:
		return "icmp6"
	}
	return fmt.Sprintf("ip %d", p)
}

// tcpFlags writes flags as tcpdump does: a letter each, a point for ACK.
func tcpFlags(flags uint8) string {
	s := make([]byte, 0, 8)
	for i, letter := range []byte("FSRP.UEC") {
		if flags&(1<<i) != 0 {
			s = append(s, letter)
		}
	}
	if len(s) == 0 {
		return "none"
	}
	return string(s)
}
