package stack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

var (
	routerMAC = hal.MAC{2, 0, 0, 0, 0, 0xa}
	routerLL  = netip.MustParseAddr("fe80::a")
	subnet6   = netip.MustParsePrefix("fd77::/64")
)

// radvd is a router on the cable of a world.
type radvd struct {
	w       *world
	options []byte // of its advertisements
	life    uint16 // as a default router, in seconds
	flags   byte   // preference
	// used reports whether an address is another station's, which then says so.
	used  func(netip.Addr) bool
	asked int // solicitations
	off   bool
}

func (w *world) serveRA(options ...[]byte) *radvd {
	r := &radvd{w: w, options: slices.Concat(options...), life: 1800, used: func(netip.Addr) bool { return false }}
	w.stations = append(w.stations, r.frame)
	return r
}

func (r *radvd) frame(p []byte) {
	if p[12] != 0x86 || p[13] != 0xdd || p[20] != 58 {
		return
	}
	body := p[54:]
	if r.off {
		return
	}
	switch body[0] {
	case 133:
		r.asked++
		r.advertise()
	case 135:
		target := netip.AddrFrom16([16]byte(body[8:24]))
		check := netip.AddrFrom16([16]byte(p[22:38])).IsUnspecified()
		switch {
		case check && r.used(target):
			r.w.send(r.neighbor(hal.MAC{2, 0, 0, 0, 0, 0xee}, target, allNodes))
		case target == routerLL:
			r.w.send(r.neighbor(routerMAC, target, netip.AddrFrom16([16]byte(p[22:38]))))
		}
	}
}

// neighbor is the message that target is at mac.
func (r *radvd) neighbor(mac hal.MAC, target, to netip.Addr) []byte {
	body := append([]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, target.AsSlice()...)
	body = append(append(body, 2, 1), mac[:]...)
	station := r.w.mac()
	if to.IsMulticast() {
		station = hal.MAC{0x33, 0x33, 0, 0, 0, 1}
	}
	return ether(station, mac, 0x86dd, icmp6(target, to, body))
}

// advertise sends a router advertisement.
func (r *radvd) advertise() { r.w.send(advertisement(routerMAC, routerLL, r.life, r.flags, r.options)) }

func advertisement(mac hal.MAC, from netip.Addr, life uint16, flags byte, options []byte) []byte {
	body := []byte{134, 0, 0, 0, 64, flags, byte(life >> 8), byte(life), 0, 0, 0, 0, 0, 0, 0, 0}
	body = append(append(body, 1, 1), mac[:]...)
	body = append(body, options...)
	return ether(hal.MAC{0x33, 0x33, 0, 0, 0, 1}, mac, 0x86dd, icmp6(from, allNodes, body))
}

// prefixInfo is the option for a prefix: 0x80 on-link, 0x40 to make addresses of.
func prefixInfo(p netip.Prefix, flags byte, valid, preferred uint32) []byte {
	o := []byte{3, 4, byte(p.Bits()), flags}
	o = binary.BigEndian.AppendUint32(o, valid)
	o = binary.BigEndian.AppendUint32(o, preferred)
	return append(append(o, 0, 0, 0, 0), p.Addr().AsSlice()...)
}

func rdnss(life uint32, servers ...string) []byte {
	o := binary.BigEndian.AppendUint32([]byte{25, byte(1 + 2*len(servers)), 0, 0}, life)
	for _, s := range servers {
		o = append(o, netip.MustParseAddr(s).AsSlice()...)
	}
	return o
}

// dnssl is the search list with one name of two labels.
func dnssl(life uint32, one, two string) []byte {
	o := binary.BigEndian.AppendUint32([]byte{31, 0, 0, 0}, life)
	o = append(append(o, byte(len(one))), one...)
	o = append(append(o, byte(len(two))), two...)
	o = append(o, 0)
	for len(o)%8 > 0 {
		o = append(o, 0)
	}
	o[1] = byte(len(o) / 8)
	return o
}

