package afxdp_test

import (
	"fmt"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/afxdp"
)

// A second host on eth1: what is sent to 192.0.2.7 is ours, and all else goes to the
// kernel, as before.
func ExampleOpen() {
	dev, err := afxdp.Open(afxdp.Config{Name: "eth1", Queues: 2})
	if err != nil {
		fmt.Println(err) // says which command or key helps
		return
	}
	defer dev.Close() // and the kernel has all of it
	err = hal.SetLocal(dev, hal.Local{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}})
	if err != nil {
		fmt.Println(err) // perhaps the kernel has this address
	}
}

// A web server in front of the kernel's: it has the kernel's addresses, and of their
// ports only this one.
func ExampleOpen_ports() {
	dev, err := hal.Open("afxdp:eth1?filter=tcp/80")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dev.Close()
}
