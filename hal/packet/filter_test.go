package packet

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// sighting is a packet as the kernel shows it to a filter.
type sighting struct {
	frame []byte
	kind  uint32 // PACKET_HOST, …
	tag   uint32 // of the VLAN, taken off
}

// run executes a filter as the kernel does (Documentation/networking/filter.rst):
// it says whether the packet is kept. It panics where the kernel would refuse the
// filter.
func run(p []instruction, s sighting) bool {
	var a, x uint32
	load := func(at uint64, size int) bool {
		switch {
		case at == atPacketType:
			a = s.kind
		case at == atVLANTag:
			a = s.tag
		case at+uint64(size) > uint64(len(s.frame)):
			return false
		case size == 4:
			a = binary.BigEndian.Uint32(s.frame[at:])
		case size == 2:
			a = uint32(binary.BigEndian.Uint16(s.frame[at:]))
		default:
			a = uint32(s.frame[at])
		}
		return true
	}
	for pc := 0; ; pc++ {
		i, ok := p[pc], true
		switch i.code {
		case ldW:
			ok = load(uint64(i.k), 4)
		case ldH:
			ok = load(uint64(i.k), 2)
		case ldB:
			ok = load(uint64(i.k), 1)
		case ldHX:
			ok = load(uint64(x)+uint64(i.k), 2)
		case ldxM:
			old := a
			ok = load(uint64(i.k), 1)
			a, x = old, a&0xf*4
		case and:
			a &= i.k
		case ja:
			pc += int(i.k)
		case jeq, jset:
			if i.code == jeq && a == i.k || i.code == jset && a&i.k != 0 {
				pc += int(i.jt)
			} else {
				pc += int(i.jf)
			}
		case ret:
			return i.k != 0
		default:
			panic("unknown instruction")
		}
		if !ok {
			return false
		}
	}
}

// keeps is what a filter is to do, said plainly.
func (w wanted) keeps(s sighting) bool {
	f := s.frame
	if w.ignore || s.kind == outgoing || s.tag&0xfff != 0 || len(f) < 6 {
		return false
	}
	if f[0]&1 == 0 && !slices.Contains(w.macs, hal.MAC(f)) {
		return false
	}
	if !w.steer || len(w.addrs) > mostAddrs {
		return true
	}
	if len(f) < 14 {
		return false
	}
	dst := func(from, to int) bool {
		if len(f) < to {
			return false
		}
		a, _ := netip.AddrFromSlice(f[from:to])
		return slices.Contains(w.addrs, a)
	}
	switch binary.BigEndian.Uint16(f[12:]) {
	case typeARP:
		return w.any4
	case typeIPv6:
		return dst(38, 54)
	case typeIPv4:
		return w.any4 && binary.BigEndian.Uint32(f) == 0xffffffff || w.dhcp && toClient(f) || dst(30, 34)
	}
	return false
}

// toClient reports whether an IPv4 packet is for a DHCP client.
func toClient(f []byte) bool {
	if len(f) < 34 || f[23] != 17 || binary.BigEndian.Uint16(f[20:])&0x1fff != 0 {
		return false
	}
	at := 14 + int(f[14]&0xf)*4 + 2
	return len(f) >= at+2 && binary.BigEndian.Uint16(f[at:]) == 68
}

var (
	ourMAC = hal.MAC{2, 0, 0, 0, 0, 1}
	four   = netip.MustParseAddr("10.78.0.2")
	six    = netip.MustParseAddr("fd78::2")
	local  = hal.Local{
		Addrs:  []netip.Addr{four, six, netip.MustParseAddr("10.78.0.3"), netip.MustParseAddr("fe80::1%rt0")},
		Groups: []netip.Addr{netip.MustParseAddr("224.0.0.251"), netip.MustParseAddr("ff02::fb"), netip.MustParseAddr("ff02::1")},
	}
)