func routeInfo(p netip.Prefix, life uint32) []byte {
	o := binary.BigEndian.AppendUint32([]byte{24, 3, byte(p.Bits()), 0}, life)
	return append(o, p.Addr().AsSlice()...)
}

// eui64 is the address that shows the MAC.
func eui64(p netip.Prefix, mac hal.MAC) netip.Addr {
	a := p.Addr().As16()
	copy(a[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return netip.AddrFrom16(a)
}

// advertisedOf returns what routers have told a host.
func advertisedOf(h *Host) Lease {
	list, _ := h.Leases()
	for _, l := range list {
		if !l.Server.IsValid() {
			return l
		}
	}
	return Lease{}
}

// has6 reports whether the host answers for an address.
func (w *world) has6(a netip.Addr) (yes bool) {
	w.stations = append(w.stations, func(p []byte) {
		yes = yes || p[12] == 0x86 && p[20] == 58 && p[54] == 136 && netip.AddrFrom16([16]byte(p[62:78])) == a
	})
	group := addr(header.SolicitedNodeAddr(address(a)))
	g := group.As16()
	body := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, a.AsSlice()...)
	body = append(append(body, 1, 1), routerMAC[:]...)
	w.send(ether(hal.MAC{0x33, 0x33, g[12], g[13], g[14], g[15]}, routerMAC, 0x86dd, icmp6(routerLL, group, body)))
	w.settle()
	w.stations = w.stations[:len(w.stations)-1]
	return yes
}

func TestSLAAC(t *testing.T) { forEachSettler(t, testSLAAC) }

func testSLAAC(t *testing.T, cfg Config) {
	w := newWorld(t, 1)
	r := w.serveRA(prefixInfo(subnet6, 0xc0, 7200, 3600), rdnss(600, "fd77::53", "fe80::53"), dnssl(600, "lan", "example"),
		routeInfo(netip.MustParsePrefix("2001:db8::/32"), 900))
	dev := &told{Device: w.dev}
	h := w.open(cfg, Interface{SLAAC: true, Device: dev, Addrs: []netip.Prefix{netip.MustParsePrefix("fd01::2/64")}})
	w.stations = append(w.stations, func(p []byte) {
		if p[12] == 0x86 && p[54] == 135 && !slices.Contains(dev.last.Addrs, netip.AddrFrom16([16]byte(p[62:78]))) {
			t.Errorf("the device learns too late of an address that is being checked: % x", p)
		}
	})
	took := w.until("a global address", time.Minute, w.isReady)
	if took < time.Second || took > 3*time.Second || r.asked == 0 {
		t.Errorf("ready after %v, %d solicitations", took, r.asked)
	}
	l := advertisedOf(h)
	if len(l.Addrs) != 1 || l.Addrs[0].Masked() != subnet6 {
		t.Fatalf("advertised: %+v", l)
	}
	a := l.Addrs[0].Addr()
	if a == eui64(subnet6, w.mac()) {
		t.Error("the address shows the MAC")
	}
	if !w.has6(a) {
		t.Error("the address does not answer")
	}
	want := Lease{
		Interface: "eth0", Addrs: l.Addrs, Routers: []netip.Addr{routerLL.WithZone("eth0")},
		DNS:     []netip.Addr{netip.MustParseAddr("fd77::53"), netip.MustParseAddr("fe80::53%eth0")},
		Domains: []string{"lan.example"},
	}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("advertised:\n%+v, want\n%+v", l, want)
	}
	if !h.hasRoute("::/0", "fe80::a") || !h.hasRoute("fd77::/64", "") || !h.hasRoute("2001:db8::/32", "fe80::a") {
		t.Errorf("routes: %v", h.st.GetRouteTable())
	}
	if got := h.Stats().Interfaces[0].Addrs; len(got) != 2 || got[1] != l.Addrs[0] || !w.has6(got[0].Addr()) {
		t.Errorf("addresses: %v", got)
	}
	for _, g := range []netip.Addr{allNodes, addr(header.SolicitedNodeAddr(address(a)))} {
		if !slices.Contains(dev.last.Groups, g) {
			t.Errorf("the device is not told of group %v: %v", g, dev.last.Groups)
		}
	}

	// Everything has its own end. Silence from here on.
	r.off = true
	start := w.now
	for _, c := range []struct {
		after time.Duration
		gone  func() bool
		what  string
	}{
		{10 * time.Minute, func() bool { l := advertisedOf(h); return l.DNS == nil && l.Domains == nil }, "the name servers"},
		{15 * time.Minute, func() bool { return !h.hasRoute("2001:db8::/32", "fe80::a") }, "the route"},
		{30 * time.Minute, func() bool { return !h.hasRoute("::/0", "fe80::a") && advertisedOf(h).Routers == nil }, "the default route"},
		{2 * time.Hour, func() bool {
			return !h.hasRoute("fd77::/64", "") && !w.has6(a) && !slices.Contains(dev.last.Addrs, a)
		}, "the prefix and the address"},
	} {
		w.pass(start.Add(c.after).Add(-10 * time.Second).Sub(w.now))
		if c.gone() {
			t.Errorf("%s: gone too early", c.what)
		}
		w.pass(10 * time.Second)
		if !c.gone() {
			t.Errorf("%s: not gone after %v; %+v, routes %v", c.what, c.after, advertisedOf(h), h.st.GetRouteTable())
		}
	}
	if list, _ := h.Leases(); len(list) != 0 {
		t.Errorf("in the end: %+v", list)
	}
}

