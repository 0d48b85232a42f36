package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// patience is how long a test waits before it gives up: a guard, not a measure.
const patience = 30 * time.Second

// A wire is how a server and the kernel's clients are joined. On a TAP both are
// in one namespace, whose kernel is the other end. Elsewhere the server takes an
// interface of its namespace, which that kernel goes on using, under another
// address and the same MAC; the clients are at the other end of the cable.
type wire struct {
	driver  string
	target  string // of the spec; "": the interface, which is a key iface otherwise
	keys    string // of the spec
	queues  int
	variant bool // of the wire before it: it is in fewer tests
	whole   bool // the driver needs whole packets: checksums and cutting are done at the other end
}

var tapWire = wire{driver: "tap", keys: "host=10.77.0.1/24&host=fd77::1/64"}

// wires are all of them, the TAP first.
var wires = []wire{
	tapWire,
	{driver: "packet"},
	{driver: "packet", keys: "ring=on", variant: true},
	{driver: "afxdp"},
	{driver: "afxdp", keys: "queues=all", queues: 2, variant: true},
}

func (w wire) String() string {
	switch {
	case w.target != "":
		return w.driver + ":" + w.target
	case w == tapWire || w.keys == "":
		return w.driver
	}
	return w.driver + "?" + w.keys
}

// isTap says whether the server makes the interface, and the kernel that has it is
// the clients' own.
func (w wire) isTap() bool { return w == tapWire || w.target == "net_tap0" }

// spec is what --hal gets.
func (w wire) spec(iface string) string {
	if w.target != "" {
		return w.driver + ":" + w.target + "?iface=" + iface + "&" + w.keys
	}
	s := w.driver + ":" + iface
	if w.keys != "" {
		s += "?" + w.keys
	}
	return s
}

// eachWire runs a test on some wires, all at the same time.
func eachWire(t *testing.T, wires []wire, f func(t *testing.T, w wire)) {
	for _, w := range wires {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			w.needs(t)
			f(t, w)
		})
	}
}

// needs skips the test where there is no lab, or no program of a client.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	tapWire.needs(t, programs...)
}

func (w wire) needs(t *testing.T, programs ...string) {
	t.Helper()
	err := errors.Join(netlab.Available(), works()(w.driver))
	for _, p := range append(programs, "curl") {
		if _, missing := exec.LookPath(p); missing != nil {
			err = errors.Join(err, missing)
		}
	}
	testenv.Need(t, w.driver, err)
}

// works asks the command under test whether a driver works here.
var works = sync.OnceValue(func() func(driver string) error {
	out, err := exec.Command(binary, "drivers", "--json").Output()
	var rows []struct {
		Name, Why string
		Works     bool
	}
	if err == nil {
		err = json.Unmarshal(out, &rows)
	}
	return func(driver string) error {
		for _, r := range rows {
			switch {
			case r.Name != driver:
			case r.Works:
				return nil
			default:
				return errors.New(r.Why)
			}
		}
		return errors.Join(fmt.Errorf("the command has no driver %s", driver), err)
	}
})

// lab makes the namespaces for a server that does not run yet. The clients are
// 10.77.0.1 and fd77::1, the server's kernel, if it has one of its own, is
// 10.77.0.3 and fd77::3.
func (w wire) lab(t *testing.T) *server {
	t.Helper()
	lab, n := netlab.New(t), servers.Add(1)
	own := lab.Namespace(fmt.Sprint(n))
	s := &server{t: t, wire: w, own: own, ns: own, iface: fmt.Sprintf("rt%d", os.Getpid())}
	if w.isTap() {
		return s
	}
	s.ns = lab.Namespace(fmt.Sprint(n, "c"))
	s.iface = "veth0"
	lab.Veth(
		netlab.Port{NS: own, Name: s.iface, Addrs: []string{"10.77.0.3/24", "fd77::3/64"}, Queues: w.queues},
		netlab.Port{NS: s.ns, Name: "veth1", Addrs: []string{"10.77.0.1/24", "fd77::1/64"}, Queues: w.queues},
	)
	if w.whole {
		s.ns.Run("ethtool", "-K", "veth1", "tx", "off", "tso", "off", "gso", "off")
	}
	return s
}

// serve starts a server on the wire, like start.
func (w wire) serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := w.lab(t)
	s.run(nil, "serve", append(ours, args...)...)
	return s
}

// offloadsOn checks that the kernel leaves checksums and cutting to an interface:
// without that a test of them says little. (A native program of XDP at the other
// end of a cable makes it cut after all.)
func offloadsOn(t *testing.T, ns *netlab.Namespace, iface string) {
	t.Helper()
	states := ns.Run("ethtool", "-k", iface)
	for _, must := range []string{"tx-checksumming", "tcp-segmentation-offload", "generic-segmentation-offload"} {
		if !strings.Contains(states, must+": on") {
			t.Errorf("%s has %s off", iface, must)
		}
	}
}
