//go:build !linux && !windows

package tap

import (
	"fmt"
	"runtime"

	"github.com/ringtail-net/ringtail/hal"
)

// open fails: macOS has only utun, which carries IP packets without Ethernet
// headers, and the water library knows no TAP of the BSDs.
func open(Config) (hal.Device, error) { return nil, probe() }

func probe() error {
	return fmt.Errorf("%s has no TAP that this driver knows (Linux and Windows have; use loopback: here): %w", runtime.GOOS, hal.ErrNotSupported)
}
