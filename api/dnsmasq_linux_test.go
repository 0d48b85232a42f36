package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/tap"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/stack"
)

// TestDnsmasq asks a server that nobody here wrote, over a TAP.
func TestDnsmasq(t *testing.T) {
	t.Parallel()
	err := netlab.Available()
	if _, missing := exec.LookPath("dnsmasq"); missing != nil {
		err = errors.Join(err, fmt.Errorf("%w (install dnsmasq-base)", missing))
	}
	testenv.Need(t, "tap", err)
	ns := netlab.New(t).Namespace("dns")
	h := must1(stack.New(stack.Config{Interfaces: []stack.Interface{{
		Device: must1(hal.Open("tap:rtdns?host=10.53.0.1/24&host=fd53::1/64&netns=" + ns.Path())),
		Addrs:  []netip.Prefix{netip.MustParsePrefix("10.53.0.2/24"), netip.MustParsePrefix("fd53::2/64")},
	}}}))
	lib := api.New(h, api.Config{Strict: true})
	t.Cleanup(func() { lib.Exit() })
	must(h.Ready(t.Context()))
	var long []string
	for i := range 8 {
		long = append(long, fmt.Sprintf("%0200d", i))
	}
	startDnsmasq(t, ns, "--bind-interfaces", "--listen-address=10.53.0.1", "--listen-address=fd53::1",
		"--host-record=www.test,10.53.0.9,fd53::9", "--host-record=four.test,10.53.0.8",
		"--cname=alias.test,www.test", "--cname=alias2.test,alias.test",
		"--txt-record=long.test,"+strings.Join(long, ","),
		"--mx-host=test,mail.test,10", "--srv-host=_sip._tcp.test,www.test,5060")

	for _, server := range []string{"10.53.0.1:53", "[fd53::1]:53"} {
		k := api.Names{Servers: []netip.AddrPort{netip.MustParseAddrPort(server)}, Timeout: time.Minute} // the machine may be busy
		lib.Net().SetNames(k)
		for _, c := range []struct{ network, name, want string }{
			{"udp4", "www.test", "10.53.0.9"},
			{"udp6", "www.test", "fd53::9"},
			{"udp", "four.test", "10.53.0.8"},
			{"udp4", "alias2.test", "10.53.0.9"},
			{"udp6", "alias2.test", "fd53::9"},
		} {
			if got, err := addressOf(lib.Net(), c.network, c.name); got != c.want {
				t.Errorf("%s of %s: %s, %v, want %s", c.network, c.name, got, err, c.want)
			}
		}
		for _, c := range []struct{ network, name string }{{"udp", "nobody.test"}, {"udp6", "four.test"}, {"udp", "long.test"}} {
			var dns *net.DNSError
			if got, err := addressOf(lib.Net(), c.network, c.name); !errors.As(err, &dns) || !dns.IsNotFound || dns.Server != server {
				t.Errorf("%s of %s: %s, %v", c.network, c.name, got, err)
			}
		}
	}

	r := lib.Net().Resolver()
	before := passiveOpens(ns)
	texts, err := r.LookupTXT(t.Context(), "long.test.") // too long for a datagram
	if want := strings.Join(long, ""); err != nil || !slices.Equal(texts, []string{want}) {
		t.Errorf("LookupTXT: %d texts, %v", len(texts), err)
	}
	if n := passiveOpens(ns) - before; n == 0 {
		t.Error("LookupTXT: dnsmasq has accepted no connection")
	}
	if names, err := r.LookupAddr(t.Context(), "10.53.0.9"); err != nil || !slices.Equal(names, []string{"www.test."}) {
		t.Errorf("LookupAddr: %q, %v", names, err)
	}
	if mx, err := r.LookupMX(t.Context(), "test."); err != nil || len(mx) != 1 || mx[0].Host != "mail.test." {
		t.Errorf("LookupMX: %v, %v", mx, err)
	}
	if _, srv, err := r.LookupSRV(t.Context(), "sip", "tcp", "test."); err != nil || len(srv) != 1 || srv[0].Port != 5060 {
		t.Errorf("LookupSRV: %v, %v", srv, err)
	}
	if name, err := r.LookupCNAME(t.Context(), "alias.test."); err != nil || name != "www.test." {
		t.Errorf("LookupCNAME: %s, %v", name, err)
	}
}

// startDnsmasq starts a server that knows what it is told here and nothing else,
// and waits until it is there. It ends with the test.
func startDnsmasq(t *testing.T, ns *netlab.Namespace, args ...string) {
	cmd := ns.Command("dnsmasq", append([]string{"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
		"--user=root", "--pid-file=", "--log-facility=-", "--local=/test/"}, args...)...)
	log := must1(cmd.StderrPipe())
	must(cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var lines []string
	for in := bufio.NewScanner(log); in.Scan(); {
		if lines = append(lines, in.Text()); strings.Contains(in.Text(), ": started") {
			return
		}
	}
	t.Fatalf("dnsmasq has not started:\n%s", strings.Join(lines, "\n"))
}

// passiveOpens returns how many TCP connections the kernel has accepted in ns.
func passiveOpens(ns *netlab.Namespace) (n int) {
	for line := range strings.Lines(ns.Run("cat", "/proc/net/snmp")) {
		if fields := strings.Fields(line); fields[0] == "Tcp:" && fields[1] != "RtoAlgorithm" {
			n = must1(strconv.Atoi(fields[6]))
		}
	}
	return n
}
