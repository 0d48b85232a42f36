package tap

import (
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/songgao/water"

	"github.com/ringtail-net/ringtail/hal"
)

// adapter is the kind of network adapter that is a TAP: OpenVPN's.
const adapter = "tap0901"

func open(c Config) (hal.Device, error) {
	if len(c.Hosts) > 0 || c.Persist || c.Owner != "" || c.Queues > 1 || c.NetNS != "" || len(c.FDs) > 0 {
		return nil, fmt.Errorf("on Windows a TAP adapter is set up by the control panel; only mtu and mac may be given: %w", hal.ErrNotSupported)
	}
	ifce, err := water.New(water.Config{
		DeviceType:             water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{ComponentID: adapter, InterfaceName: c.Name},
	})
	if err != nil {
		return nil, fmt.Errorf("TAP adapter %q (%s): %w", c.Name, howTo, err)
	}
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	if c.MAC == (hal.MAC{}) {
		c.MAC = stableMAC(ifce.Name())
	}
	return newStream(ifce.Name(), ifce, c.MAC, c.MTU), nil
}

const howTo = "installed with OpenVPN, as TAP-Windows; opening it may need an administrator"

// stableMAC makes an address for our end of an adapter that is the same each
// time: others keep it in their neighbour tables. It is locally administered.
func stableMAC(name string) hal.MAC {
	host, _ := os.Hostname() // without it, the name is a good guess
	sum := sha256.Sum256(fmt.Appendf(nil, "ringtail tap %s %s", name, host))
	m := hal.MAC(sum[:6])
	m[0] = m[0]&^1 | 2
	return m
}

// probe cannot know without opening an adapter.
func probe() error { return nil }
