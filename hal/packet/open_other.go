//go:build !linux

package packet

import (
	"fmt"
	"runtime"

	"github.com/ringtail-net/ringtail/hal"
)

// open fails: the packet filters of the BSDs and macOS (bpf(4)) know no
// super-frames and no bursts, and would be another driver.
func open(Config) (hal.Device, error) { return nil, probe() }

func probe() error {
	return fmt.Errorf("%s has no packet sockets (Linux has; use loopback: here): %w", runtime.GOOS, hal.ErrNotSupported)
}

func inspect(Config) ([]hal.Fact, error) { return nil, probe() }
