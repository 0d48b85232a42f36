package tap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(asOther(role))
	}
	goleak.VerifyTestMain(m)
}

// namespace returns an empty network namespace for the test.
func namespace(t testing.TB) *netlab.Namespace {
	t.Helper()
	testenv.Need(t, "tap", netlab.Available())
	return netlab.New(t).Namespace("tap")
}

// openIn opens a device in a namespace and closes it with the test.
func openIn(t testing.TB, ns *netlab.Namespace, spec string) hal.Device {
	t.Helper()
	dev, err := tryIn(ns, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func tryIn(ns *netlab.Namespace, spec string) (hal.Device, error) {
	sep := "?"
	if strings.Contains(spec, "?") {
		sep = "&"
	}
	return hal.Open(spec + sep + "netns=" + ns.Path())
}

// link returns the kernel's view of an interface, nil if there is none.
func link(t testing.TB, ns *netlab.Namespace, name string) (l *netlink.Tuntap) {
	t.Helper()
	err := ns.Do(func() error {
		found, err := netlink.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err == nil {
			l = found.(*netlink.Tuntap)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// addrs returns the global addresses of an interface.
func addrs(t testing.TB, ns *netlab.Namespace, name string) (list []string) {
	t.Helper()
	err := ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		found, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		for _, a := range found {
			if a.Scope == unix.RT_SCOPE_UNIVERSE {
				list = append(list, a.IPNet.String())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCreated(t *testing.T) {
	ns := namespace(t)
	dev := openIn(t, ns, "tap:rt0?host=10.77.0.1/24&host=fd77::1/64&mtu=1400")
	l := link(t, ns, "rt0")
	if l == nil || !l.NonPersist || l.Alias != "" || l.MTU != 1400 || l.RawFlags&unix.IFF_UP == 0 {
		t.Errorf("the kernel's end: %+v", l)
	}
	if got := strings.Join(addrs(t, ns, "rt0"), " "); got != "10.77.0.1/24 fd77::1/64" {
		t.Errorf("addresses %q", got)
	}
	i := dev.Info()
	if i.Name != "rt0" || i.MTU != 1400 || i.Mode != "vnet" || i.Link != hal.LinkUp || i.Queues != 1 || i.GSOMax < 65535 || !i.TxOffloads.Carries(hal.Meta{NeedsCsum: true, GSO: hal.GSOTCP6}) {
		t.Errorf("%+v", i)
	}
	if string(i.MAC[:]) == string(l.HardwareAddr) || i.MAC[0]&3 != 2 {
		t.Errorf("our MAC %v, the kernel's %v", i.MAC, l.HardwareAddr)
	}
	// The address answers at once: no duplicate address detection.
	if err := ns.Do(func() error {
		ln, err := net.Listen("tcp", "[fd77::1]:0")
		if err == nil {
			ln.Close()
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	ns.Run("ip", "link", "set", "rt0", "down")
	if s := dev.Info().Link; s != hal.LinkDown {
		t.Errorf("link is %v after ip link set down", s)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
	if l := link(t, ns, "rt0"); l != nil {
		t.Errorf("rt0 outlives Close: %+v", l)
	}
	again := openIn(t, ns, "tap:rt0?vnet=off")
	if j := again.Info(); j.MAC != i.MAC || j.Mode != "plain" || j.GSOMax != 0 || j.TxOffloads != 0 {
		t.Errorf("opened again: %+v", j)
	}
}

func TestChosenName(t *testing.T) {
	ns := namespace(t)
	for want, spec := range map[string]string{"rt0": "tap:", "host7-0": "tap:host7-%25d"} {
		if got := openIn(t, ns, spec).Info().Name; got != want {
			t.Errorf("%s is %s, want %s", spec, got, want)
		}
	}
}

func TestPersist(t *testing.T) {
	ns := namespace(t)
	openIn(t, ns, "tap:rt0?persist&owner=nobody&queues=2&host=10.77.0.1/24").Close()
	l := link(t, ns, "rt0")
	if l == nil || l.NonPersist || l.Owner != 65534 || l.Alias != "" || l.Flags&netlink.TUNTAP_MULTI_QUEUE == 0 {
		t.Fatalf("the interface that should persist: %+v", l)
	}
	// A second run of the same command line finds it, and leaves it.
	if n := openIn(t, ns, "tap:rt0?persist&owner=nobody&queues=2&host=10.77.0.1/24").Info().Queues; n != 2 {
		t.Errorf("%d queues", n)
	}
}

// TestExisting checks that an interface that somebody else made is as it was
// after use, also where it was configured meanwhile.
func TestExisting(t *testing.T) {
	for _, spec := range []string{"tap:rt0", "tap:rt0?vnet=off", "tap:rt0?host=10.77.0.1/24&host=10.78.0.1/24", "tap:rt0?persist=off&owner=0"} {
		t.Run(spec, func(t *testing.T) {
			ns := namespace(t)
			ns.Run("ip", "tuntap", "add", "dev", "rt0", "mode", "tap", "user", "nobody")
			ns.Run("ip", "link", "set", "rt0", "alias", "mine", "mtu", "1300")
			ns.Run("ip", "address", "add", "10.77.0.1/24", "dev", "rt0")
			before, beforeAddrs := *link(t, ns, "rt0"), addrs(t, ns, "rt0")

			dev := openIn(t, ns, spec)
			if got := dev.Info().MTU; got != 1300 {
				t.Errorf("MTU %d, want that of the interface", got)
			}
			up := link(t, ns, "rt0").RawFlags&unix.IFF_UP != 0
			if want := strings.Contains(spec, "host"); up != want || want && len(addrs(t, ns, "rt0")) != 2 {
				t.Errorf("while open: up %v, addresses %v", up, addrs(t, ns, "rt0"))
			}
			dev.Close()

			after := *link(t, ns, "rt0")
			for what, same := range map[string]bool{
				"owner": after.Owner == before.Owner, "persistence": after.NonPersist == before.NonPersist,
				"alias": after.Alias == before.Alias, "MTU": after.MTU == before.MTU,
				"flags": after.RawFlags == before.RawFlags, "MAC": after.HardwareAddr.String() == before.HardwareAddr.String(),
				"addresses": fmt.Sprint(addrs(t, ns, "rt0")) == fmt.Sprint(beforeAddrs),
			} {
				if !same {
					t.Errorf("%s changed: before %+v, after %+v, addresses %v", what, before, after, addrs(t, ns, "rt0"))
				}
			}
			if out := ns.Run("ethtool", "-k", "rt0"); !strings.Contains(out, "tcp-segmentation-offload: off") {
				t.Errorf("offloads stay on for a reader that does not know them:\n%s", out)
			}
		})
	}
}

// leftover makes what a process leaves that is killed between the two opens.
func leftover(t *testing.T, ns *netlab.Namespace, args ...string) {
	t.Helper()
	ns.Run("ip", append([]string{"tuntap", "add", "dev", "rt0", "mode", "tap"}, args...)...)
	ns.Run("ip", "link", "set", "rt0", "alias", mark)
}

func TestLeftover(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		spec string
	}{
		"same":           {nil, "tap:rt0?host=10.77.0.1/24"},
		"more queues":    {nil, "tap:rt0?queues=2"},
		"fewer queues":   {[]string{"multi_queue"}, "tap:rt0"},
		"persists again": {nil, "tap:rt0?persist"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t)
			leftover(t, ns, c.args...)
			dev := openIn(t, ns, c.spec)
			if l := link(t, ns, "rt0"); l.Alias != "" || l.RawFlags&unix.IFF_UP == 0 {
				t.Errorf("not taken over: %+v", l)
			}
			dev.Close()
			if l := link(t, ns, "rt0"); (l != nil) != strings.Contains(c.spec, "persist") {
				t.Errorf("after Close: %+v", l)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	ns := namespace(t)
	ns.Run("ip", "tuntap", "add", "dev", "tun0", "mode", "tun")
	ns.Run("ip", "tuntap", "add", "dev", "single", "mode", "tap")
	ns.Run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
	ns.Run("ip", "link", "set", "veth0", "alias", "nothing", "address", "02:00:00:00:00:07")
	openIn(t, ns, "tap:busy")
	shared := openIn(t, ns, "tap:shared?queues=2")
	before := descriptors(t)
	for spec, want := range map[string]string{
		"tap:sixteen-bytes-is":          "16 bytes",
		"tap:a%20b":                     "not allowed",
		"tap:a%2fb":                     "not allowed",
		"tap:..":                        "not an interface name",
		"tap:a%25x":                     "only one %d",
		"tap:tun0":                      "is a TUN|not a TAP but of type TUN",
		"tap:veth0":                     "not a TAP but of type veth",
		"tap:lo":                        "not a TAP",
		"tap:busy":                      "in use by another process",
		"tap:shared?vnet=off":           "vnet=on would fit",
		"tap:single?queues=2":           "multi_queue",
		"tap:single?mtu=1400":           "ip link set single mtu 1400",
		"tap:rt0?mtu=20":                "from 68 to 65521",
		"tap:rt0?mac=junk":              "02:00:00:00:00:01",
		"tap:rt0?mac=01:00:5e:00:00:01": "not the address of one station",
		"tap:rt0?queues=0":              "from 1 to 256",
		"tap:rt0?host=10.0.0.0":         "10.77.0.1/24",
		"tap:rt0?host=0.0.0.0/0":        "not the address of an interface",
		"tap:rt0?host=224.0.0.1/24":     "not the address of an interface",
		"tap:rt0?owner=no-such-user":    "no-such-user",
		"tap:rt0?fd=3":                  "do not go with it",
		"tap:single?mac=" + link(t, ns, "single").HardwareAddr.String(): "different ones",
	} {
		_, err := tryIn(ns, spec)
		if err == nil {
			t.Errorf("%s opens", spec)
			continue
		}
		ok := false
		for _, part := range strings.Split(want, "|") {
			ok = ok || strings.Contains(err.Error(), part)
		}
		if !ok || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant one line with %q", spec, err, want)
		}
	}
	if l := link(t, ns, "rt0"); l != nil {
		t.Errorf("a failed open left %+v", l)
	}
	for spec, want := range map[string]string{
		"tap:rt0?netns=no-such":           "ip netns add no-such",
		"tap:rt0?netns=/etc/passwd":       "not a network namespace",
		"tap:?fd=0":                       "not an open TAP",
		"tap:?fd=9999":                    "not an open TAP",
		"tap:?fd=9999&fd=9999":            "of its own",
		"tap:?fd=9999&netns=" + ns.Name(): "do not go with it",
	} {
		if _, err := hal.Open(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after failed opens", before, after)
	}
	if _, _, err := shared.Queue(2); err == nil {
		t.Error("there is a third queue of two")
	}
}

// TestJoin opens one more queue of an interface that is in use.
func TestJoin(t *testing.T) {
	ns := namespace(t)
	first := openIn(t, ns, "tap:rt0?queues=2")
	second := openIn(t, ns, "tap:rt0")
	if i := second.Info(); i.Queues != 1 || i.Mode != "vnet" {
		t.Errorf("%+v", i)
	}
	second.Close()
	if l := link(t, ns, "rt0"); l == nil || l.Queues != 2 {
		t.Errorf("after the second left: %+v", l)
	}
	first.Close()
	if l := link(t, ns, "rt0"); l != nil {
		t.Errorf("after both left: %+v", l)
	}
}

// descriptors counts the open ones of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestDescriptorsAndThreadsStay(t *testing.T) {
	ns := namespace(t)
	openIn(t, ns, "tap:rt0").Close()
	before := descriptors(t)
	for i := range 50 {
		dev := openIn(t, ns, []string{"tap:rt0?queues=3&host=10.77.0.1/24", "tap:", "tap:rt9?vnet=off"}[i%3])
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if err := dev.Close(); err != nil {
			t.Fatal("second Close: ", err)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	// Every thread is where it began, once those of Open have ended.
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	deadline := testEnd()
	for {
		stray := 0
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, task := range tasks {
			if at, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil && at != home {
				stray++
			}
		}
		if stray == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d threads are in another namespace", stray)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestFD(t *testing.T) {
	ns := namespace(t)
	ns.Run("ip", "tuntap", "add", "dev", "rt0", "mode", "tap", "multi_queue")
	ns.Run("ip", "link", "set", "rt0", "mtu", "1300", "up")
	var fds []int
	open := func(flags uint16) (fd int) {
		if err := ns.Do(func() (err error) { fd, _, err = attach("rt0", flags); return err }); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	for range 2 {
		fds = append(fds, open(unix.IFF_TAP|unix.IFF_NO_PI|unix.IFF_VNET_HDR|unix.IFF_MULTI_QUEUE))
	}
	spec := fmt.Sprintf("fd=%d&fd=%d", fds[0], fds[1])
	for bad, want := range map[string]string{
		"tap:other?" + spec:     "is interface rt0, not other",
		"tap:?vnet=off&" + spec: "leave out vnet=off",
	} {
		if _, err := hal.Open(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}

	// From outside, the interface cannot be seen.
	dev, err := hal.Open("tap:rt0?" + spec)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if i := dev.Info(); i.Name != "rt0" || i.MTU != 1500 || i.Queues != 2 || i.Link != hal.LinkUnknown || i.Mode != "vnet" {
		t.Errorf("%+v", i)
	}
	dev.Close()
	if l := link(t, ns, "rt0"); l.Queues != 0 {
		t.Errorf("Close leaves %d queues", l.Queues)
	}

	// From inside it can.
	fd := open(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE)
	if err := ns.Do(func() (err error) { dev, err = Open(Config{FDs: []int{fd}}); return err }); err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if i := dev.Info(); i.MTU != 1300 || i.Link != hal.LinkUp || i.Mode != "plain" {
		t.Errorf("%+v", i)
	}
}

func TestProbe(t *testing.T) {
	testenv.Need(t, "tap", netlab.Available())
	if err := probe(); err != nil {
		t.Error(err)
	}
}

// testEnd is when to give up waiting for something that has to happen.
func testEnd() time.Time { return time.Now().Add(10 * time.Second) }
