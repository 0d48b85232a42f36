package tap

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestConfigCheck(t *testing.T) {
	for _, c := range []Config{
		{MTU: 20}, {MTU: 70000}, {Queues: -1}, {Queues: 1000}, {MAC: hal.MAC{1}}, {FDs: []int{-1}},
		{Hosts: []netip.Prefix{{}}}, {FDs: []int{3}, Persist: true}, {Name: "a:b"}, {Name: "%d%d"},
	} {
		if _, err := Open(c); !errors.Is(err, hal.ErrSpec) {
			t.Errorf("Open(%+v): %v, want hal.ErrSpec", c, err)
		}
	}
}
