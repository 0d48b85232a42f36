package grpc_test

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// A chat is a stream that echoes sizes: one request, one answer of that size.
type chat struct {
	r      *rig.Rig
	stream testgrpc.TestService_FullDuplexCallClient
}

func begin(r *rig.Rig, conn *grpc.ClientConn, opts ...grpc.CallOption) chat {
	r.Helper()
	stream, err := testgrpc.NewTestServiceClient(conn).FullDuplexCall(r.Context(), opts...)
	if err != nil {
		r.Fatal(err)
	}
	return chat{r, stream}
}

func (c chat) say(size int32) error {
	err := c.stream.Send(&testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: size}}})
	if err != nil {
		return err
	}
	m, err := c.stream.Recv()
	if err == nil && len(m.GetPayload().GetBody()) != int(size) {
		c.r.Errorf("an answer of %d bytes, want %d", len(m.GetPayload().GetBody()), size)
	}
	return err
}

// GracefulStop lets streams end, and takes no new calls.
func TestGracefulStop(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		s := grpc.NewServer()
		conn := connect(r, serve(r, s), insecure.NewCredentials())
		c := begin(r, conn)
		if err := c.say(1000); err != nil {
			r.Fatal(err)
		}
		stopped := make(chan bool)
		go func() {
			s.GracefulStop()
			close(stopped)
		}()
		// When the client has heard of it, new calls find no server.
		for {
			_, err := testgrpc.NewTestServiceClient(conn).EmptyCall(r.Context(), &testgrpc.Empty{})
			if status.Code(err) == codes.Unavailable {
				break
			}
			if err != nil {
				r.Fatalf("a call while the server stops: %v", err)
			}
		}
		select {
		case <-stopped:
			r.Error("the server stopped with a stream open")
		default:
		}
		if err := c.say(100_000); err != nil {
			r.Errorf("a stream while the server stops: %v", err)
		}
		c.stream.CloseSend()
		if _, err := c.stream.Recv(); err != io.EOF {
			r.Errorf("the end of the stream: %v", err)
		}
		<-stopped
	})
}

// A server that is stopped hard and started again at the same address is found
// again by the client that it had.
func TestRestart(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		first := grpc.NewServer()
		addr := serve(r, first)
		conn := connect(r, addr, insecure.NewCredentials())
		c := begin(r, conn)
		if err := c.say(1000); err != nil {
			r.Fatal(err)
		}
		first.Stop()
		if err := c.say(1000); status.Code(err) != codes.Unavailable && err != io.EOF {
			r.Errorf("the stream of a stopped server: %v", err)
		}
		ln, err := r.Server.Listen("tcp", addr) // at once: TIME-WAIT does not matter
		if err != nil {
			r.Fatal(err)
		}
		second := grpc.NewServer()
		testgrpc.RegisterTestServiceServer(second, interop.NewTestServer())
		serveOn(r, second, ln)
		ctx, cancel := context.WithTimeout(r.Context(), rig.Patience)
		defer cancel()
		if _, err := testgrpc.NewTestServiceClient(conn).EmptyCall(ctx, &testgrpc.Empty{}, grpc.WaitForReady(true)); err != nil {
			r.Errorf("after the restart: %v", err)
		}
	})
}
