package packet

import (
	"errors"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestConfigCheck(t *testing.T) {
	for _, c := range []Config{
		{}, {Name: "a:b"}, {Name: "eth0", MTU: 20}, {Name: "eth0", MTU: 70000},
		{Name: "eth0", Queues: -1}, {Name: "eth0", Queues: 1000}, {Name: "eth0", MAC: hal.MAC{1}},
	} {
		if _, err := Open(c); !errors.Is(err, hal.ErrSpec) {
			t.Errorf("Open(%+v): %v, want hal.ErrSpec", c, err)
		}
	}
}
