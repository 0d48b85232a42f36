package stack

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// A write that has to wait for room goes on where it stopped, and looks at nothing
// that it has passed, however many buffers that are: here it is taken away.
func TestWriteGoesOn(t *testing.T) {
	a, b := pair(t, Config{ReadBuffer: 64 << 10, WriteBuffer: 64 << 10}, loopback.Config{})
	near, far := join(t, a, b, api.TCP4, "10.0.0.2:7")
	var want []byte
	var bufs [][]byte
	for i := range 20_000 {
		p := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, i%37) // some are empty
		want, bufs = append(want, p...), append(bufs, p)
	}
	f := submit(a, api.Request{Kind: api.KindWrite, Sock: near, Bufs: bufs})
	s := near.(*socket)
	var got []byte
	passed := 0
	for len(got) < len(want) {
		a.turn.Lock()
		if op := s.writes.Front(); op != nil {
			for ; passed+len(bufs[0]) <= op.N; bufs = bufs[1:] {
				passed += len(bufs[0])
				bufs[0] = nil
			}
		}
		a.turn.Unlock()
		p := make([]byte, 10_000)
		r := ok(t, b, api.Request{Kind: api.KindRead, Sock: far, Bufs: [][]byte{p}})
		got = append(got, p[:r.N]...)
	}
	if r := await(t, a, f); r.Err != nil || r.N != len(want) || !bytes.Equal(got, want) {
		t.Errorf("%+v, want %d bytes; they are the same: %v", r, len(want), bytes.Equal(got, want))
	}
}

// What a write leaves behind that is cancelled is nothing to the next, also if that
// is the same op again.
func TestWriteAfterOneThatWasCancelled(t *testing.T) {
	a, b := pair(t, Config{ReadBuffer: 64 << 10, WriteBuffer: 64 << 10}, loopback.Config{})
	near, far := join(t, a, b, api.TCP4, "10.0.0.2:7")
	op := api.NewOp()
	done := make(chan api.Result, 1)
	begin := func(p []byte) api.Ticket {
		op.Request = api.Request{Kind: api.KindWrite, Sock: near, Bufs: [][]byte{p}}
		op.Result = api.Result{}
		op.Done = func(op *api.Op) { done <- op.Result }
		ticket := op.Ticket()
		a.Submit(op)
		return ticket
	}
	a.Cancel(begin(bytes.Repeat([]byte("x"), 1<<20)), syscall.ECANCELED)
	first := await(t, a, flight{done: done})
	if first.Err != syscall.ECANCELED || first.N == 0 || first.N == 1<<20 {
		t.Fatalf("cancelled: %+v", first)
	}
	begin(bytes.Repeat([]byte("y"), 200_000))
	var got []byte
	for len(got) < first.N+200_000 {
		p := make([]byte, 10_000)
		r := ok(t, b, api.Request{Kind: api.KindRead, Sock: far, Bufs: [][]byte{p}})
		got = append(got, p[:r.N]...)
	}
	if r := await(t, a, flight{done: done}); r.Err != nil || r.N != 200_000 {
		t.Errorf("the next: %+v", r)
	}
	if x := bytes.Count(got, []byte("x")); x != first.N || !bytes.Equal(got[x:], bytes.Repeat([]byte("y"), 200_000)) {
		t.Errorf("%d of the first write, %d in all", x, len(got))
	}
}
