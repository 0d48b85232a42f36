package services

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func testServices() *Services {
	return New(Config{Now: func() time.Time { return testTime }})
}

// converse feeds a session input in pieces of the given size, the client's end
// behind it, and returns all it says.
func converse(t *testing.T, input string, piece int) (said string, s *session) {
	t.Helper()
	s = newSession(testServices())
	var out bytes.Buffer
	b := make([]byte, 37) // smaller than a head
	listen := func() {
		for n := s.fill(b); n > 0; n = s.fill(b) {
			out.Write(b[:n])
		}
	}
	listen()
	for len(input) > 0 && !s.over() {
		n := min(piece, len(input))
		s.feed([]byte(input[:n]))
		input = input[n:]
		listen()
	}
	s.end()
	listen()
	if !s.over() {
		t.Fatal("the session goes on after the client's end")
	}
	return out.String(), s
}

// replies reads all replies to requests of the given methods.
func replies(t *testing.T, said string, methods ...string) (statuses []int, bodies []string) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(said))
	for _, m := range methods {
		resp, err := http.ReadResponse(r, &http.Request{Method: m})
		if err != nil {
			t.Fatalf("reply to %s: %v in %q", m, err, said)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("body for %s: %v", m, err)
		}
		statuses, bodies = append(statuses, resp.StatusCode), append(bodies, string(body))
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Fatalf("after the last reply: %q", rest)
	}
	return statuses, bodies
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:]) + "\n"
}

func TestSession(t *testing.T) {
	const host = " HTTP/1.1\r\nHost: x\r\n"
	tests := []struct {
		name, input string
		methods     string // of the replies expected
		want        []any  // status, body, …
	}{
		{"hello", "GET /" + host + "\r\n", "GET", []any{200, "Hello, world\n"}},
		{"bare line feeds", "GET / HTTP/1.1\nHost: x\n\n", "GET", []any{200, "Hello, world\n"}},
		{"empty lines before", "\r\n\r\nGET /" + host + "\r\n", "GET", []any{200, "Hello, world\n"}},
		{"head", "HEAD /bytes/1000" + host + "\r\n", "HEAD", []any{200, ""}},
		{"no bytes", "GET /bytes/0" + host + "\r\n", "GET", []any{200, ""}},
		{"bytes", "GET /bytes/252" + host + "\r\n", "GET", []any{200, string(primePattern.at(0, 252))}},
		{"unknown", "GET /nope" + host + "\r\n", "GET", []any{404, "Not Found\n"}},
		{"not a number", "GET /bytes/-1" + host + "\r\n", "GET", []any{404, "Not Found\n"}},
		{"wrong method", "DELETE /" + host + "\r\n", "DELETE", []any{405, "Method Not Allowed\n"}},
		{"get sum", "GET /sum" + host + "\r\n", "GET", []any{405, "Method Not Allowed\n"}},
		{"sum", "POST /sum" + host + "Content-Length: 3\r\n\r\nabc", "POST", []any{200, hexSum("abc")}},
		{"sum of nothing", "POST /sum" + host + "\r\n", "POST", []any{200, hexSum("")}},
		{"sum chunked", "POST /sum" + host + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n", "POST",
			[]any{200, hexSum("abc")}},
		{"bad chunk", "POST /sum" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "POST", []any{400, "Bad Request\n"}},
		{"sum cut short", "POST /sum" + host + "Content-Length: 3\r\n\r\nab", "", nil},
		{"length and chunked", "POST /sum" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "POST", []any{400, "Bad Request\n"}},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "GET", []any{400, "Bad Request\n"}},
		{"no request", "hello\r\n\r\n", "GET", []any{400, "Bad Request\n"}},
		{"nothing", "", "", nil},
		{"half a head", "GET / HT", "", nil},
		{"long head", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead), "GET", []any{431, "Request Header Fields Too Large\n"}},
		{"old version", "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", "GET", []any{200, "Hello, world\n"}},
		{"old version kept alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n", "GET GET",
			[]any{200, "Hello, world\n", 200, "Hello, world\n"}},
		{"close", "GET /" + host + "Connection: close\r\n\r\nGET /" + host + "\r\n", "GET", []any{200, "Hello, world\n"}},
		{"unwanted body", "POST /" + host + "Content-Length: 3\r\n\r\nabcGET /" + host + "\r\n", "POST", []any{405, "Method Not Allowed\n"}},
		{"pipelined",
			"GET /bytes/3" + host + "\r\nPOST /sum" + host + "Content-Length: 3\r\n\r\nabcHEAD /" + host + "\r\n" +
				"POST /sum" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /nope" + host + "\r\nGET /" + host + "\r\n",
			"GET POST HEAD POST GET GET",
			[]any{200, "\x00\x01\x02", 200, hexSum("abc"), 200, "", 200, hexSum("x"), 404, "Not Found\n", 200, "Hello, world\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 7, 1 << 20} {
				said, _ := converse(t, test.input, piece)
				statuses, bodies := replies(t, said, strings.Fields(test.methods)...)
				var got []any
				for i := range statuses {
					got = append(got, statuses[i], bodies[i])
				}
				if fmt.Sprint(got) != fmt.Sprint(test.want) {
					t.Errorf("in pieces of %d: got %q, want %q", piece, got, test.want)
				}
			}
		})
	}
}

