package ringtail_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"github.com/ringtail-net/ringtail"
)

// Two hosts on a wire in memory: one serves, the other is the client. With
// another HAL the same program serves on a TAP or a network card.
func Example() {
	open := func(addr string) *ringtail.Host {
		host, err := ringtail.Open(ringtail.Config{
			HAL:   "loopback:example",
			Addrs: []netip.Prefix{netip.MustParsePrefix(addr)},
		})
		if err != nil {
			panic(err)
		}
		return host
	}
	server, client := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer server.Close()
	defer client.Close()
	if err := server.Ready(context.Background()); err != nil {
		panic(err)
	}

	ln, err := server.Net().Listen("tcp", ":80")
	if err != nil {
		panic(err)
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello from", r.Host)
	}))

	web := http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext, DisableKeepAlives: true}}
	reply, err := web.Get("http://10.0.0.1/")
	if err != nil {
		panic(err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	fmt.Print(string(body))
	// Output: hello from 10.0.0.1
}
