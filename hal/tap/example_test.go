package tap_test

import (
	"fmt"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal/tap"
)

// The kernel reaches our end at any address of 10.77.0.0/24 but its own.
func ExampleOpen() {
	dev, err := tap.Open(tap.Config{
		Name:  "rt0",
		Hosts: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/24")},
	})
	if err != nil {
		fmt.Println(err) // and what would help
		return
	}
	defer dev.Close() // and rt0 is gone
	fmt.Println(dev.Info().Mode, dev.Info().TxOffloads)
}
