package ringtail_test

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// env is an environment.
type env map[string]string

func (e env) lookup(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// A flag beats the environment, and that beats what the program says.
func TestFlagsAndEnvironment(t *testing.T) {
	for _, test := range []struct {
		name, prefix string
		program      ringtail.Config
		env          env
		args         string
		want         ringtail.Config
	}{
		{name: "nothing"},
		{
			name:    "the program",
			program: ringtail.Config{HAL: "loopback:x", Addrs: prefixes("10.0.0.1/24"), MTU: 1400, Acked: true},
			want:    ringtail.Config{HAL: "loopback:x", Addrs: prefixes("10.0.0.1/24"), MTU: 1400, Acked: true},
		},
		{
			name:    "addresses from the network",
			program: ringtail.Config{SLAAC: true},
			env:     env{"RINGTAIL_ADDR": "slaac, 10.0.0.2/24"},
			args:    "--addr dhcp --addr fd00::2/64",
			want:    ringtail.Config{DHCP: true, Addrs: prefixes("fd00::2/64")},
		},
		{
			name: "all flags",
			args: "--dns 10.0.0.3,[fd00::3]:5353 --search lab.example --hal loopback:x --name n --addr 10.0.0.1/24 --addr fd00::1/64 --gateway 10.0.0.2,fd00::2 --mtu 1400 " +
				"--max-conns 5 --max-conns-per-peer 4 --rack --faults drop=1% --seed 7 --pcap f --verbose",
			want: ringtail.Config{
				Names: api.Names{
					Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.3:53"), netip.MustParseAddrPort("[fd00::3]:5353")},
					Search:  []string{"lab.example"},
				},
				HAL: "loopback:x", Name: "n", Addrs: prefixes("10.0.0.1/24", "fd00::1/64"), Gateways: addrs("10.0.0.2", "fd00::2"), MTU: 1400,
				Limits: stack.Limits{Conns: 5, ConnsPerPeer: 4}, RACK: true, Faults: "drop=1%", Seed: 7, Pcap: "f", Verbose: true,
			},
		},
		{
			name:    "each beats the one before",
			program: ringtail.Config{HAL: "loopback:program", Name: "program", Addrs: prefixes("10.0.0.1/24"), MTU: 1401},
			env:     env{"RINGTAIL_HAL": "loopback:env", "RINGTAIL_ADDR": "10.0.0.2/24, fd00::2/64", "RINGTAIL_MTU": "1402", "RINGTAIL_MAX_CONNS": "2"},
			args:    "--hal loopback:flag --mtu 1403",
			want: ringtail.Config{
				HAL: "loopback:flag", Name: "program", Addrs: prefixes("10.0.0.2/24", "fd00::2/64"), MTU: 1403, Limits: stack.Limits{Conns: 2},
			},
		},
		{
			name:    "a list takes the place of its default",
			program: ringtail.Config{Addrs: prefixes("10.0.0.1/24")},
			env:     env{"RINGTAIL_ADDR": "10.0.0.2/24"},
			args:    "--addr 10.0.0.3/24 --addr 10.0.0.4/24",
			want:    ringtail.Config{Addrs: prefixes("10.0.0.3/24", "10.0.0.4/24")},
		},
		{
			name: "a prefix", prefix: "lan-",
			env:  env{"RINGTAIL_LAN_HAL": "loopback:lan", "RINGTAIL_HAL": "loopback:other"},
			args: "--lan-addr 10.0.0.1/24",
			want: ringtail.Config{HAL: "loopback:lan", Addrs: prefixes("10.0.0.1/24")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := test.program
			if err := cfg.FromEnvWithPrefix(test.prefix, test.env.lookup); err != nil {
				t.Fatal(err)
			}
			fs := flag.NewFlagSet("x", flag.ContinueOnError)
			cfg.RegisterFlagsWithPrefix(test.prefix, fs)
			if err := fs.Parse(strings.Fields(test.args)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(cfg, test.want) {
				t.Errorf("got  %+v\nwant %+v", cfg, test.want)
			}
		})
	}
}

// What is wrong names its flag or variable, and what was wanted.
func TestBadFlags(t *testing.T) {
	for _, test := range []struct{ flag, value, want string }{
		{"addr", "10.0.0.1", "want 10.77.0.2/24"},
		{"addr", "", "want 10.77.0.2/24"},
		{"addr", "10.0.0.1/24,x", "want 10.77.0.2/24"},
		{"gateway", "10.0.0.1/24", "want 10.77.0.1"},
		{"dns", "resolver.example", "want 10.77.0.1"},
		{"search", "", "want lab.example"},
		{"hosts", "no/such/file", "no such file"},
		{"hosts", "flags.go", "flags.go"},
		{"mtu", "many", "parse error"},
		{"verbose", "perhaps", "parse error"},
	} {
		var cfg ringtail.Config
		err := cfg.FromEnv(env{ringtail.EnvName(test.flag): test.value}.lookup)
		if test.value == "" && err != nil {
			t.Errorf("%s, empty in the environment: %v", test.flag, err)
		} else if test.value != "" && (!errors.Is(err, ringtail.ErrConfig) || !strings.Contains(err.Error(), ringtail.EnvName(test.flag)) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s=%q in the environment: %v", test.flag, test.value, err)
		}
		fs := flag.NewFlagSet("x", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		cfg.RegisterFlags(fs)
		err = fs.Parse([]string{"--" + test.flag + "=" + test.value})
		if err == nil || !strings.Contains(err.Error(), "-"+test.flag) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("--%s=%q: %v", test.flag, test.value, err)
		}
		if len(cfg.Addrs) > 0 {
			t.Errorf("--%s=%q left %v", test.flag, test.value, cfg.Addrs)
		}
	}
}

// The help shows what the environment says, and a service that logs by itself has
// its --verbose to itself.
func TestFlagsHelp(t *testing.T) {
	var cfg ringtail.Config
	if err := cfg.FromEnv(env{"RINGTAIL_HAL": "loopback:x", "RINGTAIL_ADDR": "10.0.0.1/24"}.lookup); err != nil {
		t.Fatal(err)
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	cfg.RegisterFlags(fs)
	fs.Bool("verbose", false, "the service's own")
	var help strings.Builder
	fs.SetOutput(&help)
	fs.PrintDefaults()
	for _, want := range []string{"-hal spec", `default "loopback:x"`, "-addr address", "default 10.0.0.1/24", "the service's own"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, help.String())
		}
	}
}
