package sim

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// Memory queues are in the same order as sockets, in both kinds of worlds.
func TestMemoryQueue(t *testing.T) {
	exchange := func(lib *api.LibOS, between func()) {
		qd := must1(lib.MemoryQueue(api.MemoryLimit{Messages: 1}))
		pop := must1(lib.Pop(qd))
		between()
		must1(lib.Push(qd, api.SGAOf([]byte("a message"))))
		c := must1(lib.Wait(context.Background(), pop))
		if c.Err != nil || string(c.SGA.Segs[0]) != "a message" {
			t.Errorf("the pop brought %+v", c)
		}
		c.SGA.Free()
		must(lib.Close(qd))
	}
	w := New(1)
	defer w.Close()
	exchange(w.Host("a").LibOS(), func() { w.RunFor(time.Second) })
	Test(t, func(w *World) {
		exchange(w.Host("a").LibOS(), func() { time.Sleep(time.Second) })
	})
}

// Deadlines and cancels end what waits, at their moment; a close with Linger waits
// for the peer, any other does not.
func TestDeadlinesAndCloses(t *testing.T) {
	Test(t, func(w *World) {
		server, client := w.Host("server"), w.Host("client")
		ln := must1(server.Net().Listen("tcp", ":7"))
		c := must1(client.Net().Dial("tcp", "server:7")).(*api.Conn)
		peer := must1(ln.Accept())
		begin := time.Now()
		c.SetReadDeadline(begin.Add(3 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 3*time.Second {
			w.T.Errorf("Read: %v after %v, want a deadline of 3 s", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		begin = time.Now()
		heal := w.Partition(server)
		if _, err := client.Net().DialContext(ctx, "tcp", "server:7"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			w.T.Errorf("DialContext: %v after %v, want a timeout of 1 s", err, time.Since(begin))
		}
		heal()
		must(c.SetLinger(10))
		must1(c.Write([]byte("last words")))
		begin = time.Now()
		if err := c.Close(); err != nil || time.Since(begin) < 2*time.Millisecond {
			w.T.Errorf("Close with Linger: %v after %v, less than a round trip", err, time.Since(begin))
		}
		if p, err := io.ReadAll(peer); err != nil || string(p) != "last words" {
			w.T.Errorf("the peer has read %q, %v", p, err)
		}
		begin = time.Now()
		if err := peer.Close(); err != nil || time.Since(begin) != 0 {
			w.T.Errorf("Close: %v after %v", err, time.Since(begin))
		}
	})
}
