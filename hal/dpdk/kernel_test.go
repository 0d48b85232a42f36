//go:build dpdk && cgo && linux

package dpdk

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// needKernel skips a test that needs interfaces of the kernel besides.
func needKernel(t testing.TB) {
	t.Helper()
	need(t)
	testenv.Need(t, "dpdk", netlab.Available())
}

// DPDK's own TAP, against the kernel.
func TestTap(t *testing.T) {
	needKernel(t)
	ns := netlab.New(t).Namespace("tap")
	haltest.Run(t, func(t *testing.T) haltest.Link {
		n := number()
		dev := openSpec(t, "dpdk:net_tap%d?huge=off&iface=rt%d&netns=%s", n, n, ns.Path())
		return haltest.Link{Dev: dev, Far: ns.Far(t, fmt.Sprintf("rt%d", n))}
	})
}

// veth is a pair of interfaces of the kernel for one device.
func veth(t *testing.T, a, b *netlab.Namespace, lab *netlab.Lab) (name string) {
	name = fmt.Sprintf("v%d", number())
	lab.Veth(netlab.Port{NS: a, Name: name}, netlab.Port{NS: b, Name: name})
	t.Cleanup(func() { // t may be a part of the test that the lab is for
		if out, err := exec.Command("ip", "-n", a.Name(), "link", "del", name).CombinedOutput(); err != nil {
			t.Errorf("ip link del %s: %v: %s", name, err, out)
		}
	})
	return name
}

// Interfaces of the kernel, by packet sockets and by AF_XDP.
func TestInterfaces(t *testing.T) {
	needKernel(t)
	for _, kind := range []string{"af_packet", "af_xdp"} {
		t.Run(kind, func(t *testing.T) {
			lab := netlab.New(t)
			a, b := lab.Namespace("a"), lab.Namespace("b")
			haltest.Run(t, func(t *testing.T) haltest.Link {
				name := veth(t, a, b, lab)
				dev := openSpec(t, "dpdk:net_%s%d?huge=off&iface=%s&netns=%s", kind, number(), name, a.Path())
				return haltest.Link{Dev: dev, Far: b.Far(t, name)}
			})
		})
	}
}
