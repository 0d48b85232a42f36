package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/tap"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// The tests of this file have a server and a router that no one here wrote:
// dnsmasq, in a namespace, on a switch of the kernel's with TAPs.

// needs skips the test where a namespace or a program is missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	err := netlab.Available()
	for _, p := range programs {
		if _, missing := exec.LookPath(p); missing != nil {
			err = errors.Join(err, missing)
		}
	}
	testenv.Need(t, "tap", err)
}

// dnsmasq is a running one.
type dnsmasq struct {
	t      *testing.T
	log    string
	leases string
}

func startDNSMasq(t *testing.T, ns *netlab.Namespace, on string, args ...string) *dnsmasq {
	t.Helper()
	dir := t.TempDir()
	d := &dnsmasq{t, filepath.Join(dir, "log"), filepath.Join(dir, "leases")}
	cmd := ns.Command("dnsmasq", append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0", "--user=root", "--pid-file=",
		"--interface=" + on, "--bind-interfaces", "--no-ping", "--log-dhcp", "--log-facility=" + d.log, "--dhcp-leasefile=" + d.leases,
	}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() }) // it is killed when the test ends
	waitUntil(t, "dnsmasq starts", func() bool { return strings.Contains(read(d.log), "started") })
	return d
}

func read(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// messages returns what the server heard and said, one word each.
func (d *dnsmasq) messages() (list []string) {
	for _, m := range regexp.MustCompile(`DHCP[A-Z]{3,}\(`).FindAllString(read(d.log), -1) {
		list = append(list, m[len("DHCP"):len(m)-1])
	}
	return list
}

// openTAP opens a TAP whose kernel's end is in a namespace.
func openTAP(t *testing.T, ns *netlab.Namespace, spec string) hal.Device {
	t.Helper()
	sep := "?"
	if strings.Contains(spec, "?") {
		sep = "&"
	}
	dev, err := hal.Open("tap:" + spec + sep + "netns=" + ns.Name())
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// lease opens a host and waits until it is ready.
func (d *dnsmasq) lease(cfg Config) *Host {
	d.t.Helper()
	h, err := New(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { h.Close() })
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	if err := h.Ready(ctx); err != nil {
		d.t.Fatalf("%v\n%s", err, read(d.log))
	}
	return h
}

// TestDNSMasqLease: a lease, used by the kernel's clients, renewed, and released.
func TestDNSMasqLease(t *testing.T) {
	needs(t, "dnsmasq", "ping", "curl", "tshark")
	t.Parallel()
	ns := netlab.New(t).Namespace("a")
	path := filepath.Join(t.TempDir(), "all.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	addBridge(ns) // it stays when the host, and with it the TAP, is gone
	dev := wrap.Pcap(openTAP(t, ns, "rt0"), pcapng.NewWriter(file, "test"), wrap.PcapOptions{})
	ns.Run("ip", "link", "set", "rt0", "master", "br0", "up")
	// The shortest lease of dnsmasq is two minutes; it can be told to have its
	// clients renew much sooner.
	d := startDNSMasq(t, ns, "br0", "--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,2m", "--dhcp-option=option:T1,3",
		"--dhcp-option=option:router,10.77.0.1", "--dhcp-option=option:dns-server,10.77.0.1,10.77.0.3", "--domain=lan.example",
		"--dhcp-option=option:mtu,1400", "--dhcp-option=option:classless-static-route,192.0.2.0/24,10.77.0.7,0.0.0.0/0,10.77.0.1")
	h := d.lease(Config{Name: "box", Interfaces: []Interface{{Name: "eth0", Device: dev, DHCP: true}}})
	leases, changed := h.Leases()
	if len(leases) != 1 {
		t.Fatalf("leases: %+v", leases)
	}
	l := leases[0]
	addr := l.Addrs[0].Addr()
	if gw := netip.MustParseAddr("10.77.0.1"); l.Server != gw || l.Addrs[0].Bits() != 24 || !slices.Equal(l.Routers, []netip.Addr{gw}) ||
		!slices.Equal(l.DNS, []netip.Addr{gw, netip.MustParseAddr("10.77.0.3")}) || !slices.Equal(l.Domains, []string{"lan.example"}) ||
		l.MTU != 1400 || l.Expires.Sub(l.Obtained) != 2*time.Minute {
		t.Errorf("lease: %+v", l)
	}
	if !h.hasRoute("192.0.2.0/24", "10.77.0.7") || !h.hasRoute("0.0.0.0/0", "10.77.0.1") {
		t.Errorf("routes: %v", h.st.GetRouteTable())
	}
	ns.Run("ping", "-c", "1", "-W", "5", addr.String())
	served := serveHTTP(t, h)
	if got := ns.Run("curl", "-sS", "--max-time", "10", "http://"+addr.String()); got != "hello" {
		t.Errorf("curl: %q", got)
	}
	served()

	waitUntil(t, "dnsmasq notes the lease", func() bool { return strings.Contains(read(d.leases), fmt.Sprintf(" %v box ", addr)) })
	first := read(d.leases)
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatalf("the lease is not renewed\n%s", read(d.log))
	}
	if leases, _ = h.Leases(); len(leases) != 1 || leases[0].Addrs[0] != l.Addrs[0] || !leases[0].Expires.After(l.Expires) {
		t.Errorf("renewed: %+v", leases)
	}
	waitUntil(t, "dnsmasq notes a new time for the lease", func() bool { return read(d.leases) != first && read(d.leases) != "" })
	if got, want := d.messages(), []string{"DISCOVER", "OFFER", "REQUEST", "ACK", "REQUEST", "ACK"}; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("dnsmasq heard and said %v, want %v", got, want)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "dnsmasq forgets the lease", func() bool {
		return read(d.leases) == "" && strings.Contains(read(d.log), "DHCPRELEASE(br0) "+addr.String())
	})
	wireshark(t, path, dev.Info().MAC)
}

// serveHTTP says hello on port 80 until the returned function is called.
func serveHTTP(t *testing.T, h *Host) (stop func()) {
	t.Helper()
	lib := api.New(h, api.Config{})
	ln, err := lib.Net().Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) })}
	done := make(chan error)
	go func() { done <- srv.Serve(ln) }()
	return func() {
		srv.Close()
		<-done
	}
}

