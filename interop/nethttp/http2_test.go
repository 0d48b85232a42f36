package nethttp_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// A flavour of HTTP/2: what a server and a client need for it.
type flavour struct {
	name   string
	server func(r *rig.Rig, srv *http.Server)
	client func(*http.Transport)
}

// flavours returns HTTP/2 over TLS, and in the clear.
func flavours() []flavour {
	ca := rig.NewAuthority()
	var clear http.Protocols
	clear.SetUnencryptedHTTP2(true)
	return []flavour{
		{"tls", func(r *rig.Rig, srv *http.Server) { srv.TLSConfig = ca.ServerTLS(r) }, func(tr *http.Transport) {
			tr.TLSClientConfig, tr.ForceAttemptHTTP2 = ca.ClientTLS(), true
		}},
		{"clear", func(_ *rig.Rig, srv *http.Server) { srv.Protocols = &clear }, func(tr *http.Transport) {
			tr.Protocols = &clear
		}},
	}
}

// Many streams at once share one connection.
func TestHTTP2(t *testing.T) {
	for _, f := range flavours() {
		t.Run(f.name, func(t *testing.T) {
			rig.Each(t, func(r *rig.Rig) {
				big := random(r.Size(2 << 20))
				var conns atomic.Int64
				srv := &http.Server{Handler: bodies(big), ConnState: func(_ net.Conn, s http.ConnState) {
					if s == http.StateNew {
						conns.Add(1)
					}
				}}
				f.server(r, srv)
				url, c := serve(r, srv), client(r, f.client)
				bigBodies(r, c, url, big)
				bothWays(r, c, url, big)
				streams(r, c, url)
				if n := conns.Load(); n != 1 {
					r.Errorf("%d connections, want 1", n)
				}
				if err := srv.Shutdown(r.Context()); err != nil {
					r.Errorf("Shutdown: %v", err)
				}
			})
		})
	}
}

// streams sends and receives on many streams, none of which waits for another.
func streams(r *rig.Rig, c *http.Client, url string) {
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			in, out := io.Pipe()
			resp, err := c.Post(url+"/echo", "", in)
			if err != nil {
				r.Error(err)
				return
			}
			defer resp.Body.Close()
			if resp.ProtoMajor != 2 {
				r.Errorf("%s, want HTTP/2", resp.Proto)
			}
			for j := range 10 { // back and forth, within one request
				word := fmt.Sprintf("stream %d, word %d\n", i, j)
				go io.WriteString(out, word)
				got := make([]byte, len(word))
				if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != word {
					r.Errorf("%q, %v, want %q", got, err, word)
					break
				}
			}
			out.Close()
		})
	}
	all.Wait()
}

// The kernel's curl speaks HTTP/2 that nobody wrote in Go.
func TestCurlHTTP2(t *testing.T) {
	host, kernel := rig.Tap(t)
	r := &rig.Rig{T: t, Server: host, Client: kernel.End}
	ca := rig.NewAuthority()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	sent := random(4 << 20)
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, sent, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := kernel.Run("curl", "--version"); !strings.Contains(out, "HTTP2") {
		testenv.Need(t, "tap", fmt.Errorf("curl without HTTP/2: %s", out))
	}
	url := serve(r, &http.Server{Handler: bodies(nil), TLSConfig: ca.ServerTLS(r)})
	out := kernel.Run("curl", "-sS", "--http2", "--cacert", file, "--data-binary", "@"+data, "-w", " HTTP/%{http_version}", url+"/sum")
	if want := sumOf(sent) + " HTTP/2"; out != want {
		t.Errorf("curl: %s, want %s", out, want)
	}
	var clear http.Protocols
	clear.SetUnencryptedHTTP2(true)
	url = serve(r, &http.Server{Handler: bodies(nil), Protocols: &clear})
	out = kernel.Run("curl", "-sS", "--http2-prior-knowledge", "--data-binary", "@"+data, "-w", " HTTP/%{http_version}", url+"/sum")
	if want := sumOf(sent) + " HTTP/2"; out != want {
		t.Errorf("curl, in the clear: %s, want %s", out, want)
	}
}
