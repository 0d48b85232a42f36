package services

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A reply is what the site answers to a request. Its body has exactly size bytes
// and reading it never blocks.
type reply struct {
	status int
	typ    string // Content-Type
	allow  string // Allow, with status 405
	size   int64
	body   io.Reader
}

func textReply(status int, text string) reply {
	return bytesReply(status, "text/plain; charset=utf-8", []byte(text))
}

func bytesReply(status int, typ string, b []byte) reply {
	return reply{status: status, typ: typ, size: int64(len(b)), body: bytes.NewReader(b)}
}

func errorReply(status int) reply { return textReply(status, http.StatusText(status)+"\n") }

// An upload is a request whose body matters: all of it is written to the
// upload, and then there is a reply.
type upload struct{ sum hash.Hash }

func (u *upload) Write(p []byte) (int, error) { return u.sum.Write(p) }

func (u *upload) reply() reply {
	return textReply(http.StatusOK, hex.EncodeToString(u.sum.Sum(nil))+"\n")
}

// open answers a request: by a reply at once, or by an upload. Both HTTP servers
// of this package, that of the net face and that of the queue face, do nothing
// but carry what it says.
func (s *Services) open(method, path string) (reply, *upload) {
	post := path == "/sum"
	switch {
	case post && method == http.MethodPost:
		return reply{}, &upload{sha256.New()}
	case post:
		return notAllowed("POST"), nil
	}
	r, ok := s.page(path)
	switch {
	case !ok:
		return errorReply(http.StatusNotFound), nil
	case method != http.MethodGet && method != http.MethodHead:
		return notAllowed("GET, HEAD"), nil
	}
	return r, nil
}

func notAllowed(allow string) reply {
	r := errorReply(http.StatusMethodNotAllowed)
	r.allow = allow
	return r
}

// page returns what GET of a path gives.
func (s *Services) page(path string) (reply, bool) {
	switch path {
	case "/":
		return textReply(http.StatusOK, "Hello, world\n"), true
	case "/stats":
		return s.statsPage(), true
	case "/metrics":
		return bytesReply(http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", s.metrics()), true
	}
	digits, ok := strings.CutPrefix(path, "/bytes/")
	n, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil {
		return reply{}, false
	}
	return reply{
		status: http.StatusOK,
		typ:    "application/octet-stream",
		size:   int64(n),
		body:   Bytes(int64(n)),
	}, true
}

func (s *Services) statsPage() reply {
	b, err := json.MarshalIndent(s.Snapshot(), "", "  ")
	if err != nil {
		s.log.Error("the counters cannot be written as JSON", "err", err)
		return errorReply(http.StatusInternalServerError)
	}
	return bytesReply(http.StatusOK, "application/json", append(b, '\n'))
}
