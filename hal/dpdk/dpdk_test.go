package dpdk

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// planOf reads a spec as Open does.
func planOf(t *testing.T, spec string) (plan, error) {
	t.Helper()
	s, err := hal.ParseSpec(spec)
	if err != nil {
		return plan{}, err
	}
	c, err := fromSpec(s)
	if err != nil {
		return plan{}, err
	}
	return c.plan()
}

// What a spec says in our words becomes the line by which DPDK opens a device.
func TestDeviceArguments(t *testing.T) {
	for spec, want := range map[string]string{
		"dpdk:net_memif0?role=server&socket=/run/a.sock&id=3": "net_memif0,socket-abstract=no,id=3,role=server,socket=/run/a.sock",
		"dpdk:net_tap3?iface=rt0":                             "net_tap3,iface=rt0",
		"dpdk:net_af_packet0?iface=eth1&queues=2":             "net_af_packet0,qpairs=2,iface=eth1",
		"dpdk:net_af_xdp0?iface=eth1&queues=4":                "net_af_xdp0,queue_count=4,iface=eth1",
		"dpdk:net_virtio_user0?path=/run/v":                   "net_virtio_user0,server=0,queues=1,path=/run/v",
		"dpdk:net_vhost0?iface=/run/v":                        "net_vhost0,client=0,tso=1,queues=1,iface=/run/v",
		"dpdk:net_pcap0?rx_pcap=a.pcap&tx_pcap=b.pcap":        "net_pcap0,rx_pcap=a.pcap,tx_pcap=b.pcap",
		"dpdk:net_ring0":                                      "net_ring0",
		"dpdk:net_null0?args=size=1500,no-rx=1":               "net_null0,size=1500,no-rx=1",
		"dpdk:net_failsafe0?args=dev=x&args=mac=y":            "net_failsafe0,dev=x,mac=y",
		"dpdk:0000:01:00.0?mtu=9000":                          "0000:01:00.0",
	} {
		p, err := planOf(t, spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got := p.devargs(p.kind); got != want {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
		if p.card != strings.Contains(want, ":00.0") {
			t.Errorf("%s: card %v", spec, p.card)
		}
	}
}

// Mistakes are found before DPDK is started, and the error names what would do.
func TestBadSpecs(t *testing.T) {
	for spec, want := range map[string]string{
		"dpdk:":                                "net_memif0",
		"dpdk:eth1":                            "net_memif0",
		"dpdk:0000:1:0.0":                      "PCI address",
		"dpdk:net_memif0":                      "needs socket=",
		"dpdk:net_vhost0?path=/x":              "it takes iface",
		"dpdk:net_tap0?role=server":            "it takes iface, remote",
		"dpdk:net_memif0?socket=a,b":           "without commas",
		"dpdk:net_memif0?socket=/x&role=host":  "server, client",
		"dpdk:net_null0?pair=a":                "only net_ring",
		"dpdk:net_ring0?pair=a&queues=2":       "one queue",
		"dpdk:net_null0?wait=never":            "poll:50us",
		"dpdk:net_null0?wait=poll:1s":          "1ms",
		"dpdk:net_null0?huge=2":                "auto, on, off",
		"dpdk:net_null0?mac=01:00:00:00:00:00": "not the address of one station",
		"dpdk:net_null0?mbufs=10":              "from 2048",
	} {
		_, err := planOf(t, spec)
		if err == nil || !errors.Is(err, hal.ErrSpec) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an ErrSpec that says %q", spec, err, want)
		}
	}
}

// A server's socket is a file that a dead one may have left.
func TestWhoServes(t *testing.T) {
	for spec, want := range map[string]string{
		"dpdk:net_memif0?socket=/a&role=server": "/a",
		"dpdk:net_memif0?socket=/a":             "",
		"dpdk:net_memif0?socket=/a&role=client": "",
		"dpdk:net_vhost0?iface=/b":              "/b",
		"dpdk:net_virtio_user0?path=/b":         "",
		"dpdk:net_tap0?iface=rt0":               "",
	} {
		p, err := planOf(t, spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.kind.serves(p.Args); got != want {
			t.Errorf("%s serves %q, want %q", spec, got, want)
		}
	}
}

func TestArgumentsOfEAL(t *testing.T) {
	e := environment{lcores: floating([]int{0, 2, 3}), extra: []string{"--log-level", "8"}}
	got := strings.Join(e.arguments("p"), " ")
	if want := "ringtail --no-telemetry --file-prefix p --lcores 0@(0,2,3) --no-huge --no-shconf -m 512 --no-pci --log-level 8"; got != want {
		t.Errorf("without hugepages: %s\nwant %s", got, want)
	}
	e = environment{huge: true, pci: true, lcores: "1"}
	got = strings.Join(e.arguments("p"), " ")
	if want := "ringtail --no-telemetry --file-prefix p --lcores 1 --in-memory --single-file-segments"; got != want {
		t.Errorf("with hugepages: %s\nwant %s", got, want)
	}
	if args := (environment{extra: []string{"-m", "64"}}).arguments("p"); slices.Contains(args, "512") {
		t.Errorf("-m is given twice: %q", args)
	}
}

// Who asks for nothing takes the environment that there is.
func TestEnvironmentAdmits(t *testing.T) {
	e := environment{lcores: "0@(0,1)", extra: []string{"-m", "64"}}
	for spec, refused := range map[string]bool{
		"dpdk:net_null0":                      false,
		"dpdk:net_null0?huge=auto":            false,
		"dpdk:net_null0?huge=off":             false,
		"dpdk:net_null0?huge=on":              true,
		"dpdk:net_null0?lcores=0@(0,1)":       false,
		"dpdk:net_null0?lcores=1":             true,
		"dpdk:net_null0?eal=-m%2064":          false,
		"dpdk:net_null0?eal=-m&eal=64":        false,
		"dpdk:net_null0?eal=--no-such-option": true,
		"dpdk:0000:01:00.0":                   true,
	} {
		p, err := planOf(t, spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.admits(p); (err != nil) != refused {
			t.Errorf("%s: %v, want it refused: %v", spec, err, refused)
		}
	}
}

func TestParseWait(t *testing.T) {
	for text, want := range map[string]pace{"": defaultPace, "poll": defaultPace, "spin": -1, "poll:50us": pace(50 * time.Microsecond)} {
		if got, err := parseWait(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}

// Without DPDK the error says how to get it.
func TestProbeNamesTheRemedy(t *testing.T) {
	err := probe()
	if err == nil {
		return // it is there
	}
	_, openErr := hal.Open("dpdk:net_null0?huge=off")
	for _, e := range []error{err, openErr} {
		if !errors.Is(e, hal.ErrNotSupported) || !strings.Contains(e.Error(), "libdpdk-dev") && !strings.Contains(e.Error(), "Linux only") {
			t.Errorf("%v", e)
		}
	}
}

// A slot that is not on loan is not taken back.
func TestLedger(t *testing.T) {
	l := newLedger(2)
	a, b := l.lend(), l.lend()
	if a == b || l.out != 2 || len(l.free) != 0 {
		t.Fatalf("lent %d and %d: %+v", a, b, l)
	}
	l.back(uint64(a))
	for _, ref := range []uint64{uint64(a), 2, 1 << 40} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("slot %d is taken back", ref)
				}
			}()
			l.back(ref)
		}()
	}
	if got := l.lend(); got != a {
		t.Errorf("lent %d, want %d, which came back last", got, a)
	}
}
