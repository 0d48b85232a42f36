// Package examples_test holds the code that the documents show, so that it is
// compiled and run.
package examples_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/api"
)

// open opens a host on a wire in memory, which takes no privileges. With a TAP
// device in the place of the wire nothing else changes.
func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{
		HAL:   "loopback:examples",
		Addrs: []netip.Prefix{netip.MustParsePrefix(addr)},
	})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

// echo sends back what it gets, on any number of connections, in one goroutine.
func echo(ctx context.Context, l *api.LibOS, listener api.QD) error {
	l.Accept(listener)
	for c, err := range l.Completions(ctx) {
		switch {
		case err != nil: // ctx has ended, or the host
			return err
		case c.Op == api.OpAccept:
			l.Pop(c.New)
			l.Accept(listener)
		case c.EOF || c.Err != nil:
			c.SGA.Free()
			l.Close(c.QD)
		case c.Op == api.OpPop:
			l.Push(c.QD, c.SGA)
		case c.Op == api.OpPush:
			c.SGA.Free()
			l.Pop(c.QD)
		}
	}
	return nil
}

// The queue face: one goroutine, many connections, no copy of what is echoed.
func Example_queues() {
	server, client := open("10.77.0.1/24"), open("10.77.0.2/24")
	defer server.Close()
	defer client.Close()

	l := server.LibOS()
	listener, err := l.Socket(api.TCP)
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Bind(listener, netip.MustParseAddrPort("10.77.0.1:7")); err != nil {
		log.Fatal(err)
	}
	if err := l.Listen(listener, 128); err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- echo(ctx, l, listener) }()

	conn, err := client.Net().Dial("tcp", "10.77.0.1:7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(conn, "hello")
	answer := make([]byte, 5)
	_, err = io.ReadFull(conn, answer)
	fmt.Println(string(answer), err)
	conn.Close()

	stop()
	fmt.Println(<-ended)
	// Output:
	// hello <nil>
	// context canceled
}

// The net face: net/http on both ends, and nothing of it knows.
func Example_net() {
	server, client := open("10.77.0.1/24"), open("10.77.0.2/24")
	defer server.Close()
	defer client.Close()

	ln, err := server.Net().Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", r.RemoteAddr[:9])
	}))

	web := http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}}
	defer web.CloseIdleConnections()
	resp, err := web.Get("http://10.77.0.1/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s%v", body, err)
	// Output:
	// hello 10.77.0.2
	// <nil>
}
