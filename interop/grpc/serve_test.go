package grpc_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// serve runs a server with the suite's services until the test ends.
func serve(r *rig.Rig, s *grpc.Server) (addr string) {
	r.Helper()
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	return serveOn(r, s, r.Listen())
}

func serveOn(r *rig.Rig, s *grpc.Server, ln net.Listener) (addr string) {
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	r.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			r.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// dial makes a client that dials at the client's end.
func dial(r *rig.Rig, addr string, creds credentials.TransportCredentials) *grpc.ClientConn {
	r.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return r.Client.Dial(ctx, "tcp", addr)
		}), grpc.WithTransportCredentials(creds))
	if err != nil {
		r.Fatal(err)
	}
	return conn
}

// connect is dial until the test ends.
func connect(r *rig.Rig, addr string, creds credentials.TransportCredentials) *grpc.ClientConn {
	r.Helper()
	conn := dial(r, addr, creds)
	r.Cleanup(func() { conn.Close() })
	return conn
}

// failing makes the suite's way to fail, which would end the process, fail t.
func failing(t *testing.T) {
	grpclog.SetLoggerV2(fatal{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard), t})
	t.Cleanup(func() { grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) })
}

// fatal is a logger whose Fatal is a test's.
type fatal struct {
	grpclog.LoggerV2
	t *testing.T
}

func (f fatal) Fatal(args ...any)                 { f.t.Helper(); f.t.Fatal(args...) }
func (f fatal) Fatalln(args ...any)               { f.t.Helper(); f.t.Fatal(args...) }
func (f fatal) Fatalf(format string, args ...any) { f.t.Helper(); f.t.Fatalf(format, args...) }

// quiet takes away what the soak prints about each call.
func quiet(t *testing.T) {
	stderr := os.Stderr
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = null
	t.Cleanup(func() {
		os.Stderr = stderr
		null.Close()
	})
}
