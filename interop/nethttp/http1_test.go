package nethttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

func TestBigBodies(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		sent := random(r.Size(16 << 20))
		url, c := serve(r, &http.Server{Handler: bodies(sent)}), client(r)
		bigBodies(r, c, url, sent)
		bothWays(r, c, url, sent)
	})
}

// A file goes out by the connection's ReadFrom.
func TestFile(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		file := filepath.Join(r.TempDir(), "file")
		data := random(r.Size(8 << 20))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			r.Fatal(err)
		}
		url := serve(r, &http.Server{Handler: http.FileServer(http.Dir(filepath.Dir(file)))})
		if got := get(r, client(r), url+"/file"); got != string(data) {
			r.Errorf("%d bytes, not the file's %d", len(got), len(data))
		}
		req, _ := http.NewRequest("GET", url+"/file", nil)
		req.Header.Set("Range", "bytes=1000-1999")
		resp, err := client(r).Do(req)
		if err != nil {
			r.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusPartialContent || !bytes.Equal(got, data[1000:2000]) {
			r.Errorf("a range: %s, %d bytes, %v", resp.Status, len(got), err)
		}
	})
}

// Many clients at once, each with several requests on one connection.
func TestManyClients(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		const clients, requests = 32, 10
		var conns atomic.Int64
		url := serve(r, &http.Server{
			Handler: http.HandlerFunc(echo),
			ConnState: func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					conns.Add(1)
				}
			},
		})
		var all sync.WaitGroup
		for i := range clients {
			c := client(r)
			all.Go(func() {
				for j := range requests {
					sent := bytes.Repeat([]byte(fmt.Sprint(i, j, ".")), 1000)
					resp, err := c.Post(url, "", bytes.NewReader(sent))
					if err != nil {
						r.Error(err)
						return
					}
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || !bytes.Equal(got, sent) {
						r.Errorf("client %d, request %d: %d bytes of %d, %v", i, j, len(got), len(sent), err)
					}
				}
			})
		}
		all.Wait()
		if n := conns.Load(); n != clients {
			r.Errorf("%d connections for %d clients: they are not kept", n, clients)
		}
	})
}

// An idle connection is used again, and one that the server has closed meanwhile
// is replaced.
func TestKeepAlive(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		closed := make(chan bool, 10)
		srv := &http.Server{
			Handler: http.HandlerFunc(echo),
			ConnState: func(_ net.Conn, s http.ConnState) {
				if s == http.StateClosed {
					closed <- true
				}
			},
		}
		url, c := serve(r, srv), client(r)
		reused := func() (reused bool) {
			trace := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
				GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused },
			})
			req, _ := http.NewRequestWithContext(trace, "GET", url, nil)
			resp, err := c.Do(req)
			if err != nil {
				r.Fatal(err)
			}
			body(r, resp)
			return reused
		}
		if reused() || !reused() || !reused() {
			r.Error("the first request must make a connection, and the others use it")
		}
		srv.SetKeepAlivesEnabled(false) // closes what is idle
		await(r, "the server closes the idle connection", closed)
		if reused() {
			r.Error("a closed connection was used")
		}
	})
}

// A client that gives up ends the request, also at the server.
func TestTimeoutAndCancel(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		late, cancelled := make(chan error, 1), make(chan error, 1)
		hang := func(ended chan error) http.HandlerFunc {
			return func(w http.ResponseWriter, req *http.Request) {
				w.Write([]byte("begun"))
				w.(http.Flusher).Flush()
				<-req.Context().Done()
				ended <- req.Context().Err()
			}
		}
		mux := http.NewServeMux()
		mux.Handle("/late", hang(late))
		mux.Handle("/cancelled", hang(cancelled))
		url := serve(r, &http.Server{Handler: mux})

		slow := client(r)
		slow.Timeout = 300 * time.Millisecond
		resp, err := slow.Get(url + "/late")
		if err == nil { // on a busy machine it may be late already
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			await(r, "the server notices the timeout", late)
		}
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			r.Errorf("past the client's timeout: %v", err)
		}

		ctx, cancel := context.WithCancel(r.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", url+"/cancelled", nil)
		resp, err = client(r).Do(req)
		if err != nil {
			r.Fatal(err)
		}
		defer resp.Body.Close()
		cancel()
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
			r.Errorf("a cancelled request: %v", err)
		}
		await(r, "the server notices the cancel", cancelled)
	})
}

// With 100-continue a body is sent when it is asked for, and not otherwise.
func TestContinue(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		mux := http.NewServeMux()
		mux.HandleFunc("/sum", sum)
		mux.HandleFunc("/no", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no", http.StatusExpectationFailed)
		})
		url := serve(r, &http.Server{Handler: mux})
		c := client(r, func(tr *http.Transport) { tr.ExpectContinueTimeout = rig.Patience })
		sent := random(1 << 20)
		send := func(path string) (resp *http.Response, left int) {
			rd := bytes.NewReader(sent)
			req, _ := http.NewRequest("PUT", url+path, rd)
			req.Header.Set("Expect", "100-continue")
			resp, err := c.Do(req)
			if err != nil {
				r.Fatal(err)
			}
			return resp, rd.Len()
		}
		resp, _ := send("/sum")
		if got := body(r, resp); got != sumOf(sent) {
			r.Errorf("the server got %s, want %s", got, sumOf(sent))
		}
		resp, left := send("/no")
		resp.Body.Close()
		if resp.StatusCode != http.StatusExpectationFailed || left != len(sent) {
			r.Errorf("%s, and %d of %d bytes were not sent", resp.Status, left, len(sent))
		}
	})
}

// A client that says nothing, or stops in the middle, is given up.
func TestServerTimeouts(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		url := serve(r, &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 50 * time.Millisecond})
		for _, sent := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n"} {
			c, err := r.Client.Dial(r.Context(), "tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				r.Fatal(err)
			}
			io.WriteString(c, sent)
			c.SetReadDeadline(time.Now().Add(rig.Patience))
			if _, err := io.ReadAll(c); err != nil && !isReset(err) {
				r.Errorf("after %q: %v, want the end", sent, err)
			}
			c.Close()
		}
	})
}
