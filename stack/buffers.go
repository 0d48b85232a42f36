package stack

import (
	"io"

	"github.com/ringtail-net/ringtail/api"
)

// sink puts what gVisor reads into the buffers of an op, which it asks for when
// there is something to put.
type sink struct {
	op    *api.Op
	bufs  [][]byte
	limit int // most bytes to take; what a read without buffers allocates
	off   int // in bufs[0]
}

func (w *sink) Write(p []byte) (n int, err error) {
	if w.bufs == nil && w.op.Alloc != nil && w.limit > 0 {
		w.bufs = w.op.Alloc(w.op, w.limit)
		w.op.Bufs = w.bufs
	}
	for len(p) > 0 && len(w.bufs) > 0 {
		room := w.bufs[0][w.off:]
		k := copy(room, p)
		n, p, w.off = n+k, p[k:], w.off+k
		if k == len(room) {
			w.bufs, w.off = w.bufs[1:], 0
		}
	}
	if len(p) > 0 {
		err = io.ErrShortWrite
	}
	return n, err
}

// source feeds gVisor the bytes of a write.
type source struct {
	bufs [][]byte
	off  int // in bufs[0]
	left int
}

func newSource(bufs [][]byte) source {
	r := source{bufs: bufs}
	for _, b := range bufs {
		r.left += len(b)
	}
	return r
}

func (r *source) Len() int { return r.left }

func (r *source) Read(p []byte) (n int, err error) {
	for n < len(p) && r.left > 0 {
		k := copy(p[n:], r.bufs[0][r.off:])
		n += k
		r.pass(k)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// pass passes over n bytes, and over the buffers that are used up.
func (r *source) pass(n int) {
	r.left -= n
	r.off += n
	for len(r.bufs) > 0 && r.off >= len(r.bufs[0]) {
		r.off -= len(r.bufs[0])
		r.bufs = r.bufs[1:]
	}
}
