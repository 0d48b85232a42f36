package services

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/internal/testenv"
)

// browser returns an HTTP client of the testbed.
func (b *testbed) browser(t *testing.T, conns int) *http.Client {
	tr := &http.Transport{
		DialContext:           b.client.DialContext,
		ExpectContinueTimeout: time.Minute,
		MaxConnsPerHost:       conns,
		MaxIdleConnsPerHost:   conns,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * time.Minute} // so that a failure is not a hang
}

func (b *testbed) url(path string) string { return "http://" + b.addr + path }

func testPages(t *testing.T, b *testbed) {
	web := b.browser(t, 1)
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/", 200, "Hello, world\n"},
		{"HEAD", "/", 200, ""},
		{"GET", "/bytes/0", 200, ""},
		{"GET", "/bytes/300000", 200, strings.Repeat(string(primePattern.at(0, 251)), 1200)[:300000]},
		{"HEAD", "/bytes/300000", 200, ""},
		{"GET", "/bytes/x", 404, "Not Found\n"},
		{"GET", "/nope", 404, "Not Found\n"},
		{"PUT", "/", 405, "Method Not Allowed\n"},
		{"GET", "/sum", 405, "Method Not Allowed\n"},
	} {
		r, _ := http.NewRequest(test.method, b.url(test.path), nil)
		resp, err := web.Do(r)
		if err != nil {
			t.Fatalf("%s %s: %v", test.method, test.path, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.status || string(body) != test.body {
			t.Errorf("%s %s: %d, %d bytes %.30q, %v", test.method, test.path, resp.StatusCode, len(body), body, err)
		}
		if test.status == 405 && resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: 405 without Allow", test.method, test.path)
		}
		if _, err := http.ParseTime(resp.Header.Get("Date")); err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
		}
	}
	if n := b.Snapshot().Services["http"].Accepted; n != 1 {
		t.Errorf("%d connections, want 1 kept alive", n)
	}
}

func testSums(t *testing.T, b *testbed) {
	web := b.browser(t, 1)
	const size = 1 << 20
	want := sumOf(size)
	for _, test := range []struct {
		name   string
		length int64
		header http.Header
	}{
		{"of known length", size, nil},
		{"chunked", -1, nil},
		{"asking first", size, http.Header{"Expect": {"100-continue"}}},
	} {
		r, _ := http.NewRequest("POST", b.url("/sum"), io.NopCloser(Bytes(size)))
		r.ContentLength = test.length
		if test.header != nil {
			r.Header = test.header
		}
		resp, err := web.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: %q, want %q, %v", test.name, body, want, err)
		}
	}
}

func testMany(t *testing.T, b *testbed) {
	web := b.browser(t, 64)
	const size = 100_000
	want := sumOf(size)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			resp, err := web.Post(b.url("/sum"), "", Bytes(size))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
				t.Errorf("%q, want %q, %v", body, want, err)
			}
		})
	}
	wg.Wait()
}

// nc -N sends its request and its end together.
func testHalfClosedRequest(t *testing.T, b *testbed) {
	c := b.dial(t, httpPort)
	fmt.Fprint(c, "GET /bytes/200000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 200 OK\r\n")) ||
		!bytes.HasSuffix(got, primePattern.at(200000-1000, 1000)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A client that reads nothing for a while holds up itself only.
func testSlowReader(t *testing.T, b *testbed) {
	const size = 16 << 20 // more than all buffers
	slow := b.dial(t, httpPort)
	fmt.Fprintf(slow, "GET /bytes/%d HTTP/1.0\r\n\r\n", size)
	web := b.browser(t, 1)
	for range 3 {
		resp, err := web.Get(b.url("/bytes/1000000"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != 1000000 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if s := b.server.Stats(); s.SGABytes > 1<<20 {
		t.Errorf("%d bytes held for a slow reader", s.SGABytes)
	}
	got, err := io.ReadAll(slow)
	if err != nil || len(got) < size || !bytes.Equal(got[len(got)-251:], primePattern.at(size-251, 251)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func testBigSum(t *testing.T, b *testbed) {
	size := int64(10 << 20)
	if testenv.Long() {
		size = 100 << 20
	}
	web := b.browser(t, 1)
	resp, err := web.Post(b.url("/sum"), "", Bytes(size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != sumOf(size) {
		t.Errorf("%q, %v", body, err)
	}
	down, err := web.Get(b.url("/bytes/" + strconv.FormatInt(size, 10)))
	if err != nil {
		t.Fatal(err)
	}
	defer down.Body.Close()
	up := &upload{sha256.New()}
	if _, err := io.Copy(up, down.Body); err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(up.reply().body); string(body) != sumOf(size) {
		t.Error("the download differs")
	}
}

// sumOf is what /sum says of the first size bytes of the pattern.
func sumOf(size int64) string {
	up := &upload{sha256.New()}
	io.Copy(up, Bytes(size))
	b, _ := io.ReadAll(up.reply().body)
	return string(b)
}
