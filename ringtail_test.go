package ringtail_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

func addrs(texts ...string) (as []netip.Addr) {
	for _, t := range texts {
		as = append(as, netip.MustParseAddr(t))
	}
	return as
}

func TestOpenRefuses(t *testing.T) {
	here := prefixes("10.0.0.1/24")
	for _, test := range []struct {
		name   string
		config ringtail.Config
		also   error // that it wraps beside ErrConfig
		text   string
	}{
		{"unknown driver", ringtail.Config{HAL: "nope:", Addrs: here}, hal.ErrSpec, "loopback"},
		{"unknown key", ringtail.Config{HAL: "loopback:?nope", Addrs: here}, hal.ErrSpec, "mtu"},
		{"kernel", ringtail.Config{HAL: "kernel:"}, hal.ErrNotSupported, "not built yet"},
		{"addresses without a device", ringtail.Config{Addrs: here}, nil, "which device"},
		{"faults without a device", ringtail.Config{Faults: "drop=1%"}, nil, "which device"},
		{"a device without addresses", ringtail.Config{HAL: "loopback:"}, nil, "--addr"},
		{"negative limit", ringtail.Config{Limits: stack.Limits{Conns: -1}}, stack.ErrConfig, "negative"},
		{"negative buffer", ringtail.Config{ReadBuffer: -1}, stack.ErrConfig, "negative"},
		{"faults", ringtail.Config{HAL: "loopback:", Faults: "drop=2"}, wrap.ErrFaults, "drop"},
		{"MTU", ringtail.Config{HAL: "loopback:", Addrs: here, MTU: 20}, stack.ErrConfig, "MTU 20"},
		{"negative MTU", ringtail.Config{HAL: "loopback:", Addrs: here, MTU: -1}, stack.ErrConfig, "MTU -1"},
		{"two gateways", ringtail.Config{HAL: "loopback:", Addrs: here, Gateways: addrs("10.0.0.2", "10.0.0.3")}, nil, "one for each"},
		{"gateway elsewhere", ringtail.Config{HAL: "loopback:", Addrs: here, Gateways: addrs("10.9.0.2")}, stack.ErrConfig, "10.9.0.2"},
		{"capture", ringtail.Config{HAL: "loopback:", Addrs: here, Pcap: "/nonexistent/x"}, os.ErrNotExist, "/nonexistent/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ringtail.Open(test.config)
			if !errors.Is(err, ringtail.ErrConfig) || test.also != nil && !errors.Is(err, test.also) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The zero Config is a host that talks to itself.
func TestZeroConfig(t *testing.T) {
	host, err := ringtail.Open(ringtail.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := host.Net().Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := host.Net().Dial("tcp", ln.Addr().String()); err == nil {
			io.WriteString(c, "to myself")
			c.Close()
		}
	}()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "to myself" {
		t.Errorf("%q, %v", got, err)
	}
	for range 2 { // Close is idempotent
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("a closed host accepts")
	}
}

// Two hosts, one behind a bad link and captured.
func TestFaultsAndCapture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.pcapng")
	wire := "loopback:" + t.Name()
	a, err := ringtail.Open(ringtail.Config{
		HAL: wire, Name: "a", Addrs: prefixes("10.0.0.1/24"), Faults: "delay=1ms,drop=5%", Seed: 3, Pcap: file,
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := ringtail.Open(ringtail.Config{HAL: wire, Name: "b", Addrs: prefixes("10.0.0.2/24"), Gateways: addrs("10.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, h := range []*ringtail.Host{a, b} {
		if err := h.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := a.Net().Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("ringtail"), 1<<15)
	go func() {
		if c, err := ln.Accept(); err == nil {
			c.Write(sent)
			c.Close()
		}
	}()
	c, err := b.Net().DialContext(ctx, "tcp", "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if s := a.Stats(); s.Host != "a" || s.TCP.Retransmits == 0 {
		t.Errorf("%+v", s.TCP)
	}
	if err := errors.Join(b.Close(), a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() < int64(len(sent)) {
		t.Errorf("capture: %v, %v", info, err)
	}
}
