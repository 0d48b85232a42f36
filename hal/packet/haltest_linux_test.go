package packet

import (
	"fmt"
	"testing"

	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestDevice(t *testing.T) {
	type setup struct {
		spec string
		port netlab.Port
		rate string // of the interface, so that it can be full; "": as fast as it goes
	}
	setups := map[string]setup{
		"default": {"packet:%s", netlab.Port{}, ""},
		"ring":    {"packet:%s?ring=on", netlab.Port{}, "100mbit"},
		"queues":  {"packet:%s?queues=2", netlab.Port{Queues: 2}, "100mbit"},
		"jumbo":   {"packet:%s?mtu=9000", netlab.Port{MTU: 9000}, "100mbit"},
	}
	if testenv.Long() {
		setups["all"] = setup{"packet:%s?ring&queues=2&mac=02:00:00:00:07:07", netlab.Port{MTU: 9000}, ""}
		setups["longest"] = setup{"packet:%s", netlab.Port{MTU: 65520}, ""}
		setups["short"] = setup{"packet:%s?ring", netlab.Port{MTU: 1280}, "100mbit"}
	}
	for name, c := range setups {
		t.Run(name, func(t *testing.T) {
			lab, ours, theirs := hosts(t)
			made := 0
			haltest.Run(t, func(t *testing.T) haltest.Link {
				ifname := fmt.Sprintf("veth%d", made)
				made++
				near, far := c.port, c.port
				near.NS, near.Name = ours, ifname
				far.NS, far.Name = theirs, ifname
				lab.Veth(near, far)
				inOrder(ours, ifname)
				inOrder(theirs, ifname)
				if c.rate != "" {
					ours.Run("tc", "qdisc", "add", "dev", ifname, "root", "tbf", "rate", c.rate, "burst", "128k", "limit", "8m")
				}
				return haltest.Link{Dev: openIn(t, ours, fmt.Sprintf(c.spec, ifname)), Far: theirs.Far(t, ifname)}
			})
		})
	}
}
