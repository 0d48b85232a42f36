package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/stack"
)

// open makes a host on a wire in memory, and its faces.
func open(wire, prefix string) *api.LibOS {
	dev, err := hal.Open("loopback:" + wire)
	if err != nil {
		log.Fatal(err)
	}
	host, err := stack.New(stack.Config{Interfaces: []stack.Interface{
		{Device: dev, Addrs: []netip.Prefix{netip.MustParsePrefix(prefix)}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	return api.New(host, api.Config{})
}

// serveEcho is a whole server: one goroutine, any number of connections.
func serveEcho(ctx context.Context, lib *api.LibOS, addr netip.AddrPort) error {
	ln, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	defer lib.Close(ln)
	if err := lib.Bind(ln, addr); err != nil {
		return err
	}
	if err := lib.Listen(ln, 128); err != nil {
		return err
	}
	if _, err := lib.Accept(ln); err != nil {
		return err
	}
	for c, err := range lib.Completions(ctx) {
		switch {
		case err != nil:
			return err
		case c.Op == api.OpAccept && c.Err != nil:
			return c.Err
		case c.Op == api.OpAccept:
			lib.Pop(c.New)
			lib.Accept(ln)
		case c.Err != nil || c.EOF:
			c.SGA.Free()
			lib.Close(c.QD)
		case c.Op == api.OpPop:
			lib.Push(c.QD, c.SGA) // what was popped, as it is
		case c.Op == api.OpPush:
			c.SGA.Free()
			lib.Pop(c.QD)
		}
	}
	return nil
}

// An echo server on queues, and a client that waits for tokens by name.
func Example() {
	server, client := open("echo", "10.0.0.1/24"), open("echo", "10.0.0.2/24")
	defer server.Exit()
	defer client.Exit()
	ctx, stop := context.WithCancel(context.Background())
	addr := netip.MustParseAddrPort("10.0.0.1:7")
	done := make(chan error)
	go func() { done <- serveEcho(ctx, server, addr) }()

	wait := func(t api.Token, err error) api.Completion {
		if err != nil {
			log.Fatal(err)
		}
		c, err := client.Wait(ctx, t)
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	var qd api.QD
	for {
		qd, _ = client.Socket(api.TCP)
		c := wait(client.Connect(qd, addr))
		if c.Err == nil {
			break
		}
		client.Close(qd) // the server does not listen yet
	}
	wait(client.Push(qd, api.SGAOf([]byte("hello, "), []byte("queue"))))
	for n := 0; n < len("hello, queue"); {
		c := wait(client.Pop(qd))
		fmt.Printf("%s", c.SGA.Append(nil))
		n += c.N
		c.SGA.Free()
	}
	fmt.Println()
	client.Close(qd)
	stop()
	fmt.Println(<-done)
	// Output:
	// hello, queue
	// context canceled
}

// Package net/http on the net face.
func ExampleNet() {
	server, client := open("http", "10.0.0.1/24"), open("http", "10.0.0.2/24")
	defer server.Exit()
	defer client.Exit()

	ln, err := server.Net().Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "Hello, world\n")
	})}
	go srv.Serve(ln)
	defer srv.Close()

	c := http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://10.0.0.1/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s", body)
	// Output: Hello, world
}

// A descriptor is closed while a pop waits: the pop ends, with a completion.
func ExampleLibOS_Close() {
	lib := open("close", "10.0.0.1/24")
	defer lib.Exit()
	qd, _ := lib.Socket(api.UDP)
	lib.Bind(qd, netip.MustParseAddrPort("10.0.0.1:53"))
	pop, _ := lib.Pop(qd)
	lib.Close(qd)
	c, err := lib.Wait(context.Background(), pop)
	fmt.Println(err, errors.Is(c.Err, syscall.ECANCELED))
	fmt.Println(lib.Close(qd))
	// Output:
	// <nil> true
	// close QD 1: bad file descriptor
}
