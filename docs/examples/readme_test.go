// Package examples_test holds the code that the documents show, so that it is
// compiled and run.
package examples_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"

	"github.com/ringtail-net/ringtail"
)

// open makes a host on a wire in memory, which takes no privileges. With a TAP in
// the place of the wire nothing else changes.
func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{
		HAL:   "loopback:lan", // or "tap:rt0?host=10.77.0.1/24", or …
		Addrs: []netip.Prefix{netip.MustParsePrefix(addr)},
	})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

// Two hosts, and net/http on both: nothing of it knows.
func Example() {
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
