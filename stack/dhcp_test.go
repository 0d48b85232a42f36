package stack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"gvisor.dev/gvisor/pkg/tcpip"
)

var leased = netip.MustParseAddr("10.0.0.50")

// hasRoute reports whether packets to a prefix go over a router.
func (h *Host) hasRoute(to, via string) bool {
	var gateway tcpip.Address
	if via != "" {
		gateway = address(netip.MustParseAddr(via))
	}
	return slices.ContainsFunc(h.st.GetRouteTable(), func(r tcpip.Route) bool {
		return r.Destination.Equal(subnet(netip.MustParsePrefix(to))) && r.NIC == loNIC+1 && r.Gateway == gateway
	})
}

// TestDHCP: an address comes, can be used, is kept for a day, and is given back.
func TestDHCP(t *testing.T) { forEachSettler(t, testDHCP) }

func testDHCP(t *testing.T, cfg Config) {
	w := newWorld(t, 1)
	d := w.serveDHCP(time.Hour)
	d.extra = []dhcpv4.Option{
		dhcpv4.OptDNS(net.IP{10, 0, 0, 2}, net.IP{10, 0, 0, 3}), dhcpv4.OptDomainName("lan.example"),
		dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{4, 0xb0}),
	}
	start := w.now
	cfg.Name = "box"
	h := w.open(cfg, Interface{DHCP: true})
	if l, _ := h.Leases(); len(l) != 0 {
		t.Errorf("leases before the first turn: %+v", l)
	}
	_, changed := h.Leases()
	if took := w.until("a lease", time.Minute, w.isReady); took != time.Second {
		t.Errorf("the lease took %v; the check for other users takes a second, and nothing else any time", took)
	}
	select {
	case <-changed:
	default:
		t.Error("the channel of Leases is not closed")
	}
	l, _ := h.Leases()
	want := Lease{
		Interface: "eth0", Server: d.ip, Addrs: []netip.Prefix{netip.PrefixFrom(leased, 24)}, Routers: []netip.Addr{d.ip},
		DNS: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}, Domains: []string{"lan.example"}, MTU: 1200,
		Obtained: start, Renews: start.Add(30 * time.Minute), Expires: start.Add(time.Hour),
	}
	if len(l) != 1 || !reflect.DeepEqual(l[0], want) {
		t.Errorf("leases:\n%+v, want\n%+v", l, want)
	}
	s := h.Stats().Interfaces[0]
	if !slices.Equal(s.Addrs, want.Addrs) || s.MTU != 1200 || s.DHCP.State != "bound" || s.DHCP.Received["ack"] != 1 {
		t.Errorf("statistics: %+v, %+v", s, s.DHCP)
	}
	if !d.answers(leased) || !h.hasRoute("10.0.0.0/24", "") || !h.hasRoute("0.0.0.0/0", "10.0.0.1") {
		t.Errorf("the address answers: %v; routes %v", d.answers(leased), h.st.GetRouteTable())
	}
	if name := d.heard[0].HostName(); name != "box" {
		t.Errorf("the host calls itself %q", name)
	}
	for _, m := range d.heard {
		if m.from != netip.IPv4Unspecified() || m.frame != hal.Broadcast || !m.IsBroadcast() {
			t.Errorf("the host asked by %+v", m)
		}
	}
	if got := d.kinds(); !slices.Equal(got, []dhcpv4.MessageType{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest}) {
		t.Errorf("the server heard %v", got)
	}

	w.pass(24 * time.Hour)
	if n := len(d.heard); n < 48 || n > 53 {
		t.Errorf("in a day the server heard %d requests", n)
	}
	for _, m := range d.heard { // by a socket, to the server alone
		if m.MessageType() != dhcpv4.MessageTypeRequest || m.from != leased || m.to != d.ip || m.frame != d.mac {
			t.Errorf("renewal: %+v", m)
		}
	}
	if l, _ := h.Leases(); !w.isReady() || len(l) != 1 || l[0].Addrs[0].Addr() != leased || l[0].Expires.Before(w.now) {
		t.Errorf("after a day: %+v", l)
	}

	d.heard = nil
	_, changed = h.Leases()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	if len(d.heard) != 1 || d.heard[0].MessageType() != dhcpv4.MessageTypeRelease || d.heard[0].from != leased || d.heard[0].to != d.ip || d.heard[0].frame != d.mac {
		t.Errorf("at the end the server heard %+v", d.heard)
	}
	<-changed
	if l, _ := h.Leases(); len(l) != 0 {
		t.Errorf("leases of a closed host: %+v", l)
	}
}

