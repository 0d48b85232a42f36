package tap

import (
	"fmt"
	"testing"

	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestDevice(t *testing.T) {
	options := []string{"", "?vnet=off", "?queues=2"}
	if testenv.Long() {
		options = append(options, "?mtu=9000", "?mtu=65521&vnet=off", "?queues=4&vnet=off", "?mtu=1280")
	}
	for _, o := range options {
		t.Run("tap:"+o, func(t *testing.T) {
			ns := namespace(t)
			opened := 0
			haltest.Run(t, func(t *testing.T) haltest.Link {
				name := fmt.Sprintf("rt%d", opened)
				opened++
				dev := openIn(t, ns, "tap:"+name+o)
				return haltest.Link{Dev: dev, Far: ns.Far(t, name)}
			})
		})
	}
}
