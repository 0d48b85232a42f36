package tap

import (
	"testing"

	"github.com/ringtail-net/ringtail/hal/haltest"
)

func TestDevice(t *testing.T) {
	for _, options := range []string{"", "?vnet=off", "?queues=2", "?mtu=9000", "?mtu=65521&vnet=off"} {
		t.Run("tap:"+options, func(t *testing.T) {
			haltest.Run(t, func(t *testing.T) haltest.Link {
				ns := namespace(t)
				dev := openIn(t, ns, "tap:rt0"+options)
				return haltest.Link{Dev: dev, Far: ns.Far("rt0")}
			})
		})
	}
}
