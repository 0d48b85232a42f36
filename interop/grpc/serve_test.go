package grpc_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// cancelled keeps an answer of cancel_after_begin back until the cancel has
// arrived: the suite does not, and an answer that outruns it fails the case.
func cancelled(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	if info.FullMethod == testgrpc.TestService_StreamingInputCall_FullMethodName && len(md["key1"]) > 0 {
		stream = late{stream}
	}
	return handler(srv, stream)
}

// late is a stream whose answers are late.
type late struct{ grpc.ServerStream }

func (s late) SendMsg(m any) error {
	<-s.Context().Done()
	return s.ServerStream.SendMsg(m)
}

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
	current.Store(t)
	t.Cleanup(func() { current.Store(nil) })
}

// current is the test whose case is running.
var current atomic.Pointer[testing.T]

// gRPC's logger may be set before it is used, and not later.
func init() { grpclog.SetLoggerV2(fatal{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)}) }

// fatal is a logger whose Fatal is the current test's.
type fatal struct{ grpclog.LoggerV2 }

func (fatal) Fatal(args ...any)                 { current.Load().Fatal(args...) }
func (fatal) Fatalln(args ...any)               { current.Load().Fatal(args...) }
func (fatal) Fatalf(format string, args ...any) { current.Load().Fatalf(format, args...) }

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
