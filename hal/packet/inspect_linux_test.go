package packet

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
)

// facts inspects a target in a namespace, by the driver's registration.
func facts(t *testing.T, ns *netlab.Namespace, spec string) map[string]hal.Fact {
	t.Helper()
	list, err := inspectIn(ns, spec)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]hal.Fact{}
	for _, f := range list {
		if f.Name != strings.TrimSpace(f.Name) || f.Value == "" || strings.Contains(f.Problem+f.Value, "\n") || m[f.Name].Name != "" {
			t.Errorf("%+v", f)
		}
		m[f.Name] = f
	}
	return m
}

func inspectIn(ns *netlab.Namespace, spec string) ([]hal.Fact, error) {
	s, err := hal.ParseSpec(in(ns, spec))
	if err != nil {
		return nil, err
	}
	for _, d := range hal.Drivers() {
		if d.Name == s.Driver {
			return d.Inspect(s)
		}
	}
	return nil, errors.New("not registered")
}

func TestInspect(t *testing.T) {
	ours, theirs := cable(t)
	sound := facts(t, ours, "packet:veth0")
	for name, f := range sound {
		if f.Problem != "" {
			t.Errorf("%s: %s", name, f.Problem)
		}
	}
	for name, want := range map[string]string{
		"kind": "veth", "MAC address": "the kernel's too", "MTU": "1500", "super-frames": "up to 65536", "link": "up", "port of": "nothing",
		"the kernel's addresses": "10.78.0.1/24, fd78::1/64", "default route": "none", "forwarding": "off", "proxy ARP": "off",
		"capabilities": "all", "receive buffer": "8192 KiB",
	} {
		if !strings.Contains(sound[name].Value, want) {
			t.Errorf("%s: %+v, want %q", name, sound[name], want)
		}
	}
	for _, c := range []struct {
		commands, spec, name, value, problem string
	}{
		{"ip route add default via 10.78.0.9", "packet:veth0", "default route", "via 10.78.0.9", ""},
		{"sysctl -qw net.ipv4.conf.veth0.proxy_arp=1", "packet:veth0", "proxy ARP", "on", "sysctl -w net.ipv4.conf.veth0.proxy_arp=0"},
		{"sysctl -qw net.ipv4.ip_forward=1", "packet:veth0", "forwarding", "on", "sysctl -w net.ipv4.conf.veth0.forwarding=0"},
		{"sysctl -qw net.ipv6.conf.all.forwarding=1", "packet:veth0", "forwarding", "on", "net.ipv6.conf.all.forwarding=0"},
		{"true", "packet:veth0?mac=02:00:00:00:07:07", "forwarding", "on", ""},
		{"true", "packet:veth0?mac=02:00:00:00:07:07", "MAC address", "02:00:00:00:07:07 (the kernel's is", ""},
		{"ip link set veth0 gro_max_size 130000", "packet:veth0", "super-frames", "130000", "gro_max_size 65536"},
		{"true", "packet:veth0?ring", "receive buffer", "ring", ""},
		{"ip link add br0 type bridge && ip link set veth0 master br0", "packet:veth0", "port of", "br0, a bridge", "packet:br0"},
		{"ip link set veth0 down", "packet:veth0", "link", "down", "ip link set veth0 up"},
	} {
		ours.Run("sh", "-c", c.commands)
		f := facts(t, ours, c.spec)[c.name]
		if !strings.Contains(f.Value, c.value) || !strings.Contains(f.Problem, c.problem) || (c.problem == "") != (f.Problem == "") {
			t.Errorf("after %s: %+v, want %q with %q", c.commands, f, c.value, c.problem)
		}
	}
	if f := facts(t, theirs, "packet:veth0")["link"]; !strings.Contains(f.Problem, "carrier") {
		t.Errorf("without a carrier: %+v", f)
	}
	if _, err := inspectIn(ours, "packet:veth9"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an interface that is not there: %v", err)
	}
	if got := sysctlName("net/ipv4/conf/eth0.5/forwarding"); got != "net.ipv4.conf.eth0/5.forwarding" {
		t.Error(got)
	}
}
