package api_test

import (
	"strconv"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// A message through a memory queue, on one goroutine: a push, a pop, and both
// completions.
func BenchmarkMemoryQueue(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 64 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			l := api.New(&stub{}, api.Config{})
			defer l.Exit()
			qd := must1(l.MemoryQueue(api.MemoryLimit{}))
			sga := l.Alloc(size)
			defer sga.Free()
			var out [2]api.Completion
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				l.Push(qd, sga)
				l.Pop(qd)
				l.WaitNext(ctx, out[:])
				out[1].SGA.Free()
			}
		})
	}
}

// The same without a face: the two ops alone.
func BenchmarkMemoryOps(b *testing.B) {
	m := api.NewMemory()
	defer m.Close()
	done := func(*api.Op) {}
	sock := api.NewOp()
	sock.Kind, sock.Network, sock.Done = api.KindSocket, api.Memory, done
	m.Submit(sock)
	bufs, room := [][]byte{make([]byte, 64)}, [][]byte{make([]byte, 64)}
	b.ReportAllocs()
	for b.Loop() {
		w := api.NewOp()
		w.Kind, w.Sock, w.Bufs, w.Done = api.KindWrite, sock.NewSock, bufs, done
		m.Submit(w)
		w.Free()
		r := api.NewOp()
		r.Kind, r.Sock, r.Bufs, r.Done = api.KindRead, sock.NewSock, room, done
		m.Submit(r)
		r.Free()
	}
}

// For comparison: a Go channel of byte slices, with a copy.
func BenchmarkMemoryChannel(b *testing.B) {
	ch := make(chan []byte, 1)
	p, q := make([]byte, 64), make([]byte, 64)
	for b.Loop() {
		ch <- p
		copy(q, <-ch)
	}
}