// filters are the ones that tests look at, and their programs.
var filters = sync.OnceValues(func() (map[string]wanted, map[string][]instruction) {
	dhcp, both := want(ourMAC, hal.Local{DHCP: true}), local
	both.DHCP, both.MACs = true, []hal.MAC{{2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 1, 1}}
	many := local
	for i := range 2000 {
		many.Addrs = append(many.Addrs, netip.AddrFrom4([4]byte{10, 99, byte(i >> 8), byte(i)}))
	}
	full := hal.Local{MACs: make([]hal.MAC, mostMACs-1)}
	for i := range mostAddrs / 2 {
		full.Addrs = append(full.Addrs, netip.AddrFrom16([16]byte{0xfd, 14: byte(i >> 8), 15: byte(i)}))
	}
	all := map[string]wanted{
		"nothing": {ignore: true}, "before": {macs: []hal.MAC{ourMAC}}, "none": want(ourMAC, hal.Local{}),
		"local": want(ourMAC, local), "dhcp": dhcp, "both": want(ourMAC, both), "many": want(ourMAC, many), "full": want(ourMAC, full),
	}
	programs := map[string][]instruction{}
	for name, w := range all {
		programs[name] = w.compile()
	}
	return all, programs
})

func TestFilterKeeps(t *testing.T) {
	frame := func(dst, rest string) []byte {
		return slices.Concat([]byte(dst), []byte("\x02\x00\x00\x00\x00\x09"), []byte(rest), make([]byte, 60))
	}
	const (
		us, them, all = "\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x77", "\xff\xff\xff\xff\xff\xff"
		arp           = "\x08\x06"
		ip4           = "\x08\x00\x45\x00\x00\x28\x00\x00\x00\x00\x40\x11\x00\x00\x0a\x4e\x00\x09"
		ip6           = "\x86\xdd\x60\x00\x00\x00\x00\x10\x11\x40\xfd\x78\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"
		host6         = "\xfd\x78\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"
		solicit6      = "\xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\x00\x00\x02"
		other6        = "\xfd\x78\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
		rest          = "\x08\x00\x45\x00\x00\x28\x00\x00\x00\x01\x40\x11\x00\x00\x0a\x4e\x00\x09"
		ports         = "\x00\x43\x00\x44"
	)
	for name, c := range map[string]struct {
		filter string
		sighting
		want bool
	}{
		"our address":                {"local", sighting{frame: frame(us, ip4+"\x0a\x4e\x00\x02")}, true},
		"the kernel's address":       {"local", sighting{frame: frame(us, ip4+"\x0a\x4e\x00\x01")}, false},
		"our address, another's MAC": {"local", sighting{frame: frame(them, ip4+"\x0a\x4e\x00\x02")}, false},
		"our address of IPv6":        {"local", sighting{frame: frame(us, ip6+host6)}, true},
		"another of IPv6":            {"local", sighting{frame: frame(us, ip6+other6)}, false},
		"solicitation for us":        {"local", sighting{frame: frame("\x33\x33\xff\x00\x00\x02", ip6+solicit6)}, true},
		"a group of ours":            {"local", sighting{frame: frame("\x01\x00\x5e\x00\x00\xfb", ip4+"\xe0\x00\x00\xfb")}, true},
		"another group":              {"local", sighting{frame: frame("\x01\x00\x5e\x00\x00\xfc", ip4+"\xe0\x00\x00\xfc")}, false},
		"broadcast":                  {"local", sighting{frame: frame(all, ip4+"\x0a\x4e\x00\xff")}, true},
		"ARP":                        {"local", sighting{frame: frame(all, arp)}, true},
		"ARP without an address":     {"none", sighting{frame: frame(all, arp)}, false},
		"another protocol":           {"local", sighting{frame: frame(us, "\x88\xb5")}, false},
		"another protocol, before":   {"before", sighting{frame: frame(us, "\x88\xb5")}, true},
		"another's, before":          {"before", sighting{frame: frame(them, "\x88\xb5")}, false},
		"nothing":                    {"nothing", sighting{frame: frame(us, ip4+"\x0a\x4e\x00\x02")}, false},
		"what we sent":               {"before", sighting{frame: frame(us, arp), kind: outgoing}, false},
		"a VLAN's":                   {"before", sighting{frame: frame(us, arp), tag: 0x2007}, false},
		"with a priority":            {"before", sighting{frame: frame(us, arp), tag: 0x2000}, true},
		"a lease":                    {"dhcp", sighting{frame: frame(us, ip4+"\x0a\x4e\x00\x77"+ports)}, true},
		"a lease, nobody waits":      {"local", sighting{frame: frame(us, ip4+"\x0a\x4e\x00\x77"+ports)}, false},
		"the rest of a fragment":     {"dhcp", sighting{frame: frame(us, rest+"\x0a\x4e\x00\x77"+ports)}, false},
		"too many to look at":        {"many", sighting{frame: frame(us, ip4+"\x0a\x4e\x00\x01")}, true},
		"a second MAC":               {"both", sighting{frame: frame("\x02\x00\x00\x00\x00\x02", ip4+"\x0a\x4e\x00\x02")}, true},
	} {
		all, programs := filters()
		w := all[c.filter]
		if got := run(programs[c.filter], c.sighting); got != c.want {
			t.Errorf("%s: kept %v, want %v", name, got, c.want)
		}
		if got := w.keeps(c.sighting); got != c.want {
			t.Errorf("%s: the plain form says %v, want %v", name, got, c.want)
		}
	}
}