// wireshark has another decoder look at the DHCP messages that were sent.
func wireshark(t *testing.T, path string, mac hal.MAC) {
	t.Helper()
	out, err := exec.Command("tshark", "-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
		"-Y", "dhcp && eth.src == "+mac.String(), "-T", "fields", "-E", "separator=/s", "-e", "dhcp.option.dhcp",
		"-e", "ip.checksum.status", "-e", "udp.checksum.status", "-e", "dhcp.client_id.duid_type", "-e", "_ws.malformed", "-e", "dhcp.option.hostname").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Logf("tshark:\n%s", out)
	if len(lines) < 4 || !strings.HasPrefix(lines[0], "1 1 1") || !strings.HasPrefix(lines[1], "3 1 1") || !strings.HasPrefix(lines[len(lines)-1], "7 1 1") {
		t.Errorf("tshark reads types and the states of checksums:\n%s", out)
	}
}

// TestDNSMasqSameMAC: two hosts with the same link address are two clients. With
// identifiers made of it they would be one.
func TestDNSMasqSameMAC(t *testing.T) {
	needs(t, "dnsmasq")
	t.Parallel()
	ns := netlab.New(t).Namespace("a")
	addBridge(ns)
	d := startDNSMasq(t, ns, "br0", "--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,2m")
	seen := map[netip.Addr]bool{}
	for i, name := range []string{"one", "two"} {
		tap := fmt.Sprintf("rt%d", i)
		dev := openTAP(t, ns, tap+"?mac=02:00:00:00:00:77")
		ns.Run("ip", "link", "set", tap, "master", "br0", "up")
		h := d.lease(Config{Name: name, Interfaces: []Interface{{Name: "eth0", Device: dev, DHCP: true}}})
		l, _ := h.Leases()
		seen[l[0].Addrs[0].Addr()] = true
	}
	if len(seen) != 2 || strings.Count(read(d.leases), "02:00:00:00:00:77") != 2 {
		t.Errorf("two hosts have %v; dnsmasq's leases are\n%s", seen, read(d.leases))
	}
}

