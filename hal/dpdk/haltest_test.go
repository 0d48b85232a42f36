//go:build dpdk && cgo && linux

package dpdk

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// need skips a test that needs a running DPDK.
func need(t testing.TB) {
	t.Helper()
	testenv.Need(t, "dpdk", probe())
}

var devices atomic.Int64

// number returns a number for a device that no other test has.
func number() int { return int(devices.Add(1)) }

// openSpec opens a device that is closed when the test ends.
func openSpec(t testing.TB, format string, args ...any) hal.Device {
	t.Helper()
	d, err := hal.Open(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Two ports of net_ring that are the ends of one cable.
func TestRingPair(t *testing.T) {
	need(t)
	for _, keys := range []string{"", "&room=200&mtu=1500", "&mtu=9000"} {
		t.Run("huge=off"+keys, func(t *testing.T) {
			haltest.Run(t, func(t *testing.T) haltest.Link {
				pair := number()
				far := openSpec(t, "dpdk:net_ring%d?huge=off&pair=p%d%s", number(), pair, keys)
				return haltest.Link{
					Dev: openSpec(t, "dpdk:net_ring%d?huge=off&pair=p%d%s", number(), pair, keys),
					Far: haltest.FarDevice(t, far),
				}
			})
		})
	}
}

// Ports that have no other end.
func TestAlone(t *testing.T) {
	need(t)
	for name, keys := range map[string]string{"net_null": "&args=no-rx=1", "net_ring": ""} {
		t.Run(name, func(t *testing.T) {
			haltest.Run(t, func(t *testing.T) haltest.Link {
				return haltest.Link{Dev: openSpec(t, "dpdk:%s%d?huge=off&queues=2%s", name, number(), keys)}
			})
		})
	}
}
