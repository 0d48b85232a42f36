//go:build !linux

package afxdp

import (
	"fmt"
	"runtime"

	"github.com/ringtail-net/ringtail/hal"
)

func open(Config) (hal.Device, error) { return nil, probe() }

func probe() error {
	return fmt.Errorf("%s has no AF_XDP: it is Linux's (use tap: or loopback: here): %w", runtime.GOOS, hal.ErrNotSupported)
}

func inspect(hal.Spec) ([]hal.Fact, error) { return nil, probe() }
