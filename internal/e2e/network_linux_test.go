package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestEverythingFromTheNetwork: a host that is told nothing but its device gets its
// address and its name server from dnsmasq, and a kernel's client reaches a name
// through it.
func TestEverythingFromTheNetwork(t *testing.T) {
	t.Parallel()
	needs(t, "dnsmasq", "ping", "python3")
	s := tapWire.lab(t)
	s.background(s.ns.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
		"--pid-file=", "--log-facility="+filepath.Join(t.TempDir(), "log"), "--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"),
		"--interface="+s.iface, "--bind-dynamic", // the interface comes later
		"--dhcp-range=10.77.0.100,10.77.0.150,1h", "--domain=lab.test", "--host-record=web.lab.test,10.77.0.1"))
	s.run(nil, "proxy", "--addr", "dhcp", "--name", "guest", "--socks", "127.0.0.1:1080")
	sum := s.web("10.77.0.1", 8080, 1<<20)
	for _, name := range []string{"web.lab.test", "web"} { // the second in the domain that came with the lease
		got := s.sh("curl -sS --socks5-hostname 127.0.0.1:1080 http://" + name + ":8080/data | sha256sum")
		if !strings.HasPrefix(got, sum) {
			t.Errorf("%s: %s, want %s", name, got, sum)
		}
	}
	_, text, _ := strings.Cut(s.log.String(), "ready: ")
	address, _, _ := strings.Cut(text, "/")
	if !strings.HasPrefix(address, "10.77.0.1") || len(address) < len("10.77.0.100") {
		t.Fatalf("no address of the server's range: %s", s.log.String())
	}
	s.sh("ping -c 2 -i 0.2 -W 20 " + address)
}