// TestRoutersTakeBack: a lifetime of zero ends a thing at once; another
// preference moves a router.
func TestRoutersTakeBack(t *testing.T) {
	w := newWorld(t, 1)
	w.serveRA(prefixInfo(subnet6, 0xc0, 7200, 3600), rdnss(600, "fd77::53"))
	h := w.open(Config{}, Interface{SLAAC: true})
	w.until("a global address", time.Minute, w.isReady)
	second := netip.MustParseAddr("fe80::b")
	say := func(life uint16, flags byte, options ...[]byte) {
		w.send(advertisement(hal.MAC{2, 0, 0, 0, 0, 0xb}, second, life, flags, slices.Concat(options...)))
		w.settle()
	}
	zoned := []netip.Addr{routerLL.WithZone("eth0"), second.WithZone("eth0")}
	say(600, 0)
	if got := advertisedOf(h).Routers; !slices.Equal(got, zoned) {
		t.Errorf("routers: %v", got)
	}
	say(600, 0x08) // high preference
	if got := advertisedOf(h).Routers; !slices.Equal(got, []netip.Addr{zoned[1], zoned[0]}) {
		t.Errorf("routers: %v", got)
	}
	say(600, 0x18) // low
	if got := advertisedOf(h).Routers; !slices.Equal(got, zoned) {
		t.Errorf("routers: %v", got)
	}
	say(0, 0, rdnss(0, "fd77::53"))
	if l := advertisedOf(h); !slices.Equal(l.Routers, zoned[:1]) || l.DNS != nil {
		t.Errorf("advertised: %+v", l)
	}
	for i := range 100 {
		say(0, 0, rdnss(600, netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}).String()))
	}
	if n := len(advertisedOf(h).DNS); n != mostAdvertised {
		t.Errorf("%d name servers are remembered", n)
	}
}

