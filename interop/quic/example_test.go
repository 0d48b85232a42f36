package quic_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/ringtail-net/ringtail"
)

func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{HAL: "loopback:quic", Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

// echoOne answers the first stream of the first connection.
func echoOne(listener *quic.Listener) {
	conn, err := listener.Accept(context.Background())
	if err != nil {
		return
	}
	if stream, err := conn.AcceptStream(context.Background()); err == nil {
		io.Copy(stream, stream)
		stream.Close()
	}
}

func Example() {
	server, client := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer server.Close()
	defer client.Close()
	serverTLS, clientTLS := configs("10.0.0.1")

	pc, err := server.Net().ListenPacket("udp", ":443")
	if err != nil {
		log.Fatal(err)
	}
	transport := &quic.Transport{Conn: pc}
	defer transport.Close()
	listener, err := transport.Listen(serverTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	go echoOne(listener)

	if pc, err = client.Net().ListenPacket("udp", ":0"); err != nil {
		log.Fatal(err)
	}
	local := &quic.Transport{Conn: pc}
	defer local.Close()
	conn, err := local.Dial(context.Background(), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, clientTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := conn.OpenStream()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(stream, "quick")
	stream.Close()
	reply, err := io.ReadAll(stream)
	fmt.Println(string(reply), err)
	// Output: quick <nil>
}
