package packet_test

import (
	"fmt"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/packet"
)

// The kernel has 10.78.0.1 on eth1, and keeps it; 10.78.0.2 is ours.
func ExampleOpen() {
	dev, err := packet.Open(packet.Config{Name: "eth1"})
	if err != nil {
		fmt.Println(err) // and what would help
		return
	}
	defer dev.Close()
	ours := hal.Local{Addrs: []netip.Addr{netip.MustParseAddr("10.78.0.2")}}
	if err := hal.SetLocal(dev, ours); err != nil { // a host does this by itself
		fmt.Println(err)
		return
	}
	fmt.Println(dev.Info().Mode, dev.Info().TxOffloads)
}
