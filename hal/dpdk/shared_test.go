//go:build dpdk && cgo && linux

package dpdk

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ringtail-net/ringtail/hal/haltest"
)

// Memory that two processes share: each end of memif, and of vhost and virtio_user.
func TestSharedMemory(t *testing.T) {
	need(t)
	const memif = "dpdk:net_memif%d?role=%s&socket=%s"
	for _, c := range []struct {
		name      string
		dev, far  func(path string) string
		devServes bool
	}{
		{
			name: "memif/client",
			dev:  func(path string) string { return fmt.Sprintf(memif, number(), "client", path) },
			far:  func(path string) string { return fmt.Sprintf(memif, number(), "server", path) },
		},
		{
			name:      "memif/server",
			dev:       func(path string) string { return fmt.Sprintf(memif, number(), "server", path) },
			far:       func(path string) string { return fmt.Sprintf(memif, number(), "client", path) },
			devServes: true,
		},
		{
			name: "virtio_user",
			dev:  func(path string) string { return fmt.Sprintf("dpdk:net_virtio_user%d?path=%s", number(), path) },
			far:  func(path string) string { return fmt.Sprintf("dpdk:net_vhost%d?iface=%s", number(), path) },
		},
		{
			name:      "vhost",
			dev:       func(path string) string { return fmt.Sprintf("dpdk:net_vhost%d?iface=%s", number(), path) },
			far:       func(path string) string { return fmt.Sprintf("dpdk:net_virtio_user%d?path=%s", number(), path) },
			devServes: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			haltest.Run(t, func(t *testing.T) haltest.Link {
				path := filepath.Join(t.TempDir(), "socket")
				far := startChild(t)
				if !c.devServes {
					far.open(t, c.far(path)+"&huge=off")
				}
				dev := openSpec(t, "%s&huge=off", c.dev(path))
				if c.devServes {
					far.open(t, c.far(path)+"&huge=off")
				}
				joined(t, dev, far)
				return haltest.Link{Dev: dev, Far: far}
			})
		})
	}
}
