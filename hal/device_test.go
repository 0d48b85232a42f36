package hal_test

import (
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestParseMAC(t *testing.T) {
	if m, err := hal.ParseMAC("02:00:00:00:00:01"); err != nil || m != (hal.MAC{2, 0, 0, 0, 0, 1}) {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{"", "02:00", "x", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:00:00:00:00:00:00:01"} {
		if m, err := hal.ParseMAC(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, m)
		}
	}
}
