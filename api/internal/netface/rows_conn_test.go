package netface

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// stream are the methods of both kinds of TCP connections.
type stream interface {
	net.Conn
	io.ReaderFrom
	io.WriterTo
	CloseRead() error
	CloseWrite() error
	SetKeepAlive(bool) error
	SetKeepAlivePeriod(time.Duration) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetLinger(int) error
	SetNoDelay(bool) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
}

func (r *run) streams() (near, far stream) {
	r.Helper()
	a, b := r.pair()
	return a.(stream), b.(stream)
}

var readRows = []row{
	{
		name: "read: the peer has closed",
		body: func(r *run) {
			near, far := r.pair()
			must(far.Write([]byte("bye")))
			far.Close()
			r.read(near, "Read of what is left")
			r.read(near, "Read")
			n, err := near.Read(nil)
			r.n("Read of nothing", int64(n), err)
			r.state(near)
		},
		want: `
			Read of what is left: 3, ok
			Read: 0, EOF
			Read of nothing: 0, ok
			then Read: 0, EOF
			then Write: 1, ok
			then Close: ok`,
	},
	{
		name: "read: the peer resets",
		body: func(r *run) {
			near, far := r.streams()
			reset(far)
			r.read(near, "Read")
			r.state(near)
		},
		want: `
			Read: 0, read tcp near->far: read: ECONNRESET
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "read: the peer resets meanwhile",
		body: func(r *run) {
			near, far := r.pair()
			during(func() { r.read(near, "Read") }, func() { reset(far) })
			r.err("CloseWrite", near.(stream).CloseWrite())
			r.err("CloseRead", near.(stream).CloseRead())
			r.state(near)
		},
		want: `
			Read: 0, read tcp near->far: read: ECONNRESET
			CloseWrite: close tcp near->far: shutdown: ENOTCONN
			CloseRead: close tcp near->far: shutdown: ENOTCONN
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "read: the peer closes and has not read all",
		body: func(r *run) {
			near, far := r.pair()
			must(near.Write([]byte("xy")))
			must(far.Read(make([]byte, 1)))
			far.Close()
			r.read(near, "Read")
			r.state(near)
		},
		want: `
			Read: 0, read tcp near->far: read: ECONNRESET
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "read: nothing",
		body: func(r *run) {
			near, far := r.pair()
			zero := func(call string) {
				n, err := near.Read(nil)
				r.n(call, int64(n), err)
			}
			zero("Read of nothing")
			check(near.SetReadDeadline(time.Unix(1, 0)))
			zero("Read of nothing, too late")
			check(near.SetReadDeadline(time.Time{}))
			must(far.Write([]byte("x")))
			zero("Read of nothing, where there is something")
			r.read(near, "Read")
			reset(far)
			r.read(near, "Read after the reset")
			zero("Read of nothing after the reset")
			check(near.Close())
			zero("Read of nothing after Close")
		},
		want: `
			Read of nothing: 0, ok
			Read of nothing, too late: 0, ok
			Read of nothing, where there is something: 0, ok
			Read: 1, ok
			Read after the reset: 0, read tcp near->far: read: ECONNRESET
			Read of nothing after the reset: 0, ok
			Read of nothing after Close: 0, read tcp near->far: net.ErrClosed`,
	},
	{
		name: "read: CloseRead",
		body: func(r *run) {
			near, far := r.streams()
			must(far.Write([]byte("123456")))
			r.read(near, "Read")
			r.err("CloseRead", near.CloseRead())
			r.read(near, "Read of what was there")
			r.read(near, "Read of no more")
			r.err("CloseRead again", near.CloseRead())
			r.write(near, "Write")
			r.read(far, "Read of the far end")
		},
		want: `
			Read: 4, ok
			CloseRead: ok
			Read of what was there: 2, ok
			Read of no more: 0, EOF
			CloseRead again: ok
			Write: 1, ok
			Read of the far end: 1, ok`,
	},
	{
		name: "read: CloseRead meanwhile",
		body: func(r *run) {
			near, _ := r.streams()
			during(func() { r.read(near, "Read") }, func() { check(near.CloseRead()) })
			r.write(near, "Write")
		},
		want: `
			Read: 0, EOF
			Write: 1, ok`,
	},
	{
		name: "read: after CloseRead the peer goes on",
		body: func(r *run) {
			near, far := r.streams()
			check(near.CloseRead())
			must(far.Write([]byte("123")))
			n, err := near.Read(make([]byte, 1))
			for err == io.EOF { // until it is there
				n, err = near.Read(make([]byte, 1))
			}
			r.n("Read of what came all the same", int64(n), err)
			r.write(near, "Write")
			r.read(far, "Read of the far end")
			r.err("CloseWrite", near.CloseWrite())
			r.read(far, "Read of its end")
			r.read(near, "Read of what is left")
			r.read(near, "Read")
			r.untilFails(far, "Write of the far end, which resets it")
		},
		want: `
			Read of what came all the same: 1, ok
			Write: 1, ok
			Read of the far end: 1, ok
			CloseWrite: ok
			Read of its end: 0, EOF
			Read of what is left: 2, ok
			Read: 0, EOF
			Write of the far end, which resets it: 0, write tcp far->near: write: EPIPE`,
	},
}

var writeRows = []row{
	{
		name: "write: nothing",
		body: func(r *run) {
			near, far := r.streams()
			zero := func(call string) {
				n, err := near.Write(nil)
				r.n(call, int64(n), err)
			}
			zero("Write of nothing")
			check(near.SetWriteDeadline(time.Unix(1, 0)))
			zero("Write of nothing, too late")
			check(near.SetWriteDeadline(time.Time{}))
			check(near.CloseWrite())
			zero("Write of nothing after CloseWrite")
			reset(far)
			r.read(near, "Read")
			zero("Write of nothing after the reset")
			check(near.Close())
			zero("Write of nothing after Close")
		},
		want: `
			Write of nothing: 0, ok
			Write of nothing, too late: 0, write tcp near->far: os.ErrDeadlineExceeded (timeout)
			Write of nothing after CloseWrite: 0, write tcp near->far: write: EPIPE
			Read: 0, read tcp near->far: read: ECONNRESET
			Write of nothing after the reset: 0, write tcp near->far: write: EPIPE
			Write of nothing after Close: 0, write tcp near->far: net.ErrClosed`,
	},
	{
		name: "write: after CloseWrite",
		body: func(r *run) {
			near, far := r.streams()
			r.err("CloseWrite", near.CloseWrite())
			r.write(near, "Write")
			r.err("CloseWrite again", near.CloseWrite())
			r.read(far, "Read of the far end")
			r.write(far, "Write of the far end")
			r.read(near, "Read")
			check(far.Close())
			r.read(near, "Read at the end")
			r.err("CloseWrite of both ends", near.CloseWrite())
			r.state(near)
		},
		want: `
			CloseWrite: ok
			Write: 0, write tcp near->far: write: EPIPE
			CloseWrite again: ok
			Read of the far end: 0, EOF
			Write of the far end: 1, ok
			Read: 1, ok
			Read at the end: 0, EOF
			CloseWrite of both ends: close tcp near->far: shutdown: ENOTCONN
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "write: the peer has reset",
		body: func(r *run) {
			near, far := r.pair()
			reset(far)
			r.untilFails(near, "Write in the end")
			r.write(near, "Write again")
			r.state(near)
		},
		want: `
			Write in the end: 0, write tcp near->far: write: ECONNRESET
			Write again: 0, write tcp near->far: write: EPIPE
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "write: the peer has closed",
		body: func(r *run) {
			near, far := r.pair()
			check(far.Close())
			r.read(near, "Read")
			r.untilFails(near, "Write in the end")
			r.state(near)
		},
		want: `
			Read: 0, EOF
			Write in the end: 0, write tcp near->far: write: EPIPE
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "write: the peer resets meanwhile",
		body: func(r *run) {
			near, far := r.pair()
			n, err := near.Write(nil)
			check(err)
			during(func() { n, err = near.Write(big) }, func() {
				must(far.Read(make([]byte, 1))) // some of it has arrived
				reset(far)
			})
			r.some("Write", n, len(big), err)
			r.state(near)
		},
		want: `
			Write: some, write tcp near->far: write: ECONNRESET
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
	{
		name: "write: CloseWrite meanwhile",
		body: func(r *run) {
			near, far := r.streams()
			var n int
			var err error
			during(func() { n, err = near.Write(big) }, func() {
				must(far.Read(make([]byte, 1)))
				check(near.CloseWrite())
			})
			r.some("Write", n, len(big), err)
			got, err := io.Copy(io.Discard, far)
			r.note("what was written has arrived", yes(got+1 == int64(n)))
			r.err("ReadAll of the far end", err)
		},
		want: `
			Write: some, write tcp near->far: write: EPIPE
			what was written has arrived: yes
			ReadAll of the far end: ok`,
	},
}

// untilFails writes until that fails: that the peer is gone is known by its
// answer only.
func (r *run) untilFails(c net.Conn, call string) {
	n, err := c.Write([]byte("x"))
	for err == nil {
		time.Sleep(time.Millisecond)
		n, err = c.Write([]byte("x"))
	}
	r.n(call, int64(n), err)
}

var deadlineRows = []row{
	{
		name: "deadline: past",
		body: func(r *run) {
			near, far := r.pair()
			must(far.Write([]byte("x")))
			r.err("SetDeadline", near.SetDeadline(time.Unix(1, 0)))
			r.read(near, "Read, though there is something")
			r.write(near, "Write, though there is room")
			r.err("SetDeadline to none", near.SetDeadline(time.Time{}))
			r.read(near, "Read")
			r.write(near, "Write")
			r.err("SetDeadline to the far past", near.SetDeadline(time.Time{}.Add(1)))
			r.read(near, "Read too late")
			r.err("SetDeadline to now", near.SetDeadline(time.Now()))
			r.read(near, "Read as late")
			r.err("SetDeadline to the far future", near.SetDeadline(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
			must(far.Write([]byte("y")))
			r.read(near, "Read in time")
			r.state(near)
		},
		want: `
			SetDeadline: ok
			Read, though there is something: 0, read tcp near->far: os.ErrDeadlineExceeded (timeout)
			Write, though there is room: 0, write tcp near->far: os.ErrDeadlineExceeded (timeout)
			SetDeadline to none: ok
			Read: 1, ok
			Write: 1, ok
			SetDeadline to the far past: ok
			Read too late: 0, read tcp near->far: os.ErrDeadlineExceeded (timeout)
			SetDeadline to now: ok
			Read as late: 0, read tcp near->far: os.ErrDeadlineExceeded (timeout)
			SetDeadline to the far future: ok
			Read in time: 1, ok
			then Read: waits
			then Write: 1, ok
			then Close: ok`,
	},
	{
		name: "deadline: passes meanwhile",
		body: func(r *run) {
			near, far := r.pair()
			check(near.SetReadDeadline(time.Now().Add(5 * time.Millisecond)))
			r.read(near, "Read")
			r.read(near, "Read again")
			r.write(near, "Write, which has none")
			must(far.Read(make([]byte, 1)))
			var n int
			var err error
			during(func() { n, err = near.Write(big) }, func() {
				must(far.Read(make([]byte, 1)))
				check(near.SetWriteDeadline(time.Now().Add(5 * time.Millisecond)))
			})
			r.some("Write", n, len(big), err)
			check(near.SetWriteDeadline(time.Time{}))
			check(near.Close())
			got, err := io.Copy(io.Discard, far)
			r.note("what was written has arrived", yes(got+1 == int64(n)))
			r.err("ReadAll of the far end", err)
		},
		want: `
			Read: 0, read tcp near->far: os.ErrDeadlineExceeded (timeout)
			Read again: 0, read tcp near->far: os.ErrDeadlineExceeded (timeout)
			Write, which has none: 1, ok
			Write: some, write tcp near->far: os.ErrDeadlineExceeded (timeout)
			what was written has arrived: yes
			ReadAll of the far end: ok`,
	},
	{
		name: "deadline: is set meanwhile",
		body: func(r *run) {
			near, far := r.pair()
			check(near.SetReadDeadline(time.Now().Add(time.Hour)))
			during(func() { r.read(near, "Read, one in the past") }, func() { check(near.SetReadDeadline(time.Unix(1, 0))) })
			check(near.SetReadDeadline(time.Time{}))
			during(func() { r.read(near, "Read, one in the future") }, func() {
				check(near.SetReadDeadline(time.Now().Add(time.Millisecond)))
			})
			check(near.SetReadDeadline(time.Time{}))
			must(far.Write([]byte("x")))
			r.read(near, "Read, when it is taken away")
			r.state(near)
		},
		want: `
			Read, one in the past: 0, read tcp near->far: os.ErrDeadlineExceeded (timeout)
			Read, one in the future: 0, read tcp near->far: os.ErrDeadlineExceeded (timeout)
			Read, when it is taken away: 1, ok
			then Read: waits
			then Write: 1, ok
			then Close: ok`,
	},
	{
		name: "deadline: is moved meanwhile",
		lab:  true,
		body: func(r *run) {
			near, far := r.pair()
			check(near.SetReadDeadline(time.Now().Add(2 * time.Second)))
			during(func() { r.read(near, "Read, one that is taken away") }, func() {
				check(near.SetReadDeadline(time.Time{}))
				time.Sleep(2 * time.Second)
				must(far.Write([]byte("x")))
			})
			check(near.SetReadDeadline(time.Now().Add(2 * time.Second)))
			during(func() { r.read(near, "Read, one that is put off") }, func() {
				check(near.SetReadDeadline(time.Now().Add(time.Hour)))
				time.Sleep(2 * time.Second)
				must(far.Write([]byte("x")))
			})
		},
		want: `
			Read, one that is taken away: 1, ok
			Read, one that is put off: 1, ok`,
	},
	{
		name: "deadline: ends all that wait",
		body: func(r *run) {
			near, _ := r.pair()
			errs := make(chan error, 5)
			during(func() {
				var wg sync.WaitGroup
				for range cap(errs) {
					wg.Go(func() {
						_, err := near.Read(make([]byte, 1))
						errs <- err
					})
				}
				wg.Wait()
			}, func() { check(near.SetReadDeadline(time.Unix(1, 0))) })
			for range cap(errs) {
				r.err("one of five Reads", <-errs)
			}
		},
		want: `
			one of five Reads: read tcp near->far: os.ErrDeadlineExceeded (timeout)
			one of five Reads: read tcp near->far: os.ErrDeadlineExceeded (timeout)
			one of five Reads: read tcp near->far: os.ErrDeadlineExceeded (timeout)
			one of five Reads: read tcp near->far: os.ErrDeadlineExceeded (timeout)
			one of five Reads: read tcp near->far: os.ErrDeadlineExceeded (timeout)`,
	},
}

var closeRows = []row{
	{
		name: "close: meanwhile",
		body: func(r *run) {
			near, _ := r.pair()
			during(func() { r.read(near, "Read") }, func() { check(near.Close()) })
		},
		want: `
			Read: 0, read tcp near->far: net.ErrClosed`,
	},
	{
		name: "close: while a write waits",
		body: func(r *run) {
			near, far := r.pair()
			var n int
			var err error
			during(func() { n, err = near.Write(big) }, func() {
				must(far.Read(make([]byte, 1)))
				check(near.Close())
			})
			r.some("Write", n, len(big), err)
			got, err := io.Copy(io.Discard, far)
			r.note("what was written has arrived", yes(got+1 == int64(n)))
			r.err("ReadAll of the far end", err)
		},
		want: `
			Write: some, write tcp near->far: net.ErrClosed
			what was written has arrived: yes
			ReadAll of the far end: ok`,
	},
	{
		name: "close: then everything else",
		body: func(r *run) {
			near, _ := r.streams()
			r.err("Close", near.Close())
			r.err("Close again", near.Close())
			r.read(near, "Read")
			r.write(near, "Write")
			n, err := near.ReadFrom(io.LimitReader(zeros{}, 10))
			r.n("ReadFrom", n, err)
			n, err = near.WriteTo(io.Discard)
			r.n("WriteTo", n, err)
			r.err("CloseRead", near.CloseRead())
			r.err("CloseWrite", near.CloseWrite())
			for call, f := range ordered(
				"SetDeadline", func() error { return near.SetDeadline(time.Time{}) },
				"SetReadDeadline", func() error { return near.SetReadDeadline(time.Now()) },
				"SetWriteDeadline", func() error { return near.SetWriteDeadline(time.Now().Add(time.Hour)) },
				"SetKeepAlive", func() error { return near.SetKeepAlive(true) },
				"SetKeepAlivePeriod", func() error { return near.SetKeepAlivePeriod(time.Minute) },
				"SetKeepAliveConfig", func() error { return near.SetKeepAliveConfig(net.KeepAliveConfig{}) },
				"SetLinger", func() error { return near.SetLinger(1) },
				"SetNoDelay", func() error { return near.SetNoDelay(true) },
				"SetReadBuffer", func() error { return near.SetReadBuffer(1 << 20) },
				"SetWriteBuffer", func() error { return near.SetWriteBuffer(1 << 20) },
			) {
				r.err(call, f())
			}
			r.note("LocalAddr", r.address(near.LocalAddr()))
			r.note("RemoteAddr", r.address(near.RemoteAddr()))
		},
		want: `
			Close: ok
			Close again: close tcp near->far: net.ErrClosed
			Read: 0, read tcp near->far: net.ErrClosed
			Write: 0, write tcp near->far: net.ErrClosed
			ReadFrom: 0, readfrom tcp near->far: write tcp near->far: net.ErrClosed
			WriteTo: 0, writeto tcp near->far: read tcp near->far: net.ErrClosed
			CloseRead: close tcp near->far: net.ErrClosed
			CloseWrite: close tcp near->far: net.ErrClosed
			SetDeadline: set tcp near: net.ErrClosed
			SetReadDeadline: set tcp near: net.ErrClosed
			SetWriteDeadline: set tcp near: net.ErrClosed
			SetKeepAlive: set tcp near->far: net.ErrClosed
			SetKeepAlivePeriod: set tcp near->far: net.ErrClosed
			SetKeepAliveConfig: set tcp near->far: net.ErrClosed
			SetLinger: set tcp near->far: net.ErrClosed
			SetNoDelay: set tcp near->far: net.ErrClosed
			SetReadBuffer: set tcp near: net.ErrClosed
			SetWriteBuffer: set tcp near: net.ErrClosed
			LocalAddr: near
			RemoteAddr: far`,
	},
	{
		name: "close: what was written arrives",
		body: func(r *run) {
			near, far := r.pair()
			must(near.Write(make([]byte, 100_000)))
			check(near.Close())
			n, err := io.Copy(io.Discard, far)
			r.n("ReadAll of the far end", n, err)
		},
		want: `
			ReadAll of the far end: 100000, ok`,
	},
	{
		name: "close: SetLinger, and the peer reads",
		body: func(r *run) {
			near, far := r.streams()
			n := r.fill(near)
			check(near.SetLinger(60))
			closed := make(chan error)
			go func() { closed <- near.Close() }()
			if r.ours { // on Linux a signal ends the wait, and Go's scheduler sends some
				select {
				case err := <-closed:
					r.Fatalf("Close does not wait: %v", err)
				case <-time.After(soon):
				}
			}
			got, err := io.Copy(io.Discard, far)
			r.note("what was written has arrived", yes(got == int64(n)))
			r.err("ReadAll of the far end", err)
			check(far.Close())
			r.err("Close", <-closed)
		},
		want: `
			what was written has arrived: yes
			ReadAll of the far end: ok
			Close: ok`,
	},
	{
		name: "close: SetLinger, and the peer does not read in time",
		lab:  true,
		body: func(r *run) {
			near, far := r.streams()
			n := r.fill(near)
			check(near.SetLinger(1))
			begin := time.Now()
			r.err("Close", near.Close())
			if d := time.Since(begin); r.ours && d != time.Second { // see above
				r.Errorf("Close has waited %v", d)
			}
			got, err := io.Copy(io.Discard, far)
			r.note("what was written has arrived", yes(got == int64(n)))
			r.err("ReadAll of the far end", err)
		},
		want: `
			Close: ok
			what was written has arrived: yes
			ReadAll of the far end: ok`,
	},
	{
		name: "close: SetLinger, and nothing to wait for",
		body: func(r *run) {
			near, far := r.streams()
			must(near.Write([]byte("x")))
			must(far.Read(make([]byte, 1)))
			check(near.SetLinger(3600))
			r.err("Close", near.Close())
			r.read(far, "Read of the far end")
			r.err("Close again", near.Close())
		},
		want: `
			Close: ok
			Read of the far end: 0, EOF
			Close again: close tcp near->far: net.ErrClosed`,
	},
	{
		name: "close: what was received and not read resets the peer",
		body: func(r *run) {
			near, far := r.pair()
			must(far.Write([]byte("xy")))
			must(near.Read(make([]byte, 1)))
			check(near.Close())
			n, err := far.Read(make([]byte, 1))
			r.note("Read of the far end", yes(n == 0 && errors.Is(err, syscall.ECONNRESET)))
		},
		want: `
			Read of the far end: yes`,
	},
}

// fill writes until there is room for no more, here and at the peer, and returns
// how much that was.
func (r *run) fill(c net.Conn) (n int) {
	for full := false; !full; {
		check(c.SetWriteDeadline(time.Now().Add(10 * soon)))
		m, err := c.Write(big)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			r.Fatalf("filled with %d bytes: %v", n+m, err)
		}
		n += m
		full = m == 0 && n > 0
	}
	check(c.SetWriteDeadline(time.Time{}))
	return n
}

// big is more than all buffers hold.
var big = make([]byte, 64<<20)

// zeros reads as zeros without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// ordered goes through pairs of a name and a function.
func ordered(pairs ...any) func(func(string, func() error) bool) {
	return func(yield func(string, func() error) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i].(string), pairs[i+1].(func() error)) {
				return
			}
		}
	}
}
