package stack_test

import (
	"fmt"
	"io"
	"log"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/stack"
)

// Two hosts on a wire in memory.
func Example() {
	open := func(addr string) *stack.Host {
		dev, err := hal.Open("loopback:lan")
		if err != nil {
			log.Fatal(err)
		}
		h, err := stack.New(stack.Config{
			Name:       addr,
			Interfaces: []stack.Interface{{Device: dev, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}},
		})
		if err != nil {
			log.Fatal(err)
		}
		return h
	}
	server, client := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer server.Close()
	defer client.Close()

	l, err := api.New(server, api.Config{}).Net().Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()

	c, err := api.New(client, api.Config{}).Net().Dial("tcp", "10.0.0.1:7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(c, "hello")
	buf := make([]byte, 5)
	io.ReadFull(c, buf)
	fmt.Printf("%s\n", buf)
	// Output: hello
}
