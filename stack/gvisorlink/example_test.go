package gvisorlink_test

import (
	"fmt"
	"log"

	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/loopback"
	ringtail "github.com/ringtail-net/ringtail/stack"
	"github.com/ringtail-net/ringtail/stack/gvisorlink"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A gVisor stack of one's own on a device of Ringtail.
func ExampleNew() {
	dev, err := hal.Open("loopback:") // or tap:…, afxdp:…
	if err != nil {
		log.Fatal(err)
	}
	link, err := gvisorlink.New(dev, gvisorlink.Options{CloseDevice: true})
	if err != nil {
		log.Fatal(err)
	}
	st := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := st.CreateNIC(1, link); err != nil {
		log.Fatal(err)
	}
	fmt.Println(st.NICInfo()[1].MTU, link.IsAttached())

	st.Close()
	st.Wait() // ends the link, which closes the device
	fmt.Println(link.IsAttached())
	// Output:
	// 1500 true
	// false
}

// A setting for which Ringtail has no words.
func ExampleDo() {
	h, err := ringtail.New(ringtail.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()

	cc := tcpip.CongestionControlOption("cubic")
	if err := gvisorlink.Do(h, func(st *stack.Stack) {
		if err := st.SetTransportProtocolOption(tcp.ProtocolNumber, &cc); err != nil {
			log.Fatal(err)
		}
		st.TransportProtocolOption(tcp.ProtocolNumber, &cc)
	}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(cc)
	// Output: cubic
}
