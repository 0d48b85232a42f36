package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAddressesBesideTheKernel: what a server and the kernel of its interface both have
// to hear, both hear: answers of DHCP that are sent to all, advertisements of routers
// and queries for neighbours. Each makes addresses of its own of them.
func TestAddressesBesideTheKernel(t *testing.T) {
	t.Parallel()
	w := wire{driver: "afxdp"}
	w.needs(t, "dnsmasq", "ping")
	s := w.lab(t)
	const noRouter = "4,0" // an advertisement every 4 s, and no default route
	s.background(s.ns.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
		"--pid-file=", "--log-facility="+filepath.Join(t.TempDir(), "log"), "--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"),
		"--interface=veth1", "--bind-dynamic", "--dhcp-range=10.77.0.100,10.77.0.150,1h",
		"--enable-ra", "--dhcp-range=::,constructor:veth1,ra-only", "--ra-param=veth1,"+noRouter))
	s.run(nil, "serve", "--addr", "dhcp", "--addr", "slaac")

	_, text, _ := strings.Cut(s.log.String(), "ready: ")
	line, _, _ := strings.Cut(text, "\n")
	var ours []string
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ' ' }) {
		if addr, _, ok := strings.Cut(word, "/"); ok {
			ours = append(ours, addr)
		}
	}
	if len(ours) != 2 || !strings.HasPrefix(ours[0], "10.77.0.1") || !strings.HasPrefix(ours[1], "fd77::") {
		t.Fatalf("ready with %q, want an address by DHCP and one of the router's prefix", line)
	}
	kernels := ""
	for range 300 { // the kernel may hear of the router with the next advertisement
		kernels = s.own.Run("bash", "-c", "ip -6 -o address show dev veth0 dynamic | grep -o 'fd77::[0-9a-f:]*' || sleep 0.05")
		if kernels != "" {
			break
		}
	}
	if kernels = strings.TrimSpace(kernels); kernels == "" || kernels == ours[1] {
		t.Fatalf("the kernel made address %q of the advertisements, and we %s: must be two", kernels, ours[1])
	}
	s.ns.Run("ip", "neigh", "flush", "dev", "veth1")
	for _, a := range append(ours, kernels, "10.77.0.3") {
		if out := s.sh("ping -c 3 -i 0.1 -W 20 " + a); !strings.Contains(out, " 0% packet loss") || strings.Contains(out, "DUP!") {
			t.Errorf("ping %s:\n%s", a, out)
		}
	}
}

// TestCommonAddress: by ports a server shares the kernel's own addresses. The kernel
// answers for them, and its other ports are its own.
func TestCommonAddress(t *testing.T) {
	t.Parallel()
	w := wire{driver: "afxdp", keys: "filter=tcp/80+tcp/11"}
	w.needs(t, "ping", "python3")
	s := w.lab(t)
	s.run(nil, "serve", "--addr", "10.77.0.3/24", "--addr", "fd77::3/64")
	s.background(s.own.Command("python3", "-m", "http.server", "--bind", "::", "--directory", t.TempDir(), "8000"))
	s.sh("until curl -gsS -o /dev/null 'http://[fd77::3]:8000/' 2>/dev/null; do sleep 0.02; done")
	path, sum := randomFile(t, 10_000_000)
	for _, a := range []string{"10.77.0.3", "[fd77::3]"} {
		s.ns.Run("ip", "neigh", "flush", "dev", "veth1")
		s.own.Run("ip", "neigh", "flush", "dev", "veth0")
		s.transfer("http://"+a, path, sum, 10_000_000)
		s.sh("curl -gsSf -o /dev/null http://" + a + ":8000/")
		if out := s.sh("ping -c 3 -i 0.1 -W 20 " + strings.Trim(a, "[]")); !strings.Contains(out, " 0% packet loss") || strings.Contains(out, "DUP!") {
			t.Errorf("ping %s:\n%s", a, out)
		}
	}
	// Ports that nobody listens on are refused at once, ours by us, the others by the
	// kernel (curl's 7; a timeout is 28).
	for _, port := range []string{"11", "8001"} {
		s.sh("curl -sS -m 20 http://10.77.0.3:" + port + "/ 2>/dev/null; test $? = 7")
	}
}