// TestStrangeAdvertisements: what a router says cannot bring the host down, nor
// take over its IPv4.
func TestStrangeAdvertisements(t *testing.T) {
	w := newWorld(t, 1)
	w.serveRA(prefixInfo(subnet6, 0xc0, 7200, 3600))
	h := w.open(Config{}, Interface{SLAAC: true})
	w.until("a global address", time.Minute, w.isReady)
	before := h.st.GetRouteTable()
	mapped := netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 10}), 104)
	for _, o := range [][]byte{
		prefixInfo(mapped, 0xc0, 7200, 3600), routeInfo(mapped, 900), rdnss(900, "::ffff:10.0.0.1"),
		prefixInfo(netip.MustParsePrefix("::/0"), 0xc0, 7200, 3600), prefixInfo(netip.MustParsePrefix("fe80::/64"), 0xc0, 7200, 3600),
		prefixInfo(netip.MustParsePrefix("fd99::/48"), 0x40, 7200, 3600), dnssl(900, "no name", "x"),
		prefixInfo(netip.MustParsePrefix("fd98::/64"), 0x40, 0, 0),
	} {
		w.send(advertisement(routerMAC, routerLL, 1800, 0, o))
		w.pass(2 * time.Second)
	}
	if got := h.st.GetRouteTable(); len(got) != len(before) {
		t.Errorf("routes: %v", got)
	}
	if l := advertisedOf(h); len(l.Addrs) != 1 || l.Domains != nil {
		t.Errorf("advertised: %+v", l)
	}
}

// TestAdvertisementsOfNoInterest: without SLAAC a router says nothing to us.
func TestAdvertisementsOfNoInterest(t *testing.T) {
	w := newWorld(t, 1)
	r := w.serveRA(prefixInfo(subnet6, 0xc0, 7200, 3600))
	h := w.open(Config{}, Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("fd01::2/64")}})
	w.until("the address is checked", time.Minute, w.isReady)
	routes := len(h.st.GetRouteTable())
	r.advertise()
	w.pass(time.Minute)
	if list, _ := h.Leases(); len(list) != 0 || len(h.st.GetRouteTable()) != routes || r.asked != 0 {
		t.Errorf("leases %+v, %d solicitations, routes %v", list, r.asked, h.st.GetRouteTable())
	}
}

// TestAddressesOfOthers: addresses that the host makes are replaced when they are
// somebody else's, some times; then Ready fails, and says it.
func TestAddressesOfOthers(t *testing.T) {
	w := newWorld(t, 1)
	r := w.serveRA(prefixInfo(subnet6, 0xc0, 7200, 3600))
	seen := map[netip.Addr]bool{}
	r.used = func(a netip.Addr) bool {
		if len(seen) < 3 || seen[a] {
			seen[a] = true
			return true
		}
		return false
	}
	h := w.open(Config{}, Interface{SLAAC: true})
	w.until("free addresses", time.Minute, w.isReady)
	if l := advertisedOf(h); len(l.Addrs) != 1 || seen[l.Addrs[0].Addr()] || len(seen) != 3 {
		t.Errorf("the host uses %v, used are %v", l.Addrs, seen)
	}

	for what, used := range map[string]func(netip.Addr) bool{
		"all link-local ones": func(a netip.Addr) bool { return a.IsLinkLocalUnicast() && a != routerLL },
		"all global ones":     func(a netip.Addr) bool { return !a.IsLinkLocalUnicast() },
	} {
		w := newWorld(t, 1)
		w.serveRA(prefixInfo(subnet6, 0xc0, 7200, 3600)).used = used
		h := w.open(Config{}, Interface{SLAAC: true})
		w.until("the end", time.Minute, func() bool {
			select {
			case <-h.readiness.done:
				return true
			default:
				return false
			}
		})
		if err := h.Ready(t.Context()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "in use by 02:00:00:00:00:ee") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestCloseBesideStats: while a host forgets all that it was told, others look at
// it.
func TestCloseBesideStats(t *testing.T) {
	w := newWorld(t, 1)
	w.serveRA(prefixInfo(subnet6, 0xc0, 7200, 3600), rdnss(600, "fd77::53"))
	w.serveDHCP(time.Hour)
	h := w.open(Config{}, Interface{SLAAC: true, DHCP: true})
	w.until("all is there", time.Minute, w.isReady)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				h.Stats()
				h.Leases()
			}
		}
	}()
	h.Close()
	close(stop)
	<-stopped
	if l, _ := h.Leases(); len(l) != 0 {
		t.Errorf("leases of a closed host: %+v", l)
	}
}
