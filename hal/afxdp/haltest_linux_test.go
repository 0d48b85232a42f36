package afxdp

import (
	"testing"

	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestDevice(t *testing.T) {
	variants := []variant{
		{spec: ""},
		{spec: "?mode=generic"},
		{spec: "?queues=2&frames=1024", queues: 2, mtu: 9000},
	}
	if testenv.Long() {
		variants = append(variants,
			variant{spec: "?queues=2", queues: 2},
			variant{spec: "?frames=256", mtu: 9000},
			variant{spec: "", mtu: 3500},
			variant{spec: "?mode=generic", mtu: 9000},
			variant{spec: "?trust-checksum=on&wait=coalesce"},
			variant{spec: "?trust-checksum=off&wait=spin&copy=zero"},
			variant{spec: "?queues=4&wait=busy-poll&filter=all", queues: 4, mtu: 1280},
		)
	}
	for _, v := range variants {
		t.Run(v.String(), func(t *testing.T) {
			haltest.Run(t, func(t *testing.T) haltest.Link {
				c := v.cable(t)
				return haltest.Link{Dev: c.open(t, v.spec), Far: c.far.Far(t, "eth0")}
			})
		})
	}
}
