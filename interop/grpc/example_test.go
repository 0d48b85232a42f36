package grpc_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ringtail-net/ringtail"
)

func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{HAL: "loopback:grpc", Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

func Example() {
	server, client := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer server.Close()
	defer client.Close()

	ln, err := server.Net().Listen("tcp", ":443")
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	go s.Serve(ln)
	defer s.Stop()

	conn, err := grpc.NewClient("passthrough:///10.0.0.1:443",
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return client.Net().DialContext(ctx, "tcp", addr)
		}), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	reply, err := grpc_health_v1.NewHealthClient(conn).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	fmt.Println(reply.GetStatus(), err)
	// Output: SERVING <nil>
}