// TestDHCPOverBadLinks: frames are lost in both directions. All hosts get a lease,
// soon, and keep it but for rare times.
func TestDHCPOverBadLinks(t *testing.T) {
	seeds, hours := uint64(20), 2
	if testenv.Long() {
		seeds, hours = 300, 12
	}
	for _, c := range []struct {
		loss    float64
		slowest time.Duration // first lease, of all seeds
		lost    float64       // leases, in a hundred hours
	}{
		{0.02, 2 * time.Minute, 0},
		{0.20, 10 * time.Minute, 1},
	} {
		lost := 0
		var slowest time.Duration
		for seed := range seeds {
			w := newWorld(t, seed)
			w.loss = c.loss
			d := w.serveDHCP(10 * time.Minute)
			h := w.open(Config{}, Interface{DHCP: true})
			slowest = max(slowest, w.until("a lease", time.Hour, w.isReady))
			had := true
			for end := w.now.Add(time.Duration(hours) * time.Hour); w.step(end); {
				l, _ := h.Leases()
				if has := len(l) == 1; has != had {
					had = has
					if !has {
						lost++
					}
				}
				if addrs := h.interfaces[0].prefixes(); had && (len(addrs) != 1 || l[0].Expires.Before(w.now)) {
					t.Fatalf("seed %d: addresses %v, leases %+v", seed, addrs, l)
				}
			}
			if len(d.given) != 1 {
				t.Errorf("seed %d: one client was given %v", seed, d.given)
			}
			h.Close()
		}
		all := hours * int(seeds)
		t.Logf("loss %v: the slowest first lease took %v, %d leases were lost in %d hours", c.loss, slowest, lost, all)
		if slowest > c.slowest || float64(lost) > c.lost*float64(all)/100 {
			t.Error("that is too much")
		}
	}
}

// TestReadySaysWhatIsMissing: whoever waits in vain learns why.
func TestReadySaysWhatIsMissing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		prepare func(d *dhcpd)
		i       Interface
		after   time.Duration
		want    string
	}{
		"silence":   {func(d *dhcpd) { d.silent = true }, Interface{DHCP: true}, 20 * time.Second, "eth0: no DHCP server has answered (3 requests): context canceled"},
		"refusal":   {func(d *dhcpd) { d.refuse = true }, Interface{DHCP: true}, 0, "eth0: DHCP server 10.0.0.1 refused 10.0.0.50: context canceled"},
		"checking":  {func(*dhcpd) {}, Interface{DHCP: true}, 0, "eth0: address 10.0.0.50 is being checked for other users: context canceled"},
		"conflict":  {func(d *dhcpd) { d.used = []netip.Addr{leased} }, Interface{DHCP: true}, 0, "eth0: address 10.0.0.50 of DHCP server 10.0.0.1 is used by another station: context canceled"},
		"nonsense":  {func(d *dhcpd) { d.extra = []dhcpv4.Option{dhcpv4.OptSubnetMask(net.IPMask{1, 2, 3, 4})} }, Interface{DHCP: true}, 0, "eth0: the offer of DHCP server 10.0.0.1 cannot be used: the network mask is 01 02 03 04: context canceled"},
		"no router": {func(*dhcpd) {}, Interface{SLAAC: true}, 20 * time.Second, "eth0: no router has advertised a prefix: context canceled"},
		"both": {func(*dhcpd) {}, Interface{SLAAC: true, Addrs: []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}}, 0,
			"eth0: address fd00::1 is being checked for other users; eth0: the link-local address is being checked for other users; eth0: no router has advertised a prefix: context canceled"},
	} {
		w := newWorld(t, 1)
		c.prepare(w.serveDHCP(time.Hour))
		h := w.open(Config{}, c.i)
		w.pass(c.after)
		err := h.Ready(ctx)
		if !errors.Is(err, context.Canceled) || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		h.Close()
		if err := h.Ready(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: on a closed host: %v", name, err)
		}
	}
}

// TestDHCPRefusal: a server refuses to renew. The address is no longer used, and
// another comes.
func TestDHCPRefusal(t *testing.T) {
	w := newWorld(t, 1)
	d := w.serveDHCP(time.Hour)
	h := w.open(Config{}, Interface{DHCP: true})
	w.until("a lease", time.Minute, w.isReady)
	clear(d.given)
	w.until("another lease", time.Hour, func() bool {
		l, _ := h.Leases()
		return len(l) == 1 && l[0].Addrs[0].Addr() != leased
	})
	if d.answers(leased) || !d.answers(leased.Next()) {
		t.Errorf("the old address answers: %v, the new one: %v", d.answers(leased), d.answers(leased.Next()))
	}
	if s := h.Stats().Interfaces[0]; s.DHCP.Received["nak"] != 1 || len(s.Addrs) != 1 {
		t.Errorf("statistics: %+v", s)
	}
}

