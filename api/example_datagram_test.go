package api_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

// Datagrams: each push is one, each pop brings one and its sender.
func ExampleLibOS_PushTo() {
	server, client := open("udp", "10.0.0.1/24"), open("udp", "10.0.0.2/24")
	defer server.Exit()
	defer client.Exit()

	// The server answers the sender of each datagram with what it got.
	addr := netip.MustParseAddrPort("10.0.0.1:7")
	qd, err := server.Socket(api.UDP)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Bind(qd, addr); err != nil {
		log.Fatal(err)
	}
	server.Pop(qd)
	go func() {
		for c, err := range server.Completions(context.Background()) {
			switch {
			case err != nil: // net.ErrClosed, after Exit
				return
			case c.Op == api.OpPop && c.Err == nil:
				server.PushTo(c.QD, c.SGA, c.From)
			default:
				c.SGA.Free()
				server.Pop(c.QD)
			}
		}
	}()

	// The client connects, so that it hears the server only. Nothing is bound:
	// the first push takes a free port.
	qd, err = client.Socket(api.UDP)
	if err != nil {
		log.Fatal(err)
	}
	t, err := client.Connect(qd, addr)
	await(client, t, err)
	for _, text := range []string{"one", "", "three"} {
		t, err := client.Push(qd, api.SGAOf([]byte(text)))
		await(client, t, err)
		t, err = client.Pop(qd)
		c := await(client, t, err)
		fmt.Printf("%q from %v, EOF: %v\n", c.SGA.Append(nil), c.From, c.EOF)
		c.SGA.Free()
	}
	// Output:
	// "one" from 10.0.0.1:7, EOF: false
	// "" from 10.0.0.1:7, EOF: false
	// "three" from 10.0.0.1:7, EOF: false
}
