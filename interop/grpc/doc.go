// Package grpc is tests only: grpc-go, with the cases of its own interoperability
// suite, on a host of Ringtail. A server serves on a listener of the host, and a
// client is told how to dial:
//
//	ln, err := host.Net().Listen("tcp", ":443")
//	server.Serve(ln)
//
//	conn, err := grpc.NewClient("passthrough:///10.0.0.1:443",
//		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
//			return host.Net().DialContext(ctx, "tcp", addr)
//		}), …)
//
// The trap is in the target: without "passthrough:" gRPC resolves the name
// itself, by the machine's resolver, before it dials.
package grpc
