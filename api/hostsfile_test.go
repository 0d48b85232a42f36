package api_test

import (
	"bufio"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ringtail-net/ringtail/api"
)

func addrs(texts ...string) (as []netip.Addr) {
	for _, t := range texts {
		as = append(as, netip.MustParseAddr(t))
	}
	return as
}

func TestParseHosts(t *testing.T) {
	const file = `# all of it is comment
127.0.0.1	localhost

10.0.0.1  Web.Test web # and an alias
fd00::1   web.test. web.test
::ffff:10.0.0.1 web
fe80::1%eth0 router
`
	got, err := api.ParseHosts(strings.NewReader(file + "10.0.0.3 last"))
	want := map[string][]netip.Addr{
		"localhost": addrs("127.0.0.1"),
		"web.test":  addrs("10.0.0.1", "fd00::1"),
		"web":       addrs("10.0.0.1"),
		"router":    addrs("fe80::1%eth0"),
		"last":      addrs("10.0.0.3"),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
	for text, want := range map[string]string{
		"10.0.0.1 a\n\nweb 10.0.0.1\n":             `hosts, line 3: "web" is no address`,
		"10.0.0.1 .":                               "hosts, line 1: a name is empty",
		"# x\n10.0.0.1 # web":                      "hosts, line 2: 10.0.0.1 has no name: write it behind the address",
		"\n10.0.0.1 " + strings.Repeat("a", 1<<17): "hosts, line 2: " + bufio.ErrTooLong.Error(),
	} {
		if got, err := api.ParseHosts(strings.NewReader(text)); err == nil || err.Error() != want || got != nil {
			t.Errorf("%.20q: got %v, %v, want %s", text, got, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := api.ParseHosts(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// What was read can be read again, and is found under every name.
func FuzzParseHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost\n::1 localhost ip6-localhost # yes\n")
	f.Add("fe80::1%lo0 A a. a\n\n#")
	f.Fuzz(func(t *testing.T, text string) {
		hosts, err := api.ParseHosts(strings.NewReader(text))
		if err != nil {
			return
		}
		l := api.New(&stub{}, api.Config{Strict: true, Names: api.Names{Hosts: hosts}})
		defer l.Exit()
		if got := l.Net().Names().Hosts; !reflect.DeepEqual(got, hosts) {
			t.Fatalf("kept as %v, read as %v", got, hosts)
		}
		var again strings.Builder
		for name, as := range hosts {
			for _, a := range as {
				again.WriteString(a.String() + " " + name + "\n")
			}
		}
		if got, err := api.ParseHosts(strings.NewReader(again.String())); err != nil || !reflect.DeepEqual(got, hosts) {
			t.Fatalf("%q is read as %v, %v, was %v", again.String(), got, err, hosts)
		}
	})
}
