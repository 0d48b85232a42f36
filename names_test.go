package ringtail

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// What was configured goes before what the network says.
func TestNamesWithLeases(t *testing.T) {
	lease := stack.Lease{DNS: []netip.Addr{netip.MustParseAddr("10.0.0.53")}, Domains: []string{"lan"}}
	told := api.Names{Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:0")}, Search: []string{"lan"}}
	own := api.Names{Servers: []netip.AddrPort{netip.MustParseAddrPort("10.9.9.9:53")}, Search: []string{"own"}}
	for name, test := range map[string]struct{ configured, want api.Names }{
		"nothing configured": {want: told},
		"servers":            {api.Names{Servers: own.Servers}, api.Names{Servers: own.Servers, Search: told.Search}},
		"both":               {own, own},
	} {
		if got := withLeases(test.configured, []stack.Lease{lease}); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// Names that the user has set stay when leases change.
func TestSetNamesStays(t *testing.T) {
	h, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l := &leasedNames{configured: h.Net().Names(), stored: h.Net().Names()}
	l.apply(h)
	own := api.Names{Servers: []netip.AddrPort{netip.MustParseAddrPort("10.9.9.9:53")}}
	h.Net().SetNames(own)
	l.apply(h)
	if got := h.Net().Names(); !reflect.DeepEqual(got, own) {
		t.Errorf("names are %+v, want those that were set", got)
	}
}

func TestBadNames(t *testing.T) {
	for _, names := range []api.Names{
		{Servers: make([]netip.AddrPort, 1)},
		{Search: []string{".."}}, {Search: []string{"a b"}}, {Search: []string{""}},
	} {
		if _, err := Open(Config{Names: names}); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", names, err)
		}
	}
}

func TestHostsFlag(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("10.0.0.7 web web.lab # comment\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var c Config
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	c.RegisterFlags(fs)
	if err := fs.Parse([]string{"--hosts", file}); err != nil {
		t.Fatal(err)
	}
	if got := c.Names.Hosts["web.lab"]; len(got) != 1 || got[0] != netip.MustParseAddr("10.0.0.7") {
		t.Errorf("hosts: %v", c.Names.Hosts)
	}
	if f := fs.Lookup("hosts"); f.Value.String() != file {
		t.Errorf("the flag says %q", f.Value)
	}
}
