package tls_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/netip"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{HAL: "loopback:tls", Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

func Example() {
	server, client := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer server.Close()
	defer client.Close()
	ca := rig.NewAuthority()
	serverConfig := &tls.Config{Certificates: []tls.Certificate{ca.Certificate("server.example")}}
	clientConfig := &tls.Config{RootCAs: ca.Pool, ServerName: "server.example"}

	ln, err := server.Net().Listen("tcp", ":443")
	if err != nil {
		log.Fatal(err)
	}
	secure := tls.NewListener(ln, serverConfig)
	go func() {
		if c, err := secure.Accept(); err == nil {
			fmt.Fprint(c, "a secret")
			c.Close()
		}
	}()

	raw, err := client.Net().Dial("tcp", "10.0.0.1:443")
	if err != nil {
		log.Fatal(err)
	}
	conn := tls.Client(raw, clientConfig)
	defer conn.Close()
	got, err := io.ReadAll(conn)
	fmt.Println(string(got), err)
	// Output: a secret <nil>
}
