package netface

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/afxdp"
	_ "github.com/ringtail-net/ringtail/hal/packet"
	_ "github.com/ringtail-net/ringtail/hal/tap"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/stack"
)

// TestTableInALab measures what package net does where nobody answers, in
// namespaces whose kernel gives up soon.
func TestTableInALab(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "tap", netlab.Available())
	rows(t, func(r row) bool { return !r.anywhere() }, func(t *testing.T, r row) {
		t.Parallel()
		r.check(t, kernelLab(t))
	})
}

// TestTableToTheKernel runs the table on ours with the kernel at the far end.
func TestTableToTheKernel(t *testing.T) {
	t.Parallel()
	toTheKernel(t, func(t *testing.T, w world) {
		t.Run("rows", func(t *testing.T) {
			rows(t, func(r row) bool { return !r.lab }, func(t *testing.T, r row) {
				t.Parallel()
				r.check(t, w)
			})
		})
	})
}

// kernelLab is two namespaces on a cable.
func kernelLab(t *testing.T) world {
	lab := netlab.New(t)
	near, far := lab.Namespace("near"), lab.Namespace("far")
	const silentMAC, farMAC = "02:00:00:00:00:42", "02:00:00:00:00:02"
	lab.Veth(
		netlab.Port{NS: near, Name: "eth0", Addrs: []string{"10.0.0.1/24"}},
		netlab.Port{NS: far, Name: "eth0", Addrs: []string{"10.0.0.2/24"}, MAC: farMAC},
	)
	w := world{
		near: packageNet{near.Do}, nearAddr: netip.MustParseAddr("10.0.0.1"),
		far: packageNet{far.Do}, farAddr: netip.MustParseAddr("10.0.0.2"),
		vanish: func() {
			sysctl(near, "tcp_retries2", "1")
			far.Run("ip", "address", "delete", "10.0.0.2/24", "dev", "eth0")
		},
	}
	w.around()
	near.Run("ip", "neighbor", "add", w.silent.String(), "lladdr", silentMAC, "dev", "eth0", "nud", "permanent")
	near.Run("ip", "neighbor", "replace", w.farAddr.String(), "lladdr", farMAC, "dev", "eth0", "nud", "permanent")
	sysctl(near, "tcp_syn_retries", "1")
	sysctl(near, "neigh/eth0/retrans_time_ms", "100")
	w.search = time.Second
	w.router(far)
	near.Run("ip", "route", "add", hidden, "via", w.farAddr.String())
	return w
}

func sysctl(ns *netlab.Namespace, name, value string) {
	check(ns.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0) }))
}

// hidden is behind the far end.
const hidden = "10.7.0.0/16"

// router makes a namespace a router that has no good news.
func (w *world) router(ns *netlab.Namespace) {
	sysctl(ns, "ip_forward", "1")
	sysctl(ns, "icmp_ratelimit", "0") // or it soon says nothing
	ns.Run("ip", "route", "add", "prohibit", "10.7.1.0/24")
	ns.Run("ip", "route", "add", "unreachable", "10.7.2.0/24")
	w.prohibited, w.unreachable, w.unknown = netip.MustParseAddr("10.7.1.1"), netip.MustParseAddr("10.7.2.1"), netip.MustParseAddr("10.7.3.1")
}

var taps atomic.Int64

// onTAP is a host of ours and the kernel in a namespace.
func onTAP(t testing.TB) world {
	ns := netlab.New(t).Namespace("far")
	w := world{ours: true, far: packageNet{ns.Do}, farAddr: netip.MustParseAddr("10.2.0.2")}
	dev := must(hal.Open(fmt.Sprintf("tap:rtnf%d?host=%v/24&netns=%s", taps.Add(1), w.farAddr, ns.Path())))
	w.router(ns)
	host, near, addr := ourHost(t, dev, "10.2.0.1/24", stack.Route{To: netip.MustParsePrefix(hidden), Via: w.farAddr})
	w.near, w.nearAddr = near, addr
	w.around()
	check(host.Ready(ctx))
	return w
}

// onCable is a host of ours on an interface that the kernel there goes on using,
// and another kernel at the other end of its cable.
func onCable(t testing.TB, driver string) world {
	lab := netlab.New(t)
	near, ns := lab.Namespace("near"), lab.Namespace("far")
	w := world{ours: true, far: packageNet{ns.Do}, farAddr: netip.MustParseAddr("10.2.0.2")}
	lab.Veth(
		netlab.Port{NS: near, Name: "eth0", Addrs: []string{"10.2.0.3/24"}},
		netlab.Port{NS: ns, Name: "eth0", Addrs: []string{w.farAddr.String() + "/24"}},
	)
	dev := must(hal.Open(fmt.Sprintf("%s:eth0?netns=%s", driver, near.Path())))
	w.router(ns)
	host, face, addr := ourHost(t, dev, "10.2.0.1/24", stack.Route{To: netip.MustParsePrefix(hidden), Via: w.farAddr})
	w.near, w.nearAddr = face, addr
	w.around()
	check(host.Ready(ctx))
	return w
}

// drivers are those that have the kernel at the other end.
var drivers = []string{"tap", "packet", "afxdp"}

// by is a host of ours on a driver, and the kernel at the other end.
func by(t *testing.T, driver string) world {
	testenv.Need(t, driver, netlab.Available())
	if driver == "tap" {
		return onTAP(t)
	}
	return onCable(t, driver)
}

// toTheKernel runs a test on every driver.
func toTheKernel(t *testing.T, test func(*testing.T, world)) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			test(t, by(t, driver))
		})
	}
}

// TestConnToTheKernel has the kernel as the other end of each connection.
func TestConnToTheKernel(t *testing.T) {
	t.Parallel()
	toTheKernel(t, func(t *testing.T, w world) {
		for _, o := range orders {
			t.Run(o.name, func(t *testing.T) { o.judge(t, w) })
		}
	})
}

// stormToTheKernel counts goroutines: one after the other.
func stormToTheKernel(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) { stormOver(t, by(t, driver)) })
	}
}