// TestDHCPExpiry: the server is gone. The lease is used until it is over, and not
// a moment longer; when the server is back, so is the address.
func TestDHCPExpiry(t *testing.T) {
	w := newWorld(t, 1)
	d := w.serveDHCP(time.Hour)
	d.extra = []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{4, 0xb0})}
	h := w.open(Config{}, Interface{DHCP: true})
	start := w.now
	w.until("a lease", time.Minute, w.isReady)
	d.silent, d.heard = true, nil
	w.pass(start.Add(time.Hour).Add(-1).Sub(w.now))
	if !d.answers(leased) {
		t.Error("the address does not answer to the end")
	}
	renewals, rebindings := 0, 0
	for _, m := range d.heard {
		if m.to == d.ip {
			renewals++
		} else if m.from == leased && m.frame == hal.Broadcast {
			rebindings++
		}
	}
	// The renewals are not even heard: the server's link address is asked for.
	if rebindings < 3 || renewals+rebindings != len(d.heard) {
		t.Errorf("the server heard %d renewals and %d broadcasts: %+v", renewals, rebindings, d.heard)
	}
	_, changed := h.Leases()
	w.pass(1)
	<-changed
	if l, _ := h.Leases(); len(l) != 0 || d.answers(leased) || h.hasRoute("0.0.0.0/0", "10.0.0.1") || h.hasRoute("10.0.0.0/24", "") {
		t.Errorf("an hour later: leases %+v, the address answers: %v, routes %v", l, d.answers(leased), h.st.GetRouteTable())
	}
	if s := h.Stats().Interfaces[0]; s.MTU != 1500 || len(s.Addrs) != 0 || !strings.Contains(s.DHCP.Trouble, "expired") {
		t.Errorf("statistics: %+v, %+v", s, s.DHCP)
	}
	d.silent = false
	w.until("the lease is back", 2*time.Minute, func() bool { l, _ := h.Leases(); return len(l) == 1 })
	if !d.answers(leased) {
		t.Error("it is another address")
	}
}

// TestDHCPConflict: the address is another station's. It is never used.
func TestDHCPConflict(t *testing.T) {
	w := newWorld(t, 1)
	d := w.serveDHCP(time.Hour)
	d.used = []netip.Addr{leased}
	h := w.open(Config{}, Interface{DHCP: true})
	w.stations = append(w.stations, func(p []byte) {
		if p[12] == 8 && p[13] == 6 && netip.AddrFrom4([4]byte(p[28:32])) == leased {
			t.Errorf("the host claims the address of another station: % x", p)
		}
	})
	took := w.until("a lease", time.Minute, w.isReady)
	if l, _ := h.Leases(); l[0].Addrs[0].Addr() != leased.Next() || took < 11*time.Second {
		t.Errorf("after %v: %+v", took, l)
	}
	if got := d.kinds(); !slices.Equal(got, []dhcpv4.MessageType{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest}) {
		t.Errorf("the server heard %v", got)
	}
}

// told is a device that notes what it is told and what is sent, in order.
type told struct {
	hal.Device
	events []string
	last   hal.Local
}

func (d *told) Unwrap() hal.Device { return d.Device }
func (d *told) SetLocal(l hal.Local) error {
	for _, a := range l.Addrs {
		if !slices.Contains(d.last.Addrs, a) {
			d.events = append(d.events, "+"+a.String())
		}
	}
	for _, a := range d.last.Addrs {
		if !slices.Contains(l.Addrs, a) {
			d.events = append(d.events, "-"+a.String())
		}
	}
	if l.DHCP != d.last.DHCP {
		d.events = append(d.events, map[bool]string{true: "open", false: "closed"}[l.DHCP])
	}
	d.last = l
	return nil
}

