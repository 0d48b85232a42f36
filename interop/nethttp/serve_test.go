package nethttp_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// serve runs a server at the server's end until the test ends, and returns its
// URL.
func serve(r *rig.Rig, srv *http.Server) string {
	r.Helper()
	ln, secure := r.Listen(), srv.TLSConfig != nil // Serve sets it, too
	srv.ErrorLog = log.New(io.Discard, "", 0)
	served := make(chan error, 1)
	go func() {
		if secure {
			served <- srv.ServeTLS(ln, "", "")
		} else {
			served <- srv.Serve(ln)
		}
	}()
	r.Cleanup(func() {
		if err := srv.Close(); err != nil {
			r.Errorf("closing the server: %v", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			r.Errorf("Serve: %v, want ErrServerClosed", err)
		}
	})
	if secure {
		return "https://" + ln.Addr().String()
	}
	return "http://" + ln.Addr().String()
}

// client returns a client at the client's end; f may change its transport.
func client(r *rig.Rig, f ...func(*http.Transport)) *http.Client {
	tr := &http.Transport{DialContext: r.Client.Dial}
	for _, f := range f {
		f(tr)
	}
	r.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: rig.Patience}
}

// get returns the body of a response with status 200.
func get(t testing.TB, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return body(t, resp)
}

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %q, %v", resp.Request.Method, resp.Request.URL, resp.Status, b, err)
	}
	return string(b)
}

// random returns n bytes that no compressor and no lucky repetition knows.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// echo answers with what it is sent, while it is being sent.
func echo(w http.ResponseWriter, r *http.Request) {
	ctl := http.NewResponseController(w)
	ctl.EnableFullDuplex()
	buf := make([]byte, 32<<10)
	for {
		ctl.Flush() // the client waits for the header before it goes on
		n, err := r.Body.Read(buf)
		w.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

// sum answers with the hash of what it was sent.
func sum(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	fmt.Fprintf(w, "%d %x %v", n, h.Sum(nil), err)
}

func sumOf(b []byte) string { return fmt.Sprintf("%d %x <nil>", len(b), sha256.Sum256(b)) }

// bigBodies sends a large body one way, then the other.
func bigBodies(r *rig.Rig, c *http.Client, url string, sent []byte) {
	r.Helper()
	if got := body(r, post(r, c, url+"/sum", sent)); got != sumOf(sent) {
		r.Errorf("the server got %s, want %s", got, sumOf(sent))
	}
	if got := get(r, c, url+"/big"); got != string(sent) {
		r.Errorf("the client got %d bytes, not the %d that were sent", len(got), len(sent))
	}
}

// bothWays sends a large body that is answered before it has ended.
func bothWays(r *rig.Rig, c *http.Client, url string, sent []byte) {
	r.Helper()
	if got := body(r, post(r, c, url+"/echo", sent)); got != string(sent) {
		r.Errorf("%d bytes came back, not the %d that were sent", len(got), len(sent))
	}
}

func post(t testing.TB, c *http.Client, url string, b []byte) *http.Response {
	t.Helper()
	resp, err := c.Post(url, "application/octet-stream", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// bodies is the handler for bigBodies and bothWays.
func bodies(big []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sum", sum)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { w.Write(big) })
	return mux
}

// await returns what a channel gives, or fails the test when patience ends.
func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(rig.Patience):
		t.Fatalf("never happened: %s", what)
	}
	return v
}

// isReset reports whether the peer has ended a connection with data unread.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
