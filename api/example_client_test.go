package api_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

// await waits for an op by name. That the op could not be begun, that waiting
// failed, or that the op did, is all the same to the examples.
func await(lib *api.LibOS, t api.Token, err error) api.Completion {
	if err != nil {
		log.Fatal(err)
	}
	c, err := lib.Wait(context.Background(), t)
	if err != nil {
		log.Fatal(err)
	}
	if c.Err != nil {
		log.Fatal(c.Err)
	}
	return c
}

// A client has one thing to do at a time: it names what it waits for.
func ExampleLibOS_Connect() {
	server, lib := open("connect", "10.0.0.1/24"), open("connect", "10.0.0.2/24")
	defer server.Exit()
	defer lib.Exit()
	ln, err := server.Net().Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go func() { // upper case, on the other face
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 16)
		n, _ := c.Read(buf)
		for i := range buf[:n] {
			buf[i] -= 'a' - 'A'
		}
		c.Write(buf[:n])
	}()

	qd, err := lib.Socket(api.TCP)
	if err != nil {
		log.Fatal(err)
	}
	t, err := lib.Connect(qd, netip.MustParseAddrPort("10.0.0.1:7"))
	await(lib, t, err)

	s := lib.Alloc(5)
	copy(s.Segs[0], "queue")
	t, err = lib.Push(qd, s)
	await(lib, t, err).SGA.Free() // what was pushed comes back

	for {
		t, err = lib.Pop(qd)
		c := await(lib, t, err)
		if c.EOF {
			break
		}
		fmt.Printf("%s\n", c.SGA.Append(nil))
		c.SGA.Free()
	}
	fmt.Println(lib.Close(qd))
	// Output:
	// QUEUE
	// <nil>
}

// One wait for whatever comes first, of a few ops of different kinds.
func ExampleLibOS_WaitAny() {
	server, lib := open("any", "10.0.0.1/24"), open("any", "10.0.0.2/24")
	defer server.Exit()
	defer lib.Exit()

	tcp, _ := server.Socket(api.TCP)
	server.Bind(tcp, netip.MustParseAddrPort("10.0.0.1:7"))
	server.Listen(tcp, 1)
	udp, _ := server.Socket(api.UDP)
	server.Bind(udp, netip.MustParseAddrPort("10.0.0.1:7"))
	accept, err := server.Accept(tcp)
	if err != nil {
		log.Fatal(err)
	}
	pop, err := server.Pop(udp)
	if err != nil {
		log.Fatal(err)
	}
	tokens := []api.Token{accept, pop}

	send := func(network, text string) {
		c, err := lib.Net().Dial(network, "10.0.0.1:7")
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, text)
	}
	send("udp", "a datagram")
	i, c, err := server.WaitAny(context.Background(), tokens)
	fmt.Printf("%d: %s %q %v\n", i, c.Op, c.SGA.Append(nil), err)
	c.SGA.Free()

	tokens = append(tokens[:i], tokens[i+1:]...) // a token is good for one completion
	send("tcp", "")
	i, c, err = server.WaitAny(context.Background(), tokens)
	fmt.Printf("%d: %s from %v, %v\n", i, c.Op, c.From.Addr(), err)
	// Output:
	// 1: pop "a datagram" <nil>
	// 0: accept from 10.0.0.2, <nil>
}
