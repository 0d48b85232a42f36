package afxdp

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A variant is a device under test and the cable it is opened on.
type variant struct {
	spec        string // what follows the interface's name
	mtu, queues int    // 0: 1500, and 1
}

func (v variant) String() string {
	s := "afxdp:" + v.spec
	if v.mtu > 0 {
		s += fmt.Sprint(" mtu ", v.mtu)
	}
	return s
}

// A cable joins two namespaces. The device is opened on the near end.
type cable struct {
	near, far *netlab.Namespace
}

func (v variant) cable(t testing.TB) cable {
	t.Helper()
	testenv.Need(t, "afxdp", available())
	lab := netlab.New(t)
	c := cable{near: lab.Namespace("n"), far: lab.Namespace("f")}
	lab.Veth(
		netlab.Port{NS: c.near, Name: "veth0", MTU: v.mtu, Queues: v.queues},
		netlab.Port{NS: c.far, Name: "eth0", MTU: v.mtu, Queues: v.queues, Addrs: []string{"10.9.0.1/24", "fd09::1/64"}},
	)
	return c
}

// available says whether the tests can run here.
func available() error {
	if err := netlab.Available(); err != nil {
		return err
	}
	return probe()
}

// open opens the near end of a cable with a spec's keys. If in generic mode, the
// kernel at the far end has to send what fits a frame.
func (c cable) open(t testing.TB, keys string) hal.Device {
	t.Helper()
	dev, err := c.tryOpen(keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func (c cable) tryOpen(keys string) (dev hal.Device, err error) {
	err = c.near.Do(func() (err error) {
		dev, err = hal.Open("afxdp:veth0" + keys)
		return err
	})
	return dev, err
}
