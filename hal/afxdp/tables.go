package afxdp

import (
	"net/netip"
	"slices"

	"github.com/ringtail-net/ringtail/hal"
)

// tables is what the program in the kernel looks up. SetLocal makes new ones.
type tables struct {
	kind  kind
	hosts map[key16]verdict
	ports map[portKey]bool

	// stations are the link addresses, of groups and of our own, that the card
	// must let through. It knows those that the kernel wants, and no others.
	stations map[hal.MAC]bool
}

// newTables are those of a kind of filter that has been told nothing.
func newTables(k kind) *tables {
	return &tables{kind: k, hosts: map[key16]verdict{}, ports: map[portKey]bool{}, stations: map[hal.MAC]bool{}}
}

// Addresses that stand for many, or for nobody yet.
var (
	limitedBroadcast = [4]byte{255, 255, 255, 255}
	anyHost          = [4]byte{} // in the table while a DHCP client listens
	allNodes         = netip.MustParseAddr("ff02::1")
)

// tables says what is ours if l is.
func (f filter) tables(l hal.Local) *tables {
	t := newTables(f.kind)
	for _, m := range f.macs(l) {
		t.stations[m] = true
		if f.kind == byMAC {
			t.hosts[macKey(m)] = forUs
		}
	}
	var part verdict
	if ports, some := f.portsOf(l); some {
		part = byPort
		for _, p := range ports {
			t.ports[portKey{p.Proto, 0, byte(p.Number >> 8), byte(p.Number)}] = true
		}
	}
	for _, a := range l.Addrs {
		a = a.Unmap()
		t.host(a, forUs|part)
		if a.Is4() {
			t.host(netip.AddrFrom4(limitedBroadcast), forBoth|part)
			continue
		}
		t.host(solicitedNode(a), forBoth|part)
		t.host(allNodes, forBoth|part)
	}
	for _, a := range l.Groups {
		t.host(a, forBoth|part)
	}
	if l.DHCP {
		t.host(netip.AddrFrom4(anyHost), forBoth)
	}
	return t
}

// macs are the stations that are ours and not the kernel's.
func (f filter) macs(l hal.Local) []hal.MAC {
	if f.kind == byMAC {
		return append([]hal.MAC{f.mac}, l.MACs...)
	}
	return l.MACs
}

// portsOf are the ports that are ours, if not all are: those that the filter and l
// agree upon.
func (f filter) portsOf(l hal.Local) (ports []hal.Port, some bool) {
	switch {
	case f.kind != byAddress || len(f.ports) == 0:
		return l.Ports, f.kind == byAddress && len(l.Ports) > 0
	case len(l.Ports) == 0:
		return f.ports, true
	}
	for _, p := range l.Ports {
		if slices.Contains(f.ports, p) {
			ports = append(ports, p)
		}
	}
	return ports, true
}

// host enters an address, and what the card must let through for it.
func (t *tables) host(a netip.Addr, v verdict) {
	a = a.Unmap().WithZone("")
	if m, ok := groupMAC(a); ok {
		t.stations[m] = true
	}
	if t.kind == byAddress {
		t.hosts[key16(a.As16())] = v
	}
}

func ip4Key(a [4]byte) key16 { return key16(netip.AddrFrom4(a).As16()) }

func macKey(m hal.MAC) (k key16) {
	copy(k[:], m[:])
	return k
}

// groupMAC is the station that a multicast group is sent to: RFC 1112 section
// 6.4, RFC 2464 section 7.
func groupMAC(a netip.Addr) (hal.MAC, bool) {
	switch b := a.As16(); {
	case !a.IsMulticast():
		return hal.MAC{}, false
	case a.Is4():
		return hal.MAC{0x01, 0x00, 0x5e, b[13] & 0x7f, b[14], b[15]}, true
	default:
		return hal.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}, true
	}
}

// solicitedNode is the group in which the neighbours of an address look for it:
// RFC 4291 section 2.7.1.
func solicitedNode(a netip.Addr) netip.Addr {
	g := netip.MustParseAddr("ff02::1:ff00:0").As16()
	b := a.As16()
	copy(g[13:], b[13:])
	return netip.AddrFrom16(g)
}
