package stack_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// BenchmarkEcho is the round trip of 64 bytes over TCP on each face, and what it
// is to be compared with: gVisor's endpoints driven directly, the kernel, and
// net.Pipe, which is no network at all. All are within one process. "1g" is one goroutine that does everything, "2g" one for
// each end, which costs their switching.
func BenchmarkEcho(b *testing.B) {
	for _, e := range []struct {
		name string
		run  func(*testing.B)
	}{
		{"1g/gvisor", func(b *testing.B) { bareAlone(b) }},
		{"1g/queue", queueAlone},
		{"1g/net", func(b *testing.B) { connAlone(b, netListen) }},
		{"1g/kernel", func(b *testing.B) { connAlone(b, kernelListen) }},
		{"2g/gvisor", func(b *testing.B) { bareEcho(b, false) }},
		{"2g/gvisor,wire", func(b *testing.B) { bareEcho(b, true) }},
		{"2g/queue", queueEcho},
		{"2g/net", func(b *testing.B) { connEcho(b, netListen) }},
		{"2g/kernel", func(b *testing.B) { connEcho(b, kernelListen) }},
		{"2g/pipe", func(b *testing.B) { connEcho(b, pipeListen) }},
	} {
		b.Run(e.name, func(b *testing.B) {
			b.ReportAllocs()
			e.run(b)
		})
	}
}

// rounds runs the loop and reports the CPU time of the process for each round.
func rounds(b *testing.B, round func()) {
	round() // the first one fills pools
	b.ResetTimer()
	start := cpu()
	for b.Loop() {
		round()
	}
	if used := cpu() - start; used > 0 {
		b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
	}
}

func bareAlone(b *testing.B) {
	client, server := barePair(b, false, true)
	rounds(b, func() {
		client.must(client.write())
		server.rest.Settle()
		server.must(server.read())
		server.must(server.write())
		client.rest.Settle()
		client.must(client.read())
		server.rest.Settle() // the ACK
	})
}

func bareEcho(b *testing.B, wire bool) {
	client, server := barePair(b, wire, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for server.read() == nil && server.write() == nil {
		}
	}()
	rounds(b, func() {
		client.must(client.write())
		client.must(client.read())
	})
	client.ep.Abort() // the server reads a reset
	<-done
}

// queueConn makes a connection on the queue face.
func queueConn(b *testing.B) (client, server *api.LibOS, at, served api.QD) {
	client, server, addr := nets(b, stack.Config{})
	ap := netip.MustParseAddrPort(addr)
	ln, err := server.Socket(api.TCP)
	if err == nil {
		err = server.Bind(ln, ap)
	}
	if err == nil {
		err = server.Listen(ln, 1)
	}
	if err != nil {
		b.Fatal(err)
	}
	accept, err := server.Accept(ln)
	if err != nil {
		b.Fatal(err)
	}
	if at, err = client.Socket(api.TCP); err != nil {
		b.Fatal(err)
	}
	named(b, client)(client.Connect(at, ap))
	return client, server, at, named(b, server)(accept, nil).New
}

// named waits for a token by name.
func named(b *testing.B, lib *api.LibOS) func(api.Token, error) api.Completion {
	return func(t api.Token, err error) api.Completion {
		if err != nil {
			b.Fatal(err)
		}
		c, err := lib.Wait(context.Background(), t)
		if err != nil || c.Err != nil {
			b.Fatal(err, c.Err)
		}
		return c
	}
}

// message is pushed and comes back whole: it fits one segment.
const message = 64

func queueAlone(b *testing.B) {
	client, server, at, served := queueConn(b)
	out := api.SGAOf(make([]byte, message))
	onClient, onServer := named(b, client), named(b, server)
	rounds(b, func() {
		onClient(client.Push(at, out))
		in := onServer(server.Pop(served))
		onServer(server.Push(served, in.SGA)).SGA.Free()
		back := onClient(client.Pop(at))
		if back.N != message {
			b.Fatalf("%d bytes came back", back.N)
		}
		back.SGA.Free()
	})
}

func queueEcho(b *testing.B) {
	client, server, at, served := queueConn(b)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Pop(served)
		for c, err := range server.Completions(ctx) {
			switch {
			case err != nil || c.Err != nil || c.EOF:
				c.SGA.Free()
				return
			case c.Op == api.OpPop:
				server.Push(c.QD, c.SGA)
			default:
				c.SGA.Free()
				server.Pop(c.QD)
			}
		}
	}()
	out := api.SGAOf(make([]byte, message))
	wait := named(b, client)
	rounds(b, func() {
		wait(client.Push(at, out))
		for n := 0; n < message; {
			c := wait(client.Pop(at))
			n += c.N
			c.SGA.Free()
		}
	})
	stop()
	<-done
}

// A listen makes a listener, and how to dial it.
type listen func(b *testing.B) (net.Listener, dialer)

func netListen(b *testing.B) (net.Listener, dialer) {
	client, server, addr := nets(b, stack.Config{})
	l, err := server.Net().Listen("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	return l, client.Net().DialContext
}

func kernelListen(b *testing.B) (net.Listener, dialer) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l, new(net.Dialer).DialContext
}

// pipes is a listener whose connections are pipes.
type pipes chan net.Conn

func pipeListen(*testing.B) (net.Listener, dialer) {
	l := make(pipes, 1)
	return l, func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		l <- there
		return here, nil
	}
}

func (l pipes) Accept() (net.Conn, error) { return <-l, nil }
func (l pipes) Close() error              { return nil }
func (l pipes) Addr() net.Addr            { return new(net.UnixAddr) }

// connPair makes a connection.
func connPair(b *testing.B, listen listen) (client, server net.Conn) {
	l, dial := listen(b)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	client, err := dial(context.Background(), "tcp", l.Addr().String())
	server = <-accepted
	if err != nil || server == nil {
		b.Fatal(err)
	}
	return client, server
}

func connAlone(b *testing.B, listen listen) {
	client, server := connPair(b, listen)
	defer client.Close()
	defer server.Close()
	buf := make([]byte, message)
	pass := func(from, to net.Conn) {
		if _, err := from.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(to, buf); err != nil {
			b.Fatal(err)
		}
	}
	rounds(b, func() {
		pass(client, server)
		pass(server, client)
	})
}

func connEcho(b *testing.B, listen listen) {
	client, server := connPair(b, listen)
	done := make(chan struct{})
	go func() {
		defer close(done)
		echo(server)
	}()
	buf := make([]byte, message)
	rounds(b, func() { exchange(b, client, buf) })
	client.Close()
	<-done
}

// echo sends messages back until the connection ends.
func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, message)
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}

// exchange sends a message and waits for it to come back.
func exchange(b *testing.B, c net.Conn, buf []byte) {
	if _, err := c.Write(buf); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		b.Fatal(err)
	}
}
