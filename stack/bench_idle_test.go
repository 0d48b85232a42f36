package stack_test

import (
	"context"
	"net"
	"runtime"
	"testing"

	"github.com/ringtail-net/ringtail/stack"
)

// BenchmarkIdle is the cost of holding 10,000 idle connections on the net face,
// each with a goroutine of the server in Read, and the same on the kernel's
// sockets. B/conn is the heap and the goroutine stacks of both ends; what the
// kernel holds for its sockets is not in it, and there are fewer of them, because
// each takes two descriptors. goroutines/conn counts those of both ends. The
// operation measured is an echo on one of them, each in its turn.
func BenchmarkIdle(b *testing.B) {
	const n = 10_000
	b.Run("net", func(b *testing.B) {
		client, server, addr := nets(b, stack.Config{Limits: stack.Limits{ConnsPerPeer: n}})
		l, err := server.Net().Listen("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		idle(b, n, l, client.Net().DialContext)
	})
	b.Run("kernel", func(b *testing.B) {
		l, dial := kernelListen(b)
		idle(b, n/5, l, dial)
	})
}

func idle(b *testing.B, n int, l net.Listener, dial dialer) {
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	before, goroutines := held(), runtime.NumGoroutine()
	buf := make([]byte, message)
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := dial(context.Background(), "tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
		exchange(b, c, buf)
	}
	perConn := float64(held()-before) / float64(n)
	goroutines = runtime.NumGoroutine() - goroutines
	i := 0
	rounds(b, func() {
		exchange(b, conns[i], buf)
		i = (i + 1) % n
	})
	b.ReportMetric(perConn, "B/conn")
	b.ReportMetric(float64(goroutines)/float64(n), "goroutines/conn")
}
