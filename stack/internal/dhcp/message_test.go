package dhcp

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestParseRefuses(t *testing.T) {
	good := message(offer)
	for name, damage := range map[string]func([]byte) []byte{
		"nothing":                func([]byte) []byte { return nil },
		"short":                  func(b []byte) []byte { return b[:239] },
		"no options":             func(b []byte) []byte { return append(b[:240], 255) },
		"operation 3":            func(b []byte) []byte { b[0] = 3; return b },
		"token ring":             func(b []byte) []byte { b[1] = 6; return b },
		"long link addresses":    func(b []byte) []byte { b[2] = 16; return b },
		"BOOTP":                  func(b []byte) []byte { b[atCookie] = 0; return b },
		"option without length":  func(b []byte) []byte { return append(b[:243], 12) },
		"option that is cut off": func(b []byte) []byte { return append(b[:243], 12, 9, 'x') },
		"no end":                 func(b []byte) []byte { return b[:243] },
		"long type":              func(b []byte) []byte { b[241] = 2; return b },
		"two types":              func(b []byte) []byte { return append(b[:243], 53, 1, 5, 255) },
		"overload of nothing":    func(b []byte) []byte { return append(b[:243], 52, 1, 4, 255) },
		"overload that is cut off": func(b []byte) []byte {
			b[atFile+126], b[atFile+127] = 12, 9
			return append(b[:243], 52, 1, 1, 255)
		},
	} {
		b := damage(good.ToBytes())
		if m, err := parse(b); err == nil {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// TestOptionsInPieces: long values, and options that go on in the name fields.
func TestOptionsInPieces(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 60)
	m := message(ack)
	set(m, dhcpv4.OptionMessage, long)
	set(m, dhcpv4.OptionHostName, nil)
	b := m.ToBytes()
	got, err := parse(b)
	if err != nil || !bytes.Equal(got.GetOneOption(dhcpv4.OptionMessage), long) || !got.Options.Has(dhcpv4.OptionHostName) {
		t.Errorf("%v, %+v", err, got)
	}

	m = message(ack)
	set(m, dhcpv4.OptionOptionOverload, []byte{3})
	set(m, dhcpv4.OptionDomainName, []byte("one."))
	b = m.ToBytes()
	copy(b[atFile:], []byte{15, 4, 't', 'w', 'o', '.', 0, 255, 99, 200})
	copy(b[atServer:], []byte{0, 15, 5, 't', 'h', 'r', 'e', 'e', 52, 1, 3})
	got, err = parse(b)
	if err != nil || domainOf(got) != "one.two.three" || len(got.Options) != 2 {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestTimesOfALease(t *testing.T) {
	for _, c := range []struct{ lease, t1, t2, want1, want2 uint32 }{
		{800, 0, 0, 400, 700},
		{800, 100, 200, 100, 200},
		{800, 300, 200, 200, 200}, // T1 behind T2
		{800, 200, 900, 200, 700}, // T2 behind the end
		{800, 900, 900, 400, 700},
		{800, 0, 200, 200, 200},
	} {
		r := newRig(t)
		r.tick()
		m := r.reply(offer)
		set(m, dhcpv4.OptionIPAddressLeaseTime, seconds(c.lease))
		if c.t1 > 0 {
			set(m, dhcpv4.OptionRenewTimeValue, seconds(c.t1))
		}
		if c.t2 > 0 {
			set(m, dhcpv4.OptionRebindingTimeValue, seconds(c.t2))
		}
		r.hear(m)
		l := r.c.Lease()
		if got1, got2 := l.Renew.Sub(start)/time.Second, l.Rebind.Sub(start)/time.Second; uint32(got1) != c.want1 || uint32(got2) != c.want2 {
			t.Errorf("%+v: T1 %d, T2 %d", c, got1, got2)
		}
	}
}

func TestRoutesOfALease(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	all := prefix("0.0.0.0/0")
	for name, c := range map[string]struct {
		classless []byte
		routes    []Route
		routers   []netip.Addr
	}{
		"routers only": {nil, []Route{{all, server1}}, []netip.Addr{server1}},
		"classless ones count alone": {
			[]byte{24, 192, 0, 2, 10, 0, 0, 7, 0, 10, 0, 0, 8},
			[]Route{{prefix("192.0.2.0/24"), addr("10.0.0.7")}, {all, addr("10.0.0.8")}}, []netip.Addr{addr("10.0.0.8")},
		},
		"a router off the prefix": {
			[]byte{32, 192, 0, 2, 1, 0, 0, 0, 0, 0, 192, 0, 2, 1},
			[]Route{{To: prefix("192.0.2.1/32")}, {all, addr("192.0.2.1")}}, []netip.Addr{addr("192.0.2.1")},
		},
		"host bits":       {[]byte{20, 10, 1, 255, 10, 0, 0, 7}, []Route{{prefix("10.1.240.0/20"), addr("10.0.0.7")}}, nil},
		"cut off":         {[]byte{24, 192, 0, 2, 10, 0, 0}, []Route{{all, server1}}, []netip.Addr{server1}},
		"too long prefix": {[]byte{33, 192, 0, 2, 1, 0, 10, 0, 0, 7}, []Route{{all, server1}}, []netip.Addr{server1}},
		"via a group":     {[]byte{0, 224, 0, 0, 1}, []Route{{all, server1}}, []netip.Addr{server1}},
	} {
		m := newRig(t).reply(ack)
		if c.classless != nil {
			set(m, dhcpv4.OptionClasslessStaticRoute, c.classless)
		}
		var l Lease
		if err := l.read(m, start); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(l.Routes, c.routes) || !reflect.DeepEqual(l.Routers, c.routers) {
			t.Errorf("%s: routes %v, routers %v", name, l.Routes, l.Routers)
		}
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct {
		addr string
		mask []byte
		want int
	}{
		{"10.0.0.1", nil, 8}, {"172.16.0.1", nil, 16}, {"192.168.0.1", nil, 24},
		{"10.0.0.1", []byte{255, 255, 255, 255}, 32}, {"10.0.0.1", []byte{255, 255, 254, 0}, 23}, {"10.0.0.1", []byte{128, 0, 0, 0}, 1},
		{"10.0.0.1", []byte{0, 0, 0, 0}, -1}, {"10.0.0.1", []byte{255, 255, 0, 1}, -1}, {"10.0.0.1", []byte{0, 0, 0, 255}, -1},
	} {
		m := message(ack)
		m.YourIPAddr = netip.MustParseAddr(c.addr).AsSlice()
		if c.mask != nil {
			set(m, dhcpv4.OptionSubnetMask, c.mask)
		}
		got, ok := maskOf(m)
		if ok != (c.want > 0) || ok && got != c.want {
			t.Errorf("%s with mask %v: %d, %v", c.addr, c.mask, got, ok)
		}
	}
}

func TestIsHostName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "box-1.example.org": true, "9": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "a-": false, "a..b": false, ".a": false, "a_b": false, "ä": false, "a\n": false,
		strings.Repeat("a", 64): false, strings.Repeat("a.", 127) + "a": false,
	} {
		if IsHostName(name) != want {
			t.Errorf("IsHostName(%q) is %v", name, !want)
		}
	}
}
