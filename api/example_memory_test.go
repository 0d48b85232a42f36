package api_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

// A memory queue brings work of other goroutines into the loop that serves the
// sockets: one stream of completions, and no lock.
func ExampleLibOS_MemoryQueue() {
	lib, peer := open("memory", "10.0.0.1/24"), open("memory", "10.0.0.2/24")
	defer lib.Exit()
	defer peer.Exit()
	socket, err := lib.Socket(api.UDP)
	if err != nil {
		log.Fatal(err)
	}
	if err := lib.Bind(socket, netip.MustParseAddrPort("10.0.0.1:7")); err != nil {
		log.Fatal(err)
	}
	orders, err := lib.MemoryQueue(api.MemoryLimit{})
	if err != nil {
		log.Fatal(err)
	}
	lib.Pop(socket)
	lib.Pop(orders)

	// Somebody's datagram, and then an order of our own to stop.
	c, err := peer.Net().Dial("udp", "10.0.0.1:7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(c, "hello")
	c.Close()
	stop := func() {
		t, err := lib.Push(orders, api.SGAOf([]byte("stop")))
		if err != nil {
			log.Fatal(err)
		}
		lib.Drop(t) // nobody needs to know that it was pushed
	}

	for c, err := range lib.Completions(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		text := string(c.SGA.Append(nil))
		c.SGA.Free()
		switch c.QD {
		case socket:
			fmt.Println("a datagram:", text)
			go stop()
		case orders:
			fmt.Println("an order:", text)
			return
		}
	}
	// Output:
	// a datagram: hello
	// an order: stop
}
