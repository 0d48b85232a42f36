package stack

import (
	"runtime"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// TestForeignSockets is about the host's own sockets when gVisor's processors
// run on goroutines of their own: with one P always after the turn that gave
// them a segment, when everybody sleeps.
func TestForeignSockets(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	a, b := pair(t, Config{Foreign: true}, loopback.Config{})
	if got := a.Stats().Settle; got != "foreign" {
		t.Fatalf("TCP is processed by the %s", got)
	}
	ca, cb := join(t, a, b, api.TCP4, "10.0.0.2:7")
	buf := []byte{0}
	for range 200 {
		for _, way := range []struct {
			from, to *Host
			w, r     api.Socket
		}{{a, b, ca, cb}, {b, a, cb, ca}} {
			read := submit(way.to, api.Request{Kind: api.KindRead, Sock: way.r, Bufs: [][]byte{buf}})
			ok(t, way.from, api.Request{Kind: api.KindWrite, Sock: way.w, Bufs: [][]byte{{1}}})
			if r := await(t, way.to, read); r.Err != nil || r.N != 1 {
				t.Fatalf("read: %+v", r)
			}
		}
	}
	transfer(t, a, b, ca, cb, 1<<20, 1)
}