// TestDNSMasqConflict: the only address that the server has is the kernel's already.
// It answers a probe for it, and the address is declined.
func TestDNSMasqConflict(t *testing.T) {
	needs(t, "dnsmasq")
	t.Parallel()
	ns := netlab.New(t).Namespace("a")
	addBridge(ns)
	d := startDNSMasq(t, ns, "br0", "--dhcp-range=10.77.0.50,10.77.0.50,255.255.255.0,2m")
	ns.Run("ip", "address", "add", "10.77.0.50/24", "dev", "br0")
	dev := openTAP(t, ns, "rt0")
	ns.Run("ip", "link", "set", "rt0", "master", "br0", "up")
	h, err := New(Config{Name: "box", Interfaces: []Interface{{Name: "eth0", Device: dev, DHCP: true}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	waitUntil(t, "the address is declined", func() bool { return strings.Contains(read(d.log), "DHCPDECLINE(br0) 10.77.0.50") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Ready(ctx); err == nil || !strings.Contains(err.Error(), "10.77.0.50 of DHCP server 10.77.0.1 is used by another station") {
		t.Errorf("Ready: %v", err)
	}
	if l, _ := h.Leases(); len(l) != 0 {
		t.Errorf("leases: %+v", l)
	}
}

// addBridge makes a switch of the kernel's, with addresses.
func addBridge(ns *netlab.Namespace) {
	ns.Run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
	ns.Run("ip", "address", "add", "10.77.0.1/24", "dev", "br0")
	ns.Run("ip", "address", "add", "fd77::1/64", "dev", "br0", "nodad")
	ns.Run("ip", "link", "set", "br0", "up")
}

// TestDNSMasqAdvertises: an address by router advertisements, which the kernel
// can reach, and which is none of those that the kernel would give itself with the
// same link address.
func TestDNSMasqAdvertises(t *testing.T) {
	needs(t, "dnsmasq", "ping")
	t.Parallel()
	lab := netlab.New(t)
	ns, kernel := lab.Namespace("a"), lab.Namespace("b")
	addBridge(ns)
	d := startDNSMasq(t, ns, "br0", "--enable-ra", "--dhcp-range=fd77::,ra-only,64,10m",
		"--dhcp-option=option6:dns-server,[fd77::53]", "--dhcp-option=option6:domain-search,lan.example")
	const mac = "02:00:00:00:00:77"
	lab.Veth(netlab.Port{NS: ns, Name: "ve0"}, netlab.Port{NS: kernel, Name: "eth0", MAC: mac})
	theirs := map[string]bool{}
	for _, mode := range []string{"eui64", "stable_secret"} {
		kernel.Run("ip", "link", "set", "eth0", "down")
		if mode == "stable_secret" {
			kernel.Run("sysctl", "-qw", "net.ipv6.conf.eth0.stable_secret=2001:db8::1")
		}
		kernel.Run("ip", "link", "set", "eth0", "addrgenmode", mode)
		ns.Run("ip", "link", "set", "ve0", "master", "br0", "up")
		kernel.Run("ip", "link", "set", "eth0", "up")
		waitUntil(t, "the kernel has an address", func() bool {
			out := kernel.Run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "global", "-tentative")
			found := regexp.MustCompile(`fd77:[0-9a-f:]+`).FindString(out)
			theirs[found] = found != ""
			return found != ""
		})
	}
	delete(theirs, "")
	kernel.Run("ip", "link", "set", "eth0", "down") // two stations of one link address do not go together
	if eui := eui64(netip.MustParsePrefix("fd77::/64"), hal.MAC{2, 0, 0, 0, 0, 0x77}); len(theirs) != 2 || !theirs[eui.String()] {
		t.Errorf("the kernel gave itself %v", theirs)
	}

	dev := openTAP(t, ns, "rt0?mac="+mac)
	ns.Run("ip", "link", "set", "rt0", "master", "br0", "up")
	h := d.lease(Config{Name: "box", Interfaces: []Interface{{Name: "eth0", Device: dev, SLAAC: true}}})
	l := advertisedOf(h)
	if len(l.Addrs) != 1 || theirs[l.Addrs[0].Addr().String()] {
		t.Fatalf("the host gave itself %v, the kernel %v", l.Addrs, theirs)
	}
	if len(l.Routers) != 1 || !slices.Equal(l.DNS, []netip.Addr{netip.MustParseAddr("fd77::53")}) || !slices.Equal(l.Domains, []string{"lan.example"}) {
		t.Errorf("advertised: %+v", l)
	}
	ns.Run("ping", "-6", "-c", "1", "-W", "5", l.Addrs[0].Addr().String())
}

// TestDNSMasqOverload: a server that has more to say than fits in the field for options
// goes on in those for names, and all of it is heard.
func TestDNSMasqOverload(t *testing.T) {
	needs(t, "dnsmasq")
	t.Parallel()
	ns := netlab.New(t).Namespace("a")
	addBridge(ns)
	dev := openTAP(t, ns, "rt0")
	ns.Run("ip", "link", "set", "rt0", "master", "br0", "up")
	var list []string
	for i := range 27 {
		list = append(list, fmt.Sprintf("10.77.1.%d", i+1))
	}
	long := strings.Repeat("x", 110)
	d := startDNSMasq(t, ns, "br0", "--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,2m",
		"--dhcp-option-force=6,"+strings.Join(list, ","), "--dhcp-option-force=225,"+long, "--dhcp-option-force=226,"+long)
	h := d.lease(Config{Interfaces: []Interface{{Name: "eth0", Device: dev, DHCP: true}}})
	l, _ := h.Leases()
	if len(l) != 1 || len(l[0].DNS) != len(list) || l[0].DNS[26].String() != list[26] {
		t.Errorf("leases: %+v\n%s", l, read(d.log))
	}
	if !strings.Contains(read(d.log), "option: 52 option-overload") {
		t.Errorf("all of it fits in the field for options, so nothing is tested\n%s", read(d.log))
	}
}
