package services

import "github.com/ringtail-net/ringtail/api"

// maxLinger bounds what is still read from a client after the last reply. To
// close at once would reset the connection, and the reset could destroy the reply
// (RFC 9112, section 9.6).
const maxLinger = 16 << 20

// web carries an HTTP session: it pushes whatever the session has to say, and
// pops only when there is nothing. One push or one pop is in flight at any time.
type web struct {
	session   *session
	lingering bool
	lingered  int
}

func (w *web) begin(c *queueConn) error { return c.pop() }

func (w *web) popped(c *queueConn, data api.SGA) error {
	defer data.Free()
	if w.lingering {
		if w.lingered += data.Len(); w.lingered > maxLinger {
			return errDone
		}
		return c.pop()
	}
	for _, seg := range data.Segs {
		w.session.feed(seg)
	}
	return w.proceed(c)
}

func (w *web) ended(c *queueConn) error {
	if w.lingering {
		return errDone
	}
	w.session.end()
	return w.proceed(c)
}

func (w *web) pushed(c *queueConn, data api.SGA) error {
	data.Free()
	return w.proceed(c)
}

// proceed does the next thing that the session wants.
func (w *web) proceed(c *queueConn) error {
	data := c.f.lib.Alloc(chunk)
	if n := w.session.fill(data.Segs[0]); n > 0 {
		data.Segs[0] = data.Segs[0][:n]
		return c.push(data)
	}
	data.Free()
	switch {
	case !w.session.over():
		return c.pop()
	case w.session.ended:
		return errDone
	}
	w.lingering = true
	if err := c.f.lib.Shutdown(c.qd, api.ShutWrite); err != nil {
		return err
	}
	return c.pop()
}
