package services

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxHead bounds a request line and its fields together.
const maxHead = 16 << 10

// A session is the server's end of one HTTP/1.1 connection without any I/O:
// bytes from the client go into feed, bytes for the client come out of fill, and
// neither waits. It holds a part of one request's head at most, and whatever one
// feed brought beyond the present request. So who feeds it only when fill has
// nothing to say gives the client back-pressure for free, and pipelined requests
// their order.
type session struct {
	site *Services
	now  func() time.Time

	in      []byte // arrived, not understood yet
	scanned int    // of in: no end of a head starts before
	ended   bool   // the client sends no more

	state   sessionState
	up      *upload // in stateBody
	framing framing // in stateBody

	out      []byte // to be sent before body
	body     io.Reader
	bodyLeft int64
	last     bool // no other request follows the present one
	http10   bool // the present request is an HTTP/1.0 one
}

type sessionState uint8

const (
	stateHead  sessionState = iota // waits for the head of a request
	stateBody                      // takes a body
	stateReply                     // sends a reply
	stateOver                      // has nothing more to say
)

func newSession(s *Services) *session { return &session{site: s, now: s.now} }

// feed takes what has arrived from the client. It keeps nothing of p.
func (h *session) feed(p []byte) {
	if len(h.in) == 0 && h.state == stateBody {
		p = h.take(p)
	}
	if h.state != stateOver {
		h.in = append(h.in, p...)
	}
}

// end says that the client sends no more. Requests that are complete are still
// answered.
func (h *session) end() { h.ended = true }

// over reports whether the connection can be closed: everything is said.
func (h *session) over() bool { return h.state == stateOver && len(h.out) == 0 }

// fill puts the next bytes for the client into b and returns how many. With 0
// the session is over or wants to be fed.
func (h *session) fill(b []byte) int {
	n := 0
	for n < len(b) {
		m := copy(b[n:], h.out)
		n += m
		if h.out = h.out[m:]; len(h.out) > 0 {
			continue
		}
		if h.bodyLeft > 0 {
			n += h.fillBody(b[n:])
			continue
		}
		if !h.advance() {
			break
		}
	}
	return n
}

func (h *session) fillBody(b []byte) int {
	n, err := h.body.Read(b[:min(int64(len(b)), h.bodyLeft)])
	if h.bodyLeft -= int64(n); n == 0 && err != nil {
		// The length is promised already: all that is left is to break off.
		h.site.log.Error("a page is shorter than it said", "err", err)
		h.bodyLeft, h.state = 0, stateOver
	}
	return n
}

// advance takes one step when nothing is left to be sent, and reports whether
// there was one to take.
func (h *session) advance() bool {
	switch h.state {
	case stateHead:
		return h.readHead()
	case stateBody:
		if h.in = h.take(h.in); h.state == stateBody && h.ended {
			h.state = stateOver
		}
		return h.state != stateBody
	case stateReply:
		h.body, h.state = nil, stateHead
		if h.last {
			h.in, h.state = nil, stateOver
		}
		return true
	}
	return false
}

// take passes p on to the upload and returns what lies behind the body.
func (h *session) take(p []byte) []byte {
	for {
		piece, used, err := h.framing.next(p)
		h.up.Write(piece) // a hash never fails
		p = p[used:]
		switch {
		case err != nil:
			h.fail(http.StatusBadRequest)
			return nil
		case h.framing.ended():
			h.send(h.up.reply(), false)
			return p
		case len(p) == 0:
			return nil
		}
	}
}

// readHead looks for a complete head in what has arrived, and starts the answer.
func (h *session) readHead() bool {
	h.in = bytes.TrimLeft(h.in, "\r\n") // RFC 9112, section 2.2
	n := headLen(h.in, h.scanned)
	switch {
	case n > maxHead, n == 0 && len(h.in) > maxHead:
		h.fail(http.StatusRequestHeaderFieldsTooLarge)
		return true
	case n == 0 && h.ended:
		h.in, h.state = nil, stateOver
		return true
	case n == 0:
		h.scanned = max(0, len(h.in)-3)
		return false
	}
	head := h.in[:n]
	h.scanned = 0
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if h.in = h.in[n:]; len(h.in) == 0 {
		h.in = nil // an idle connection holds no memory
	}
	if err != nil || r.ProtoMajor != 1 || r.Host == "" && r.ProtoMinor > 0 {
		h.fail(http.StatusBadRequest)
		return true
	}
	h.begin(r)
	return true
}

// headLen returns the length of the head at the start of p, its empty line
// included, or 0. No end of a head starts before p[from]. Lines may end in a bare
// line feed (RFC 9112, section 2.2).
func headLen(p []byte, from int) int {
	for i := from; ; {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			return 0
		}
		i += j + 1
		switch rest := p[i:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 2
		}
	}
}

// begin answers a request whose head is complete.
func (h *session) begin(r *http.Request) {
	h.http10, h.last = r.ProtoMinor == 0, r.Close
	rep, up := h.site.open(r.Method, r.URL.Path)
	if up == nil {
		// A body that nobody wants is not read, and behind it no other
		// request can be found.
		h.last = h.last || r.ContentLength != 0
		h.send(rep, r.Method == http.MethodHead)
		return
	}
	h.state, h.up = stateBody, up
	switch {
	case r.ContentLength < 0:
		h.framing = &chunked{}
	default:
		h.framing = &counted{r.ContentLength}
	}
	asks := strings.EqualFold(r.Header.Get("Expect"), "100-continue")
	if asks && !h.http10 && len(h.in) == 0 && !h.framing.ended() { // RFC 9110, section 10.1.1
		h.out = append(h.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	}
}

// fail answers what cannot be understood; the connection ends with it.
func (h *session) fail(status int) {
	h.last, h.in, h.scanned = true, nil, 0
	h.send(errorReply(status), false)
}

// send starts a reply.
func (h *session) send(r reply, headOnly bool) {
	h.up, h.framing, h.state = nil, nil, stateReply
	h.site.http.count(r.status)
	b := fmt.Appendf(h.out, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	b = fmt.Appendf(b, "Date: %s\r\n", h.now().UTC().Format(http.TimeFormat))
	b = append(append(b, "Content-Type: "...), r.typ...)
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), r.size, 10)
	if r.allow != "" {
		b = append(append(b, "\r\nAllow: "...), r.allow...)
	}
	switch {
	case h.last:
		b = append(b, "\r\nConnection: close"...)
	case h.http10:
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	h.out = append(b, "\r\n\r\n"...)
	if !headOnly {
		h.body, h.bodyLeft = r.body, r.size
	}
}
