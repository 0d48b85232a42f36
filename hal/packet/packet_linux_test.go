package packet

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(asNobody(role))
	}
	goleak.VerifyTestMain(m)
}

// hosts returns a lab of two empty network namespaces.
func hosts(t testing.TB) (lab *netlab.Lab, ours, theirs *netlab.Namespace) {
	t.Helper()
	testenv.Need(t, "packet", netlab.Available())
	lab = netlab.New(t)
	return lab, lab.Namespace("ours"), lab.Namespace("theirs")
}

// cable returns two namespaces that are joined by veth0 in each.
func cable(t testing.TB) (ours, theirs *netlab.Namespace) {
	t.Helper()
	lab, ours, theirs := hosts(t)
	lab.Veth(
		netlab.Port{NS: ours, Name: "veth0", Addrs: []string{"10.78.0.1/24", "fd78::1/64"}},
		netlab.Port{NS: theirs, Name: "veth0", Addrs: []string{"10.78.0.9/24", "fd78::9/64"}},
	)
	return ours, theirs
}

// inOrder makes an end of a cable keep the order of what it receives. Without that
// the kernel queues packets at the processor that sent them: a sender that wanders
// from one to another while the machine is busy is overtaken by itself.
func inOrder(ns *netlab.Namespace, ifname string) {
	ns.Run("ethtool", "-K", ifname, "gro", "on")
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
	return hal.Open(in(ns, spec))
}

// in puts a namespace into a spec.
func in(ns *netlab.Namespace, spec string) string {
	sep := "?"
	if strings.Contains(spec, "?") {
		sep = "&"
	}
	return spec + sep + "netns=" + ns.Path()
}

// testEnd is when to give up waiting for something that has to happen.
func testEnd() time.Time { return time.Now().Add(10 * time.Second) }