// TestDHCPSteers: a shared device knows before anything is sent that the answer,
// and later the address, is ours; and it is open for answers only while one is
// awaited: the kernel may have a client of its own.
func TestDHCPSteers(t *testing.T) {
	w := newWorld(t, 1)
	d := w.serveDHCP(time.Hour)
	dev := &told{Device: w.dev}
	w.stations = append(w.stations, func(p []byte) {
		what := "frame"
		switch {
		case p[12] == 8 && p[13] == 6:
			what = "arp"
		case p[12] == 8 && p[13] == 0:
			what = "dhcp"
		}
		dev.events = append(dev.events, what)
	})
	h := w.open(Config{}, Interface{Device: dev, DHCP: true})
	w.until("a lease", time.Minute, w.isReady)
	want := []string{"open", "dhcp", "dhcp", "closed", "+10.0.0.50", "arp", "arp", "arp"}
	if !slices.Equal(dev.events, want) { // two probes and the announcement
		t.Errorf("the device saw %v, want %v", dev.events, want)
	}
	if !slices.Contains(dev.last.Groups, allSystems) {
		t.Errorf("groups: %v", dev.last.Groups)
	}
	dev.events = nil
	w.pass(35 * time.Minute)
	if want := []string{"open", "arp", "dhcp", "closed"}; !slices.Equal(dev.events, want) {
		t.Errorf("at the renewal the device saw %v, want %v", dev.events, want)
	}
	dev.events, d.refuse = nil, true
	w.until("the lease is lost", time.Hour, func() bool { l, _ := h.Leases(); return len(l) == 0 })
	if !slices.Contains(dev.events, "-10.0.0.50") {
		t.Errorf("at its loss the device saw %v", dev.events)
	}
}

// TestDHCPWhatServersSay: the MTU within reason, classless routes, and names that
// are none.
func TestDHCPWhatServersSay(t *testing.T) {
	for _, c := range []struct {
		mtu  []byte
		i    Interface
		want int
	}{
		{[]byte{4, 0xb0}, Interface{}, 1200},
		{[]byte{0, 68}, Interface{}, 1500},
		{[]byte{0x23, 0x28}, Interface{}, 1500},
		{[]byte{5, 0x78}, Interface{MTU: 1300}, 1300},
		{[]byte{4, 0xb0}, Interface{SLAAC: true}, 1500},
		{[]byte{5, 0x78}, Interface{SLAAC: true}, 1400},
	} {
		w := newWorld(t, 1)
		d := w.serveDHCP(time.Hour)
		d.extra = []dhcpv4.Option{
			dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, c.mtu), dhcpv4.OptDomainName("no name\n"),
			dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{24, 192, 0, 2, 10, 0, 0, 7, 32, 198, 51, 100, 1, 0, 0, 0, 0, 0, 198, 51, 100, 1}),
		}
		c.i.DHCP = true
		h := w.open(Config{}, c.i)
		w.until("a lease", time.Minute, func() bool { l, _ := h.Leases(); return len(l) > 0 })
		if got := h.Stats().Interfaces[0].MTU; got != c.want {
			t.Errorf("%v with %v: the MTU is %d, want %d", c.i, c.mtu, got, c.want)
		}
		l, _ := h.Leases()
		if l[0].Domains != nil || !slices.Equal(l[0].Routers, []netip.Addr{netip.MustParseAddr("198.51.100.1")}) {
			t.Errorf("lease: %+v", l[0])
		}
		if !h.hasRoute("192.0.2.0/24", "10.0.0.7") || !h.hasRoute("198.51.100.1/32", "") || !h.hasRoute("0.0.0.0/0", "198.51.100.1") ||
			h.hasRoute("0.0.0.0/0", "10.0.0.1") {
			t.Errorf("routes: %v", h.st.GetRouteTable())
		}
		h.Close()
	}
}