func TestSessionContinue(t *testing.T) {
	s := newSession(testServices())
	b := make([]byte, 1000)
	s.feed([]byte("POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"))
	if got := string(b[:s.fill(b)]); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("said %q", got)
	}
	s.feed([]byte("hi"))
	_, bodies := replies(t, string(b[:s.fill(b)]), "POST")
	if bodies[0] != hexSum("hi") {
		t.Errorf("sum %q", bodies[0])
	}
	// Who would be refused is told so at once, and that no body is awaited.
	s.feed([]byte("POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"))
	said := string(b[:s.fill(b)])
	statuses, _ := replies(t, said, "POST")
	if statuses[0] != 404 || !strings.Contains(said, "\r\nConnection: close\r\n") || !s.over() {
		t.Errorf("said %q", said)
	}
}

// What is held for a client is bounded, whatever it sends.
func TestSessionMemory(t *testing.T) {
	s := newSession(testServices())
	b := make([]byte, chunk)
	s.feed([]byte("POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"))
	for range 100 {
		for s.fill(b) > 0 {
		}
		s.feed(b)
		if cap(s.in) > chunk {
			t.Fatalf("%d bytes held", cap(s.in))
		}
	}
	idle := newSession(testServices())
	idle.feed([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	for idle.fill(b) > 0 {
	}
	if idle.in != nil || idle.body != nil {
		t.Error("an idle session holds memory")
	}
}

func TestChunkedAgainstStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var coded bytes.Buffer
		w := httputil.NewChunkedWriter(&coded)
		want := make([]byte, rng.IntN(5000))
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		for p := want; len(p) > 0; {
			n := 1 + rng.IntN(len(p))
			w.Write(p[:n])
			p = p[n:]
		}
		w.Close()
		coded.WriteString("\r\n")
		c := &chunked{}
		got, rest, err := unchunk(c, coded.Bytes(), 1+rng.IntN(100))
		if err != nil || !c.ended() || len(rest) > 0 || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d, ended %v, %d left, %v", len(got), len(want), c.ended(), len(rest), err)
		}
	}
}

// unchunk decodes p in pieces and returns what lies behind the body.
func unchunk(c *chunked, p []byte, piece int) (body, rest []byte, err error) {
	for len(p) > 0 && !c.ended() {
		part := p[:min(piece, len(p))]
		b, used, err := c.next(part)
		if err != nil {
			return body, p, err
		}
		body = append(body, b...)
		p = p[used:]
	}
	return body, p, nil
}

// FuzzChunked holds the decoder against that of the standard library: what both
// accept they read alike, however the bytes arrive.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"), 3)
	f.Add([]byte("0\r\nTrailer: x\r\n\r\n"), 1)
	f.Add([]byte("ffffffffffffffff\r\nab"), 2)
	f.Fuzz(func(t *testing.T, coded []byte, piece int) {
		if piece < 1 {
			piece = 1
		}
		c := &chunked{}
		got, _, err := unchunk(c, coded, piece)
		whole := &chunked{}
		again, _, errWhole := unchunk(whole, coded, len(coded)+1)
		if !bytes.Equal(got, again) || (err == nil) != (errWhole == nil) {
			t.Fatalf("in pieces %q, %v; as a whole %q, %v", got, err, again, errWhole)
		}
		if err != nil || !c.ended() {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(coded)))
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("got %q, the standard library %q", got, want)
		}
	})
}

// FuzzSession feeds a session anything, in pieces of any size.
func FuzzSession(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"), 5)
	f.Fuzz(func(t *testing.T, input []byte, piece int) {
		s := newSession(testServices())
		b := make([]byte, 64)
		for len(input) > 0 && !s.over() {
			n := min(max(piece, 1), len(input))
			s.feed(input[:n])
			input = input[n:]
			for range 1000 { // /bytes/N has no end worth waiting for
				if s.fill(b) == 0 {
					break
				}
			}
		}
	})
}
