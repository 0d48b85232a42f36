package nethttp_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"

	"github.com/ringtail-net/ringtail"
)

func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{HAL: "loopback:http", Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

func Example() {
	server, client := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer server.Close()
	defer client.Close()

	ln, err := server.Net().Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello from", r.Host)
	}))

	web := &http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}}
	defer web.CloseIdleConnections()
	resp, err := web.Get("http://10.0.0.1/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Print(string(body), err)
	// Output:
	// hello from 10.0.0.1
	// <nil>
}
