package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/examples/internal/exampletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect starts the server and returns a function that connects to it.
func connect(t *testing.T, args ...string) func() net.Conn {
	wire := exampletest.NewWire(t)
	wire.Start("10.0.0.1/24", run, args...)
	host := wire.Host("10.0.0.2/24")
	return func() net.Conn {
		t.Helper()
		c, err := host.Net().Dial("tcp", "10.0.0.1:6379")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
}

func TestServer(t *testing.T) {
	dial := connect(t)
	a, b := dial(), dial()
	fmt.Fprint(a, "SET colour gre")
	fmt.Fprint(b, "PING\r\n")
	expect(t, b, "+PONG\r\n")
	fmt.Fprint(a, "en\r\nGET colour\r\n")
	expect(t, a, "+OK\r\n$5\r\ngreen\r\n")
	fmt.Fprint(b, "GET colour\nDEL colour taste\nGET colour\nQUIT\n")
	expect(t, b, "$5\r\ngreen\r\n:1\r\n$-1\r\n+OK\r\n")
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after QUIT: %d, %v", n, err)
	}
}

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// A client that sends its commands in one go, and asks for more than anybody
// would keep for it, gets all answers in order.
func TestPipelining(t *testing.T) {
	c := connect(t)()
	value := strings.Repeat("v", 4000)
	go func() {
		w := bufio.NewWriter(c)
		fmt.Fprintf(w, "SET k %s\n", value)
		for i := range 5000 {
			fmt.Fprintf(w, "GET k\nGET %d\n", i)
		}
		fmt.Fprint(w, "QUIT\n")
		w.Flush()
	}()
	r := bufio.NewReader(c)
	expect(t, r, "+OK\r\n")
	for range 5000 {
		expect(t, r, "$4000\r\n"+value+"\r\n$-1\r\n")
	}
	expect(t, r, "+OK\r\n")
}

// One place: the second client is served when the first has gone.
func TestPlaces(t *testing.T) {
	dial := connect(t, "--clients", "1")
	for range 5 {
		first, second := dial(), dial()
		fmt.Fprint(second, "PING\n")
		fmt.Fprint(first, "PING\n")
		expect(t, first, "+PONG\r\n")
		first.Close()
		expect(t, second, "+PONG\r\n")
		second.Close()
	}
}

func TestSession(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"\n \r\n", ""},
		{"PING", ""},
		{"ping\r\nPing\n", "+PONG\r\n+PONG\r\n"},
		{"GET nothing\n", "$-1\r\n"},
		{"SET k\n", "-ERR SET wants a key and a value\r\n"},
		{"SET k a b  c \nGET k\n", "+OK\r\n$6\r\na b  c\r\n"},
		{"SET k 1\nSET k 22\nGET k\n", "+OK\r\n+OK\r\n$2\r\n22\r\n"},
		{"SET a 1\nSET b 2\nDEL a b c\nGET a\n", "+OK\r\n+OK\r\n:2\r\n$-1\r\n"},
		{"SET k %LONG%%LONG%\nGET k\n", "-ERR no memory is left for that\r\n$-1\r\n"},
		{"SET a %LONG%\nSET b %LONG%\nDEL a\nSET b %LONG%\n", "+OK\r\n-ERR no memory is left for that\r\n:1\r\n+OK\r\n"},
		{"FLUSHALL\n", "-ERR unknown command \"FLUSHALL\"\r\n"},
		{"QUIT\nPING\n", "+OK\r\n"},
		{strings.Repeat("x", longestLine+1), "-ERR line too long\r\n"},
	} {
		s := session{store: newStore(1000)}
		s.feed([]byte(strings.ReplaceAll(test.in, "%LONG%", strings.Repeat("x", 600))))
		if got, _ := s.execute(); string(got) != test.want {
			t.Errorf("%.50q: got %q, want %q", test.in, got, test.want)
		}
	}
}

// FuzzSession feeds anything in any pieces. Nothing that a client sends makes a
// session or a store hold more than they may, or a session stop without an end.
func FuzzSession(f *testing.F) {
	f.Add([]byte("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\nGET k\nDEL k\nQUIT\n"), 7)
	f.Add([]byte(strings.Repeat("GET k\n", 5000)), longestLine)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		const limit = 1000
		st := newStore(limit)
		s := session{store: st}
		st.set("k", strings.Repeat("v", 500))
		piece = min(max(piece, 1), longestLine)
		for len(in) > 0 {
			n := min(piece, len(in))
			s.feed(in[:n])
			in = in[n:]
			for {
				answers, done := s.execute()
				if len(answers) > enoughAnswers+limit || len(s.input) > 2*longestLine {
					t.Fatalf("holds %d bytes of answers, %d of input", len(answers), len(s.input))
				}
				if done {
					return
				}
				if len(answers) == 0 {
					break
				}
			}
			held := 0
			for k, v := range st.values {
				held += overhead + len(k) + len(v)
			}
			if held != limit-st.left || st.left < 0 {
				t.Fatalf("the store holds %d bytes, and says that %d of %d are left", held, st.left, limit)
			}
		}
	})
}
