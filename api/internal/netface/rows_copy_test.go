package netface

import (
	"bytes"
	"io"
	"net"
	"time"
)

// failing fails after so many bytes, as a reader and as a writer.
type failing struct{ left int }

func (f *failing) Read(p []byte) (int, error) {
	n := min(f.left, len(p))
	if f.left -= n; n == 0 {
		return 0, errOwn
	}
	return n, nil
}

func (f *failing) Write(p []byte) (int, error) {
	n := min(f.left, len(p))
	if f.left -= n; n < len(p) {
		return n, errOwn
	}
	return n, nil
}

// short takes one byte of what it is given, and says nothing.
type short struct{}

func (short) Write([]byte) (int, error) { return 1, nil }

// hurrying sets a deadline when it has been written to.
type hurrying struct{ c net.Conn }

func (h hurrying) Write(p []byte) (int, error) {
	return len(p), h.c.SetReadDeadline(time.Now().Add(time.Millisecond))
}

// ending takes one byte and says that this was the end, which is no end of what
// is read.
type ending struct{}

func (ending) Write([]byte) (int, error) { return 1, io.EOF }

var copyRows = []row{
	{
		name: "copy: all of it",
		body: func(r *run) {
			near, far := r.streams()
			sent := bytes.Repeat([]byte("copy"), 50_000)
			during(func() {
				n, err := near.ReadFrom(onlyReader{bytes.NewReader(sent)})
				r.n("ReadFrom", n, err)
				check(near.CloseWrite())
			}, func() {
				var got bytes.Buffer
				n, err := far.WriteTo(&got)
				if n != int64(len(sent)) || err != nil || !bytes.Equal(got.Bytes(), sent) {
					r.Errorf("WriteTo of the far end: %d, %v", n, err)
				}
			})
			check(far.Close())
			n, err := near.WriteTo(io.Discard)
			r.n("WriteTo", n, err)
		},
		want: `
			ReadFrom: 200000, ok
			WriteTo: 0, ok`,
	},
	{
		name: "copy: the other side fails",
		body: func(r *run) {
			near, far := r.streams()
			n, err := near.ReadFrom(&failing{5})
			r.n("ReadFrom", n, err)
			must(io.ReadFull(far, make([]byte, 5)))
			must(far.Write([]byte("12345")))
			n, err = near.WriteTo(&failing{2})
			r.n("WriteTo", n, err)
			must(far.Write([]byte("12345")))
			n, err = near.WriteTo(short{})
			r.n("WriteTo a short writer", n, err)
			must(far.Write([]byte("12345")))
			n, err = near.WriteTo(ending{})
			r.n("WriteTo a writer that ends", n, err)
			r.state(near)
		},
		want: `
			ReadFrom: 5, readfrom tcp near->far: the caller's own error
			WriteTo: 2, writeto tcp near->far: the caller's own error
			WriteTo a short writer: 1, writeto tcp near->far: io.ErrShortWrite
			WriteTo a writer that ends: 1, EOF
			then Read: waits
			then Write: 1, ok
			then Close: ok`,
	},
	{
		name: "copy: too late",
		body: func(r *run) {
			near, far := r.streams()
			must(far.Write([]byte("123")))
			n, err := near.WriteTo(hurrying{near})
			r.n("WriteTo", n, err)
			check(near.SetWriteDeadline(time.Unix(1, 0)))
			n, err = near.ReadFrom(io.LimitReader(zeros{}, 10))
			r.n("ReadFrom", n, err)
			r.state(near)
		},
		want: `
			WriteTo: 3, writeto tcp near->far: read tcp near->far: os.ErrDeadlineExceeded (timeout)
			ReadFrom: 0, readfrom tcp near->far: write tcp near->far: os.ErrDeadlineExceeded (timeout)
			then Read: waits
			then Write: 1, ok
			then Close: ok`,
	},
	{
		name: "copy: closed meanwhile",
		body: func(r *run) {
			near, _ := r.streams()
			during(func() {
				n, err := near.WriteTo(io.Discard)
				r.n("WriteTo", n, err)
			}, func() { check(near.Close()) })
			near, far := r.streams()
			during(func() {
				_, err := near.ReadFrom(onlyReader{zeros{}})
				r.err("ReadFrom", err)
			}, func() {
				must(far.Read(make([]byte, 1)))
				check(near.Close())
			})
		},
		want: `
			WriteTo: 0, writeto tcp near->far: read tcp near->far: net.ErrClosed
			ReadFrom: readfrom tcp near->far: write tcp near->far: net.ErrClosed`,
	},
	{
		name: "copy: the peer resets",
		body: func(r *run) {
			near, far := r.streams()
			during(func() {
				n, err := near.WriteTo(io.Discard)
				r.n("WriteTo", n, err)
			}, func() { reset(far) })
			near, far = r.streams()
			during(func() {
				_, err := near.ReadFrom(onlyReader{zeros{}})
				r.err("ReadFrom", err)
			}, func() {
				must(far.Read(make([]byte, 1)))
				reset(far)
			})
			r.state(near)
		},
		want: `
			WriteTo: 0, writeto tcp near->far: read tcp near->far: read: ECONNRESET
			ReadFrom: readfrom tcp near->far: write tcp near->far: write: ECONNRESET
			then Read: 0, EOF
			then Write: 0, write tcp near->far: write: EPIPE
			then Close: ok`,
	},
}

type onlyReader struct{ io.Reader }
