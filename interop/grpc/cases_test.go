package grpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// A call is one case of gRPC's suite, over a connection.
type call func(ctx context.Context, conn *grpc.ClientConn)

// with makes a call of the form that most cases have.
func with(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) call {
	return func(ctx context.Context, conn *grpc.ClientConn) { f(ctx, testgrpc.NewTestServiceClient(conn)) }
}

// cases are those of gRPC's suite that are not about the credentials of a cloud or
// about load balancing (pick_first_unary, orca_*). Their names are the suite's.
var cases = []struct {
	name string
	call call
}{
	{"empty_unary", with(interop.DoEmptyUnaryCall)},
	{"large_unary", with(interop.DoLargeUnaryCall)},
	{"client_streaming", with(interop.DoClientStreaming)},
	{"server_streaming", with(interop.DoServerStreaming)},
	{"ping_pong", with(interop.DoPingPong)},
	{"empty_stream", with(interop.DoEmptyStream)},
	{"timeout_on_sleeping_server", with(interop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", with(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", with(interop.DoCancelAfterFirstResponse)},
	{"status_code_and_message", with(interop.DoStatusCodeAndMessage)},
	{"special_status_message", with(interop.DoSpecialStatusMessage)},
	{"custom_metadata", with(interop.DoCustomMetadata)},
	{"unimplemented_method", func(ctx context.Context, conn *grpc.ClientConn) { interop.DoUnimplementedMethod(ctx, conn) }},
	{"unimplemented_service", func(ctx context.Context, conn *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(conn))
	}},
}

// TestCases runs the suite in the clear, on one connection for all cases.
func TestCases(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		runCases(r, insecure.NewCredentials(), insecure.NewCredentials())
	})
}

func TestCasesOverTLS(t *testing.T) {
	ca := rig.NewAuthority()
	rig.Each(t, func(r *rig.Rig) {
		runCases(r, credentials.NewTLS(ca.ServerTLS(r)), credentials.NewTLS(ca.ClientTLS()))
	})
}

func runCases(r *rig.Rig, server, client credentials.TransportCredentials) {
	addr := serve(r, grpc.NewServer(grpc.Creds(server), grpc.StreamInterceptor(cancelled)))
	conn := connect(r, addr, client)
	for _, c := range cases {
		r.Run(c.name, func(t *testing.T) {
			failing(t)
			ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
			defer cancel()
			c.call(ctx, conn)
		})
	}
}

// TestSoak runs the suite's soak: calls with large messages, from several workers,
// on one connection and on a new one for each call.
func TestSoak(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		addr := serve(r, grpc.NewServer())
		conn := connect(r, addr, insecure.NewCredentials())
		soak := interop.SoakTestConfig{
			RequestSize: 271828, ResponseSize: 314159, // as in the suite
			PerIterationMaxAcceptableLatency: rig.Patience, OverallTimeout: rig.Patience,
			ServerAddr: addr, NumWorkers: 4, Iterations: r.Size(64),
		}
		for _, c := range []struct {
			name    string
			channel func() (*grpc.ClientConn, func())
		}{
			{"rpc_soak", func() (*grpc.ClientConn, func()) { return conn, func() {} }},
			{"channel_soak", func() (*grpc.ClientConn, func()) {
				one := dial(r, addr, insecure.NewCredentials())
				return one, func() { one.Close() }
			}},
		} {
			r.Run(c.name, func(t *testing.T) {
				failing(t)
				quiet(t)
				soak.ChannelForTest = c.channel
				interop.DoSoakTest(t.Context(), soak)
			})
		}
	})
}
