package afxdp

import (
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func addrs(text ...string) (as []netip.Addr) {
	for _, t := range text {
		as = append(as, netip.MustParseAddr(t))
	}
	return as
}

// A scene is a filter and what it was told is ours.
type scene struct {
	name, filter string
	local        hal.Local
}

var (
	mine = hal.Local{
		Addrs:  addrs("10.0.0.2", "fd00::1:2"),
		Groups: addrs("224.0.0.1", "239.1.2.3", "ff02::1", "ff05::77"),
	}
	opened = hal.Local{Addrs: mine.Addrs, Groups: mine.Groups, DHCP: true}

	alone   = scene{"local", "local", mine}
	bare    = scene{"no address yet", "local", hal.Local{DHCP: true}}
	asking  = scene{"DHCP open", "local", opened}
	byPorts = scene{"ports", "tcp/80+udp/53", mine}
	lease   = scene{"ports, DHCP open", "tcp/80+udp/53", opened}
	mac     = scene{"mac", "mac:02:00:00:00:00:02", mine}
	whole   = scene{"all", "all", hal.Local{}}
	scenes  = []scene{alone, bare, asking, byPorts, lease, mac, whole}
)

func (s scene) tables(t testing.TB) *tables {
	t.Helper()
	f, err := parseFilter(s.filter)
	if err != nil {
		t.Fatal(err)
	}
	return f.tables(s.local)
}

// group is the station of a multicast group.
func group(a string) hal.MAC {
	m, ok := groupMAC(netip.MustParseAddr(a))
	if !ok {
		panic(a + " is no group")
	}
	return m
}

// inVLAN is what follows the type in a VLAN.
var inVLAN = append([]byte{0, 5, 8, 0}, ip4("10.0.0.2", protoTCP, ports(22)...)...)

var verdicts = []struct {
	scene scene
	name  string
	frame []byte
	want  verdict
}{
	// Addresses of our own, beside a kernel with the same MAC address.
	{alone, "TCP to us", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoTCP, ports(22)...)...), forUs},
	{alone, "TCP to the kernel", ether(kernelMAC, typeIPv4, ip4("10.0.0.1", protoTCP, ports(22)...)...), forKernel},
	{alone, "a fragment to us", ether(kernelMAC, typeIPv4, ip4Frag("10.0.0.2", protoUDP, 100, nil, 1)...), forUs},
	{alone, "a fragment to the kernel", ether(kernelMAC, typeIPv4, ip4Frag("10.0.0.1", protoUDP, 100, nil, 1)...), forKernel},
	{alone, "ping to us", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", protoICMPv6, icmp(128)...)...), forUs},
	{alone, "ping to the kernel", ether(kernelMAC, typeIPv6, ip6("fd00::1", protoICMPv6, icmp(128)...)...), forKernel},
	{alone, "question for our address", ether(hal.Broadcast, typeARP, arp(1, "10.0.0.2")...), forUs},
	{alone, "answer to us", ether(kernelMAC, typeARP, arp(2, "10.0.0.2")...), forUs},
	{alone, "answer to who has no address yet", ether(kernelMAC, typeARP, arp(2, "0.0.0.0")...), forBoth},
	{alone, "an announcement", ether(hal.Broadcast, typeARP, arp(2, "10.0.0.9")...), forBoth},
	{bare, "answer to the kernel, without an address of ours", ether(kernelMAC, typeARP, arp(2, "10.0.0.1")...), forKernel},
	{alone, "question for the kernel's address", ether(hal.Broadcast, typeARP, arp(1, "10.0.0.1")...), forKernel},
	{alone, "neighbour solicitation", ether(group("ff02::1:ff01:2"), typeIPv6, ip6("ff02::1:ff01:2", protoICMPv6, icmp(135)...)...), forBoth},
	{alone, "solicitation of the kernel", ether(group("ff02::1:ff00:1"), typeIPv6, ip6("ff02::1:ff00:1", protoICMPv6, icmp(135)...)...), forKernel},
	{alone, "router advertisement", ether(group("ff02::1"), typeIPv6, ip6("ff02::1", protoICMPv6, icmp(134)...)...), forBoth},
	{alone, "listener query", ether(group("ff02::1"), typeIPv6, ip6("ff02::1", extHopByHop, extension(protoICMPv6, 0, icmp(130)...)...)...), forBoth},
	{alone, "IGMP query", ether(group("224.0.0.1"), typeIPv4, ip4("224.0.0.1", protoIGMP, 0x11)...), forBoth},
	{alone, "our IPv4 group", ether(group("239.1.2.3"), typeIPv4, ip4("239.1.2.3", protoUDP, ports(9)...)...), forBoth},
	{alone, "our IPv6 group", ether(group("ff05::77"), typeIPv6, ip6("ff05::77", protoUDP, ports(9)...)...), forBoth},
	{alone, "a group that we have not joined", ether(group("239.1.2.4"), typeIPv4, ip4("239.1.2.4", protoUDP, ports(9)...)...), forKernel},
	{alone, "broadcast", ether(hal.Broadcast, typeIPv4, ip4("255.255.255.255", protoUDP, ports(9)...)...), forBoth},
	{alone, "broadcast to the subnet", ether(hal.Broadcast, typeIPv4, ip4("10.0.0.255", protoUDP, ports(9)...)...), forBoth},
	{alone, "DHCP reply, not asked for", ether(kernelMAC, typeIPv4, ip4("10.0.0.77", protoUDP, ports(68)...)...), forKernel},
	{alone, "VLAN", ether(kernelMAC, typeVLAN, inVLAN...), forKernel},
	{alone, "IEEE 802.3", ether(group("ff02::1"), 38, 0x42, 0x42, 3), forKernel},
	{alone, "a stump of ARP", ether(hal.Broadcast, typeARP, arp(1, "10.0.0.2")[:27]...), forKernel},
	{alone, "a stump of IPv4", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", 0)[:19]...), forKernel},
	{alone, "a stump of IPv6", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", 0)[:39]...), forKernel},
	{alone, "nothing but an Ethernet header", ether(kernelMAC, typeIPv4), forKernel},
	{alone, "version 5", ether(kernelMAC, typeIPv4, append([]byte{0x55}, ip4("10.0.0.2", 0)[1:]...)...), forKernel},
	{alone, "ARP of a token ring", ether(hal.Broadcast, typeARP, append([]byte{0, 6}, arp(1, "10.0.0.2")[2:]...)...), forKernel},

	// While a DHCP client listens.
	{bare, "DHCP reply to all", ether(hal.Broadcast, typeIPv4, ip4("255.255.255.255", protoUDP, ports(68)...)...), forBoth},
	{bare, "DHCP reply to the address offered", ether(kernelMAC, typeIPv4, ip4("10.0.0.77", protoUDP, ports(68)...)...), forBoth},
	{bare, "DHCP reply behind options", ether(kernelMAC, typeIPv4, ip4Frag("10.0.0.77", protoUDP, 0, make([]byte, 40), ports(68)...)...), forBoth},
	{bare, "another broadcast", ether(hal.Broadcast, typeIPv4, ip4("255.255.255.255", protoUDP, ports(67)...)...), forKernel},
	{bare, "TCP", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoTCP, ports(68)...)...), forKernel},
	{bare, "UDP cut off", ether(kernelMAC, typeIPv4, ip4("10.0.0.77", protoUDP, 0, 67, 0)...), forKernel},
	{asking, "DHCP reply to us", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoUDP, ports(68)...)...), forUs},
	{lease, "DHCP reply to the common address", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoUDP, ports(68)...)...), forBoth},
	{lease, "DHCP reply to all", ether(hal.Broadcast, typeIPv4, ip4("255.255.255.255", protoUDP, ports(68)...)...), forBoth},

	// The kernel's own addresses, of which some ports are ours.
	{byPorts, "our port", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoTCP, ports(80)...)...), forUs},
	{byPorts, "our port behind options", ether(kernelMAC, typeIPv4, ip4Frag("10.0.0.2", protoTCP, 0, make([]byte, 12), ports(80)...)...), forUs},
	{byPorts, "our port over UDP", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoUDP, ports(80)...)...), forKernel},
	{byPorts, "another port", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoTCP, ports(22)...)...), forKernel},
	{byPorts, "our port of another address", ether(kernelMAC, typeIPv4, ip4("10.0.0.3", protoTCP, ports(80)...)...), forKernel},
	{byPorts, "a header that is too short", ether(kernelMAC, typeIPv4, append([]byte{0x44}, ip4("10.0.0.2", protoTCP, ports(80)...)[1:]...)...), forKernel},
	{byPorts, "a header that is longer than the frame", ether(kernelMAC, typeIPv4, append([]byte{0x4f}, ip4("10.0.0.2", protoTCP, ports(80)...)[1:]...)...), forKernel},
	{byPorts, "a later fragment", ether(kernelMAC, typeIPv4, ip4Frag("10.0.0.2", protoUDP, 185, nil, 1)...), forBoth},
	{byPorts, "unreachable", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoICMP, icmp(3)...)...), forBoth},
	{byPorts, "ping", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoICMP, icmp(8)...)...), forKernel},
	{byPorts, "SCTP", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", 132, ports(80)...)...), forKernel},
	{byPorts, "question for the common address", ether(hal.Broadcast, typeARP, arp(1, "10.0.0.2")...), forKernel},
	{byPorts, "answer to either", ether(kernelMAC, typeARP, arp(2, "10.0.0.2")...), forBoth},
	{byPorts, "broadcast to our port", ether(hal.Broadcast, typeIPv4, ip4("10.0.0.255", protoUDP, ports(53)...)...), forBoth},
	{byPorts, "broadcast to another port", ether(hal.Broadcast, typeIPv4, ip4("10.0.0.255", protoUDP, ports(54)...)...), forKernel},
	{byPorts, "IGMP query", ether(group("224.0.0.1"), typeIPv4, ip4("224.0.0.1", protoIGMP, 0x11)...), forBoth},
	{byPorts, "our port, IPv6", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", protoUDP, ports(53)...)...), forUs},
	{byPorts, "another port, IPv6", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", protoUDP, ports(54)...)...), forKernel},
	{byPorts, "our port behind four headers", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", extHopByHop, extension(extRouting, 0,
		extension(extFragment, 2, fragment(extDestination, 0, extension(protoTCP, 100, ports(80)...)...)...)...)...)...), forUs},
	{byPorts, "our port behind five", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", extHopByHop, extension(extDestination, 0,
		extension(extRouting, 0, extension(extFragment, 0, fragment(extDestination, 0, extension(protoTCP, 0, ports(80)...)...)...)...)...)...)...), forKernel},
	{byPorts, "a header that goes on behind the frame", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", extHopByHop, extension(protoTCP, 200)[:80]...)...), forKernel},
	{byPorts, "a later fragment, IPv6", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", extFragment, fragment(protoUDP, 100, 1)...)...), forBoth},
	{byPorts, "a first fragment", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", extFragment, fragment(protoUDP, 0, ports(53)...)...)...), forUs},
	{byPorts, "encrypted", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", 50, ports(80)...)...), forKernel},
	{byPorts, "packet too big", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", protoICMPv6, icmp(2)...)...), forBoth},
	{byPorts, "neighbour advertisement", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", protoICMPv6, icmp(136)...)...), forBoth},
	{byPorts, "neighbour solicitation", ether(group("ff02::1:ff01:2"), typeIPv6, ip6("ff02::1:ff01:2", protoICMPv6, icmp(135)...)...), forKernel},
	{byPorts, "router advertisement", ether(group("ff02::1"), typeIPv6, ip6("ff02::1", protoICMPv6, icmp(134)...)...), forBoth},
	{byPorts, "ping6", ether(kernelMAC, typeIPv6, ip6("fd00::1:2", protoICMPv6, icmp(128)...)...), forKernel},

	// A station of our own.
	{mac, "to our station", ether(ownMAC, typeIPv4, ip4("10.9.9.9", protoTCP, ports(22)...)...), forUs},
	{mac, "to the kernel's station", ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoTCP, ports(22)...)...), forKernel},
	{mac, "to all", ether(hal.Broadcast, typeARP, arp(1, "10.0.0.1")...), forBoth},
	{mac, "to a group", ether(group("ff02::1"), typeIPv6, ip6("ff02::1", protoICMPv6, icmp(134)...)...), forBoth},
	{mac, "VLAN", ether(ownMAC, typeVLAN, inVLAN...), forKernel},
	{mac, "VLAN in a VLAN", ether(hal.Broadcast, typeQinQ, inVLAN...), forKernel},

	{whole, "VLAN", ether(kernelMAC, typeVLAN, inVLAN...), forUs},
	{whole, "the kernel's", ether(kernelMAC, typeIPv4, ip4("10.0.0.1", protoTCP, ports(22)...)...), forUs},
}

func TestJudge(t *testing.T) {
	for _, v := range verdicts {
		if got := v.scene.tables(t).judge(v.frame); got != v.want {
			t.Errorf("%s: %s: verdict %d, want %d", v.scene.name, v.name, got, v.want)
		}
	}
}

// FuzzJudge looks that no frame, however broken, makes the model read past its end.
func FuzzJudge(f *testing.F) {
	for i, v := range verdicts {
		f.Add(uint8(i), v.frame)
	}
	f.Fuzz(func(t *testing.T, i uint8, frame []byte) {
		s := scenes[int(i)%len(scenes)]
		if v := s.tables(t).judge(frame); v&byPort != 0 {
			t.Errorf("%s: verdict %d on %x", s.name, v, frame)
		}
	})
}
