package afxdp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

func TestSpec(t *testing.T) {
	for spec, want := range map[string]Config{
		"afxdp:eth1":            {Name: "eth1"},
		"afxdp:eth1?queues=all": {Name: "eth1"},
		"afxdp:eth1?queues=2&mode=native&copy=zero&wait=coalesce:100us&frames=4096&trust-checksum=off&filter=tcp/80%2Budp/53&netns=blue&force": {
			Name: "eth1", Queues: 2, Mode: "native", Copy: "zero", Wait: "coalesce:100us", Frames: 4096,
			TrustChecksum: "off", Filter: "tcp/80+udp/53", NetNS: "blue", Force: true,
		},
		"afxdp:eth1?filter=mac:02:00:00:00:00:07": {Name: "eth1", Filter: "mac:02:00:00:00:00:07"},
	} {
		s, err := hal.ParseSpec(spec)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fromSpec(s); got != want || got.check() != nil {
			t.Errorf("%s: %+v, %v, want %+v", spec, got, got.check(), want)
		}
	}
}

func TestBadSpec(t *testing.T) {
	for spec, want := range map[string]string{
		"afxdp:":                                  "the interface's name is missing",
		"afxdp:a-name-that-is-too-long":           "15",
		"afxdp:eth1?queues=0":                     "must be all, or a whole number",
		"afxdp:eth1?queues=many":                  "must be all, or a whole number",
		"afxdp:eth1?mode=fast":                    "auto, native, generic",
		"afxdp:eth1?copy=never":                   "auto, zero, copy",
		"afxdp:eth1?mode=generic&copy=zero":       "does not go with",
		"afxdp:eth1?wait=sometimes":               "coalesce:TIME",
		"afxdp:eth1?wait=spin:1ms":                "coalesce:TIME",
		"afxdp:eth1?wait=coalesce:1h":             "up to 10ms",
		"afxdp:eth1?wait=coalesce:":               "up to 10ms",
		"afxdp:eth1?frames=1000":                  "power of two",
		"afxdp:eth1?frames=128":                   "from 256",
		"afxdp:eth1?trust-checksum=maybe":         "auto, on, off",
		"afxdp:eth1?filter=mine":                  "local, all, mac:MAC, or ports",
		"afxdp:eth1?filter=tcp/0":                 "local, all, mac:MAC, or ports",
		"afxdp:eth1?filter=tcp/80+tcp/80":         "stands twice",
		"afxdp:eth1?filter=mac:ff:ff:ff:ff:ff:ff": "of one station",
		"afxdp:eth1?filter=mac:nobody":            "of one station",
		"afxdp:eth1?speed=high":                   "known: queues",
	} {
		dev, err := hal.Open(spec)
		if err == nil {
			dev.Close()
		}
		if !errors.Is(err, hal.ErrSpec) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", spec, err, want)
		}
	}
}

func TestWait(t *testing.T) {
	for text, want := range map[string]waiting{
		"": {how: "poll"}, "poll": {how: "poll"}, "spin": {how: "spin"}, "busy-poll": {how: "busy-poll"},
		"coalesce": {"coalesce", defaultDelay}, "coalesce:2ms": {"coalesce", 2 * time.Millisecond},
	} {
		if got, err := parseWait(text); got != want || err != nil {
			t.Errorf("wait=%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// FuzzFilter looks that what a filter says can be said again.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{"", "local", "all", "mac:02:00:00:00:00:01", "tcp/80", "tcp/80+udp/53", "mac:", "tcp/", "+"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFilter(text)
		if err != nil {
			return
		}
		if got.kind == byMAC && (got.mac.IsMulticast() || got.mac == hal.MAC{}) {
			t.Errorf("%q is a filter for %v", text, got.mac)
		}
		for _, p := range got.ports {
			if p.Number == 0 || p.Proto != protoTCP && p.Proto != protoUDP {
				t.Errorf("%q is a filter for %+v", text, p)
			}
		}
	})
}

func TestTables(t *testing.T) {
	f, err := parseFilter("tcp/80+udp/53")
	if err != nil {
		t.Fatal(err)
	}
	// Both the filter and SetLocal can name ports: then they must agree.
	tb := f.tables(hal.Local{Addrs: mine.Addrs, Ports: []hal.Port{{Proto: protoTCP, Number: 80}, {Proto: protoTCP, Number: 22}}})
	if len(tb.ports) != 1 || !tb.ports[portKey{protoTCP, 0, 0, 80}] {
		t.Errorf("ports %v, want tcp/80 alone", tb.ports)
	}
	tb = filter{}.tables(hal.Local{Addrs: mine.Addrs, Ports: []hal.Port{{Proto: protoUDP, Number: 5353}}})
	if got := tb.judge(ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoUDP, ports(5353)...)...)); got != forUs {
		t.Errorf("verdict %d on a port that SetLocal names", got)
	}
	if got := tb.judge(ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoUDP, ports(53)...)...)); got != forKernel {
		t.Errorf("verdict %d on a port that SetLocal does not name", got)
	}
	// What the card must let through, whatever the filter goes by.
	for _, text := range []string{"local", "all", "mac:02:00:00:00:00:02", "tcp/80"} {
		f, err := parseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		tb := f.tables(mine)
		for _, g := range []string{"239.1.2.3", "ff05::77", "ff02::1:ff01:2"} {
			if !tb.stations[group(g)] {
				t.Errorf("filter=%s: the card is not told of %s", text, g)
			}
		}
		if tb.stations[ownMAC] != (f.kind == byMAC) {
			t.Errorf("filter=%s: our own station in %v", text, tb.stations)
		}
	}
}
