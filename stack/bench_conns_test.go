package stack_test

import (
	"context"
	"net/netip"
	"runtime"
	"strconv"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// BenchmarkConnections is an echo of 64 bytes on one of many connections, each in
// its turn. One goroutine serves all of them, and another is all of the clients.
// B/conn is what both ends of an idle connection hold together, with a pop
// waiting on each: heap and goroutine stacks, gVisor's part included.
func BenchmarkConnections(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { connections(b, n) })
	}
}

func connections(b *testing.B, n int) {
	client, server, addr := nets(b, stack.Config{Limits: stack.Limits{ConnsPerPeer: n}})
	ctx, stop := context.WithCancel(context.Background())
	ln, done := make(chan error, 1), make(chan error, 1)
	go func() { done <- serveConns(ctx, server, netip.MustParseAddrPort(addr), ln) }()
	if err := <-ln; err != nil {
		b.Fatal(err)
	}
	before := held()
	wait := named(b, client)
	conns := make([]api.QD, n)
	pops := make([]api.Token, n)
	for i := range conns {
		qd, err := client.Socket(api.TCP)
		if err != nil {
			b.Fatal(err)
		}
		wait(client.Connect(qd, netip.MustParseAddrPort(addr)))
		if pops[i], err = client.Pop(qd); err != nil {
			b.Fatal(err)
		}
		conns[i] = qd
	}
	out, i := api.SGAOf(make([]byte, message)), 0
	round := func() {
		wait(client.Push(conns[i], out))
		wait(pops[i], nil).SGA.Free()
		pops[i], _ = client.Pop(conns[i])
		i = (i + 1) % n
	}
	for range n { // every connection has been used
		round()
	}
	perConn := float64(held()-before) / float64(n)
	rounds(b, round)
	b.ReportMetric(perConn, "B/conn")
	stop()
	if err := <-done; err != ctx.Err() {
		b.Fatal(err)
	}
}

// serveConns echoes until ctx ends. It tells ready when it listens, or why not.
func serveConns(ctx context.Context, lib *api.LibOS, addr netip.AddrPort, ready chan<- error) error {
	ln, err := lib.Socket(api.TCP)
	if err == nil {
		err = lib.Bind(ln, addr)
	}
	if err == nil {
		err = lib.Listen(ln, 128)
	}
	if err == nil {
		_, err = lib.Accept(ln)
	}
	ready <- err
	for c, err := range lib.Completions(ctx) {
		switch {
		case err != nil:
			return err
		case c.Err != nil || c.EOF:
			c.SGA.Free()
			return c.Err
		case c.Op == api.OpAccept:
			lib.Pop(c.New)
			lib.Accept(ln)
		case c.Op == api.OpPop:
			lib.Push(c.QD, c.SGA)
		default:
			c.SGA.Free()
			lib.Pop(c.QD)
		}
	}
	return nil
}

// held is how many bytes of heap and stacks are in use.
func held() int64 {
	runtime.GC()
	runtime.GC() // pools let go at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
