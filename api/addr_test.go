package api_test

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// Literal addresses mean what they mean to package net.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"1.2.3.4:5", "[::1]:80", "[fe80::1%eth0]:80", "[::ffff:1.2.3.4]:1", ":80", "1.2.3.4", "[1.2.3.4]:0", "1.2.3.4:+1", "::1:80", "[::1]"} {
		f.Add("tcp", s)
		f.Add("tcp4", s)
		f.Add("udp6", s)
	}
	f.Fuzz(func(t *testing.T, network, address string) {
		l := api.New(&stub{}, api.Config{Strict: true})
		defer l.Exit()
		c, err := l.Net().Dial(network, address)
		var got netip.AddrPort
		if err == nil {
			got = addrPort(c.RemoteAddr())
			c.Close()
		}
		host, port, splitErr := net.SplitHostPort(address)
		ip, ipErr := netip.ParseAddr(host)
		_, portErr := strconv.ParseUint(port, 10, 16)
		literal := splitErr == nil && ipErr == nil && portErr == nil && !ip.IsUnspecified()
		if nw, ok := api.ParseNetwork(network); !literal || !ok || strings.HasPrefix(nw.String(), "icmp") {
			return // anything but a panic
		}
		var want netip.AddrPort
		var wantErr error
		if strings.HasPrefix(network, "tcp") {
			a, err := net.ResolveTCPAddr(network, address)
			want, wantErr = a.AddrPort(), err
		} else {
			a, err := net.ResolveUDPAddr(network, address)
			want, wantErr = a.AddrPort(), err
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Dial(%q, %q): %v, package net says %v", network, address, err, wantErr)
		}
		if wantErr == nil && unmapped(want) != got {
			t.Fatalf("%q is %v, package net says %v", address, got, want)
		}
	})
}
