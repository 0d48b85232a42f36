package api_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"github.com/ringtail-net/ringtail/api"
)

// A client knows a name, and reaches whoever has the address by it. With Servers
// in its Names it would ask them for what it does not know.
func ExampleNet_SetNames() {
	server, client := open("names", "10.0.0.1/24"), open("names", "10.0.0.2/24")
	defer server.Exit()
	defer client.Exit()

	hosts, err := api.ParseHosts(strings.NewReader(`
		10.0.0.1  www.example.com www  # as in /etc/hosts
	`))
	if err != nil {
		log.Fatal(err)
	}
	client.Net().SetNames(api.Names{Hosts: hosts})

	ln, err := server.Net().Listen("tcp", ":http")
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "This is", r.Host)
	})}
	go srv.Serve(ln)
	defer srv.Close()

	c := http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}}
	defer c.CloseIdleConnections()
	for _, url := range []string{"http://www.example.com/", "http://www/", "http://example.com/"} {
		resp, err := c.Get(url)
		if err != nil {
			fmt.Println(err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s", body)
	}
	// Output:
	// This is www.example.com
	// This is www
	// Get "http://example.com/": dial tcp: lookup example.com: no such host: this host has no DNS servers: give it some (Config.Names, SetNames, --dns), or use a literal address
}
