package stack

import (
	"errors"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// full returns a connection, and a listener's end of it that reads nothing: some of
// what was written cannot be sent.
func full(t *testing.T, a, b *Host, at string) (atA, atB api.Socket, written int) {
	t.Helper()
	atA, atB = join(t, a, b, api.TCP4, at)
	write := submit(a, api.Request{Kind: api.KindWrite, Sock: atA, Bufs: [][]byte{make([]byte, 16<<20)}})
	// What comes when something has been read fills both buffers again.
	ok(t, b, api.Request{Kind: api.KindRead, Sock: atB, Bufs: [][]byte{make([]byte, 1)}})
	a.Cancel(write.ticket, errors.New("enough"))
	return atA, atB, await(t, a, write).N - 1
}

func drain(t *testing.T, h *Host, s api.Socket) (n int) {
	t.Helper()
	p := make([]byte, 1<<20)
	for {
		r := ok(t, h, api.Request{Kind: api.KindRead, Sock: s, Bufs: [][]byte{p}})
		if r.EOF {
			return n
		}
		n += r.N
	}
}

// pending reports whether an op is not done after what was submitted before it
// has been executed.
func pending(t *testing.T, h *Host, f flight) bool {
	t.Helper()
	socketOf(t, h, api.UDP4)
	select {
	case <-f.done:
		return false
	default:
		return true
	}
}

// A close that lingers waits for the peer, for its time, for a cancel, or for the
// end of the host, and none of them costs the bytes that were accepted.
func TestLinger(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		cfg.ReadBuffer, cfg.WriteBuffer = 64<<10, 1<<20 // more is written than can be received
		a, b := pair(t, cfg, loopback.Config{})
		lingering := func(at string, d time.Duration) (f flight, peer api.Socket, written int) {
			s, peer, n := full(t, a, b, at)
			ok(t, a, api.Request{Kind: api.KindOption, Sock: s, Opt: api.Linger(d)})
			f = submit(a, api.Request{Kind: api.KindClose, Sock: s})
			if !pending(t, a, f) {
				t.Errorf("the close does not wait")
			}
			return f, peer, n
		}

		f, peer, n := lingering("10.0.0.2:1", time.Hour)
		if got := drain(t, b, peer); got != n {
			t.Errorf("%d bytes arrived of %d", got, n)
		}
		if r := await(t, a, f); r.Err != nil {
			t.Errorf("when all has arrived: %v", r.Err)
		}

		cause := errors.New("enough")
		f, peer, n = lingering("10.0.0.2:2", time.Hour)
		a.Cancel(f.ticket, cause)
		if r := await(t, a, f); r.Err != cause {
			t.Errorf("cancelled: %v", r.Err)
		}
		if got := drain(t, b, peer); got != n {
			t.Errorf("%d bytes arrived of %d", got, n)
		}

		begin := time.Now()
		s, peer, n := full(t, a, b, "10.0.0.2:3")
		ok(t, a, api.Request{Kind: api.KindOption, Sock: s, Opt: api.Linger(20 * time.Millisecond)})
		ok(t, a, api.Request{Kind: api.KindClose, Sock: s})
		if d := time.Since(begin); d < 20*time.Millisecond {
			t.Errorf("it waited %v", d)
		}
		if got := drain(t, b, peer); got != n {
			t.Errorf("%d bytes arrived of %d", got, n)
		}

		f, _, _ = lingering("10.0.0.2:4", time.Hour)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if r := await(t, a, f); r.Err != nil {
			t.Errorf("when the host is closed: %v", r.Err)
		}
		if len(a.lingering) != 0 || len(a.clock.timers) != 0 {
			t.Errorf("left: %d closes, %d timers", len(a.lingering), len(a.clock.timers))
		}
	})
}

// A reset ends a close that lingers too, and so does the end of the device.
func TestLingerFails(t *testing.T) {
	for name, end := range map[string]func(a, b *Host, peer api.Socket){
		"reset": func(_, b *Host, peer api.Socket) {
			ok(t, b, api.Request{Kind: api.KindOption, Sock: peer, Opt: api.Linger(0)})
			ok(t, b, api.Request{Kind: api.KindClose, Sock: peer})
		},
		"device": func(a, _ *Host, _ api.Socket) { a.interfaces[0].dev.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Config{ReadBuffer: 64 << 10}, loopback.Config{})
			s, peer, _ := full(t, a, b, "10.0.0.2:80")
			ok(t, a, api.Request{Kind: api.KindOption, Sock: s, Opt: api.Linger(time.Hour)})
			f := submit(a, api.Request{Kind: api.KindClose, Sock: s})
			end(a, b, peer)
			if r := await(t, a, f); r.Err != nil {
				t.Errorf("close: %v", r.Err)
			}
		})
	}
}