// compare says whether a filter does what it is to do with a packet. Of packets
// that end within their headers it only looks whether the filter comes to an end.
func compare(t *testing.T, s sighting) {
	t.Helper()
	const headers = 14 + 60 + 4
	all, programs := filters()
	for name, w := range all {
		p := programs[name]
		if len(p) > 4096 {
			t.Fatalf("%s: %d instructions", name, len(p))
		}
		if got, want := run(p, s), w.keeps(s); got != want && len(s.frame) >= headers {
			t.Errorf("%s: %x of kind %d, tag %#x: kept %v, want %v", name, s.frame, s.kind, s.tag, got, want)
		}
	}
}

// TestFilterOfLikelyPackets makes packets out of the values that filters look for,
// at random, and cuts some of them off.
func TestFilterOfLikelyPackets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(f []byte, at int, values ...string) {
		if at < len(f) {
			copy(f[at:], values[r.IntN(len(values))])
		}
	}
	for range 3000 {
		f := make([]byte, 100)
		if r.IntN(8) == 0 {
			f = f[:r.IntN(80)]
		}
		pick(f, 0, string(ourMAC[:]), "\xff\xff\xff\xff\xff\xff", "\x02\x00\x00\x00\x01\x01", "\x02\x00\x00\x00\x00\x77", "\x01\x00\x5e\x00\x00\xfb")
		pick(f, 12, "\x08\x00", "\x86\xdd", "\x08\x06", "\x88\xb5")
		pick(f, 14, "\x45", "\x46", "\x4f", "\x60")
		pick(f, 20, "\x00\x00", "\x00\x01", "\x40\x00", "\x20\x00")
		pick(f, 23, "\x11", "\x06")
		pick(f, 30, "\x0a\x4e\x00\x02", "\x0a\x4e\x00\x03", "\x0a\x4e\x00\x01", "\xe0\x00\x00\xfb")
		pick(f, 36, "\x00\x44", "\x00\x43")
		pick(f, 40, "\x00\x44", "\x00\x43")
		if r.IntN(2) == 0 {
			a, g := six.As16(), solicited(six).As16()
			pick(f, 38, string(a[:]), string(g[:]), string(a[:15])+"\x01", "\xff\x02")
		}
		compare(t, sighting{frame: f, kind: uint32(r.IntN(5)), tag: [...]uint32{0, 0, 0x2000, 7}[r.IntN(4)]})
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x09\x08\x00\x45"), uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, frame []byte, kind, tag uint32) {
		compare(t, sighting{frame: frame, kind: kind, tag: tag})
	})
}

func TestGroups(t *testing.T) {
	got := want(ourMAC, local).groups()
	want := []hal.MAC{
		{1, 0, 0x5e, 0, 0, 0xfb}, {0x33, 0x33, 0, 0, 0, 1}, {0x33, 0x33, 0, 0, 0, 0xfb},
		{0x33, 0x33, 0xff, 0, 0, 1}, {0x33, 0x33, 0xff, 0, 0, 2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("the interface receives for %v, want %v", got, want)
	}
}