// TestConfiguredRoutesComeFirst: DHCP does not take traffic away from where the
// configuration sends it.
func TestConfiguredRoutesComeFirst(t *testing.T) {
	w := newWorld(t, 1)
	w.serveDHCP(time.Hour)
	all := netip.MustParsePrefix("0.0.0.0/0")
	h := w.open(Config{Routes: []Route{{To: all, Via: netip.MustParseAddr("10.9.0.1")}}},
		Interface{DHCP: true, Addrs: []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24")}})
	w.until("a lease", time.Minute, w.isReady)
	var via []tcpip.Address
	for _, r := range h.st.GetRouteTable() {
		if r.Destination.Equal(subnet(all)) {
			via = append(via, r.Gateway)
		}
	}
	if len(via) != 2 || addr(via[0]).String() != "10.9.0.1" || addr(via[1]).String() != "10.0.0.1" {
		t.Errorf("default routes over %v", via)
	}
}

// TestDHCPRepeats: the same seed, the same frames at the same times; another
// seed, others.
func TestDHCPRepeats(t *testing.T) {
	run := func(seed uint64) [32]byte {
		w := newWorld(t, seed)
		w.loss = 0.1
		w.serveDHCP(10 * time.Minute)
		sum := sha256.New()
		w.stations = append(w.stations, func(p []byte) { fmt.Fprintf(sum, "%v %x\n", w.now, p) })
		h := w.open(Config{}, Interface{DHCP: true, SLAAC: true})
		w.pass(3 * time.Hour)
		h.Close()
		return [32]byte(sum.Sum(nil))
	}
	first, again, other := run(1), run(1), run(2)
	if first != again {
		t.Error("two runs of a seed differ")
	}
	if first == other {
		t.Error("runs of different seeds do not differ")
	}
}

// TestConfiguredAndLeased: an address that is configured too stays when the lease
// is lost.
func TestConfiguredAndLeased(t *testing.T) {
	w := newWorld(t, 1)
	d := w.serveDHCP(time.Hour)
	h := w.open(Config{}, Interface{DHCP: true, Addrs: []netip.Prefix{netip.PrefixFrom(leased, 24)}})
	w.until("a lease", time.Minute, w.isReady)
	d.refuse = true
	w.until("the lease is lost", time.Hour, func() bool { l, _ := h.Leases(); return len(l) == 0 })
	if !d.answers(leased) {
		t.Error("the configured address is gone")
	}
}

func TestClientIDs(t *testing.T) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer da.Close()
	defer db.Close()
	id := func(host, name string, dev hal.Device) string {
		cfg := Config{Name: host, Interfaces: []Interface{{Name: name, Device: dev}}}
		return string(clientID(identifierSecret(cfg), name))
	}
	first := id("a", "eth0", da)
	if first != id("a", "eth0", da) {
		t.Error("a client has two identifiers")
	}
	mac := da.Info().MAC
	if len(first) != 23 || first[0] != 255 || strings.Contains(first, string(mac[:])) {
		t.Errorf("identifier % x", first)
	}
	for what, other := range map[string]string{
		"host": id("b", "eth0", da), "interface": id("a", "eth1", da), "link address": id("a", "eth0", db),
	} {
		if other == first {
			t.Errorf("another %s has the same identifier", what)
		}
	}
}

// TestDHCPInABubble: a host with its own goroutine, in the virtual time of
// testing/synctest.
func TestDHCPInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		d := w.serveDHCP(time.Hour)
		h, err := New(Config{Name: "box", Interfaces: []Interface{{Name: "eth0", Device: w.dev, DHCP: true}}})
		if err != nil {
			t.Fatal(err)
		}
		sleeper, err := hal.NewSleeper(w.far)
		if err != nil {
			t.Fatal(err)
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for sleeper.Wait(time.Time{}) == nil {
				for w.deliver() {
				}
			}
		}()
		start := time.Now()
		if err := h.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		l, _ := h.Leases() // they are there when Ready returns
		if took := time.Since(start); took != time.Second || len(l) != 1 || !h.hasRoute("0.0.0.0/0", "10.0.0.1") {
			t.Errorf("ready after %v with %+v", took, l)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		l, _ = h.Leases()
		if len(l) != 1 || !l[0].Expires.After(time.Now()) || l[0].Addrs[0].Addr() != leased {
			t.Errorf("after a day: %+v", l)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := len(d.heard); n < 50 || d.heard[n-1].MessageType() != dhcpv4.MessageTypeRelease {
			t.Errorf("the server heard %d messages", n)
		}
		sleeper.Close()
		<-stopped
	})
}

// TestSocketOnALeasedAddress: what was bound to the wildcard is reached at the
// address that came later.
func TestSocketOnALeasedAddress(t *testing.T) {
	w := newWorld(t, 1)
	d := w.serveDHCP(time.Hour)
	h := w.open(Config{}, Interface{DHCP: true})
	server := listen(t, h, api.UDP4, "0.0.0.0:7")
	w.until("a lease", time.Minute, w.isReady)
	w.send(ether(w.mac(), d.mac, 0x0800, udp4(netip.MustParseAddrPort("10.0.0.1:5"), netip.AddrPortFrom(leased, 7), []byte("hello"))))
	w.settle()
	buf := make([]byte, 10)
	if r := ok(t, h, api.Request{Kind: api.KindRead, Sock: server, Bufs: [][]byte{buf}}); string(buf[:r.N]) != "hello" {
		t.Errorf("read %q", buf[:r.N])
	}
}
