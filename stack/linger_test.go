package stack

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// A lingerer is a connection of host a that waits when it is closed, to host b.
type lingerer struct {
	*testing.T
	a, b      *Host
	near, far api.Socket
	sent      int // before the close
}

// much is more than the receive buffer of the far end has room for.
const much = 400 << 10

const lingerTime = 10 * time.Second

// lingers makes a lingerer that has written some bytes.
func lingers(t *testing.T, cfg Config, n int) *lingerer {
	cfg.ReadBuffer = 64 << 10
	a, b := pair(t, cfg, loopback.Config{})
	l := &lingerer{T: t, a: a, b: b}
	l.near, l.far = join(t, a, b, api.TCP4, "10.0.0.2:7")
	ok(t, a, api.Request{Kind: api.KindOption, Sock: l.near, Opt: api.Linger(lingerTime)})
	if n > 0 {
		l.sent = ok(t, a, api.Request{Kind: api.KindWrite, Sock: l.near, Bufs: [][]byte{make([]byte, n)}}).N
	}
	return l
}

func (l *lingerer) close() flight { return submit(l.a, api.Request{Kind: api.KindClose, Sock: l.near}) }

// rest reads at the far end what comes until the stream ends.
func (l *lingerer) rest() (n int, err error) {
	buf := make([]byte, 64<<10)
	for {
		r := call(l.T, l.b, api.Request{Kind: api.KindRead, Sock: l.far, Bufs: [][]byte{buf}})
		if r.Err != nil || r.EOF {
			return n, r.Err
		}
		n += r.N
	}
}

// all is rest, where nothing may be missing.
func (l *lingerer) all() {
	l.Helper()
	if n, err := l.rest(); n != l.sent || err != nil {
		l.Errorf("%d of %d bytes came: %v", n, l.sent, err)
	}
}

// How long a close waits is exact in a bubble, where nothing else takes time.
func TestLinger(t *testing.T) {
	for name, c := range map[string]struct {
		bytes int
		run   func(*lingerer) flight // begins the close
		takes time.Duration          // of virtual time; 0: none worth mentioning
		after func(*lingerer)
	}{
		"the peer reads":               {bytes: 1000, run: (*lingerer).close, after: (*lingerer).all},
		"there is nothing to wait for": {run: (*lingerer).close, after: (*lingerer).all},
		"the peer does not read": {bytes: much, run: (*lingerer).close, takes: lingerTime, after: func(l *lingerer) {
			time.Sleep(time.Minute)
			l.all() // what is left goes on in the background
		}},
		"the peer reads late": {bytes: much, takes: 3 * time.Second, run: func(l *lingerer) flight {
			f := l.close()
			time.Sleep(3 * time.Second)
			l.all()
			return f
		}},
		"the peer resets": {bytes: much, takes: time.Second, run: func(l *lingerer) flight {
			f := l.close()
			time.Sleep(time.Second)
			ok(l.T, l.b, api.Request{Kind: api.KindOption, Sock: l.far, Opt: api.Linger(0)})
			ok(l.T, l.b, api.Request{Kind: api.KindClose, Sock: l.far})
			return f
		}},
		"the peer has ended its side": {bytes: much, takes: 2 * time.Second, run: func(l *lingerer) flight {
			ok(l.T, l.b, api.Request{Kind: api.KindShutdown, Sock: l.far, How: api.ShutWrite})
			synctest.Wait()
			f := l.close()
			time.Sleep(2 * time.Second)
			l.all()
			return f
		}},
		"our side is ended already": {bytes: much, takes: lingerTime, run: func(l *lingerer) flight {
			ok(l.T, l.a, api.Request{Kind: api.KindShutdown, Sock: l.near, How: api.ShutWrite})
			return l.close()
		}, after: (*lingerer).all},
		"we have not read all": {bytes: much, run: func(l *lingerer) flight {
			ok(l.T, l.b, api.Request{Kind: api.KindWrite, Sock: l.far, Bufs: [][]byte{make([]byte, 10)}})
			synctest.Wait()
			return l.close()
		}, after: func(l *lingerer) {
			if _, err := l.rest(); !errors.Is(err, syscall.ECONNRESET) {
				l.Errorf("the far end: %v", err)
			}
		}},
		"the device fails": {bytes: much, takes: time.Second, run: func(l *lingerer) flight {
			f := l.close()
			time.Sleep(time.Second)
			l.a.interfaces[0].dev.Close()
			return f
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lingers(t, Config{}, c.bytes)
				begin := time.Now()
				if r := await(t, l.a, c.run(l)); r.Err != nil {
					t.Errorf("the close: %v", r.Err)
				}
				if d := time.Since(begin); d.Round(time.Second) != c.takes || d < c.takes {
					t.Errorf("the close took %v, want %v", d, c.takes)
				}
				if c.after != nil {
					c.after(l)
				}
				if s := l.a.Stats(); s.Waiting != 0 || s.Sockets != 0 {
					t.Errorf("left behind: %+v", s)
				}
			})
		})
	}
}

// While a close waits its socket is closed to everybody else, and the wait can be
// ended.
func TestLingerEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*lingerer, flight)
		want error
	}{
		"by a cancel":       {func(l *lingerer, f flight) { l.a.Cancel(f.ticket, syscall.ECANCELED) }, syscall.ECANCELED},
		"by the host's end": {func(l *lingerer, f flight) { l.a.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			l := lingers(t, Config{}, much)
			read := submit(l.a, api.Request{Kind: api.KindRead, Sock: l.near, Bufs: [][]byte{make([]byte, 1)}})
			f := l.close()
			if r := await(t, l.a, read); r.Err != net.ErrClosed {
				t.Errorf("a read that was pending: %v", r.Err)
			}
			for _, k := range []api.Kind{api.KindRead, api.KindWrite, api.KindName, api.KindClose} {
				if r := call(t, l.a, api.Request{Kind: k, Sock: l.near}); r.Err != net.ErrClosed {
					t.Errorf("%v: %v", k, r.Err)
				}
			}
			stillWaits(t, f)
			c.end(l, f)
			if r := await(t, l.a, f); r.Err != c.want {
				t.Errorf("the close: %v, want %v", r.Err, c.want)
			}
			if n := l.a.lingers.Len(); n != 0 {
				t.Errorf("%d closes wait", n)
			}
			if c.want != net.ErrClosed {
				l.all()
			}
		})
	}
}

// A close waits for the acknowledgement and not for the peer's end of the stream,
// by whatever goroutines TCP is processed. No timer of gVisor's comes in between:
// the test would not wait so long.
func TestLingerToAPeerThatStays(t *testing.T) {
	for name, cfg := range map[string]Config{"inline": {}, "barrier": {Barrier: true}, "foreign": {Foreign: true}, "acked": {Acked: true}} {
		t.Run(name, func(t *testing.T) {
			l := lingers(t, cfg, much)
			ok(t, l.a, api.Request{Kind: api.KindOption, Sock: l.near, Opt: api.Linger(time.Hour)})
			f := l.close()
			l.all()
			if r := await(t, l.a, f); r.Err != nil {
				t.Errorf("the close: %v", r.Err)
			}
		})
	}
}
