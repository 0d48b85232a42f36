//go:build !dpdk || !cgo || !linux

package dpdk

import (
	"fmt"
	"runtime"

	"github.com/ringtail-net/ringtail/hal"
)

// open fails: this program was built without DPDK.
func open(plan) (hal.Device, error) { return nil, probe() }

func probe() error {
	const install = "apt-get install libdpdk-dev pkg-config gcc"
	switch {
	case runtime.GOOS != "linux":
		return fmt.Errorf("this driver of DPDK is for Linux only: %w", hal.ErrNotSupported)
	case !tagged:
		return fmt.Errorf("this program was built without DPDK (build it with -tags dpdk and CGO_ENABLED=1, after %s): %w", install, hal.ErrNotSupported)
	}
	return fmt.Errorf("this program was built with -tags dpdk, but without cgo (build it with CGO_ENABLED=1, after %s): %w", install, hal.ErrNotSupported)
}
