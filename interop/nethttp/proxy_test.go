package nethttp_test

import (
	"bufio"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// upgrade takes the connection out of the server, and echoes until the peer ends.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "echo")
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	io.Copy(c, buf)
}

// dialUpgrade asks for the echo on a connection of its own.
func dialUpgrade(r *rig.Rig, from rig.End, base string) {
	r.Helper()
	c, err := from.Dial(r.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		r.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	rd := bufio.NewReader(c)
	resp, err := http.ReadResponse(rd, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		r.Fatalf("%+v, %v", resp, err)
	}
	sent := random(1 << 20)
	go func() {
		c.Write(sent)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(rd); err != nil || string(got) != string(sent) {
		r.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
	}
}

func TestHijack(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		base := serve(r, &http.Server{Handler: http.HandlerFunc(upgrade)})
		dialUpgrade(r, r.Client, base)
	})
}

// A reverse proxy at the client's end: what asks it is where the backend is.
func TestReverseProxy(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		big := random(r.Size(8 << 20))
		mux := http.NewServeMux()
		mux.Handle("/", bodies(big))
		mux.HandleFunc("/upgrade", upgrade)
		backend, err := url.Parse(serve(r, &http.Server{Handler: mux}))
		if err != nil {
			r.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{
			Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(backend) },
			Transport: client(r).Transport,
			ErrorLog:  log.New(io.Discard, "", 0),
		}
		turned := *r
		turned.Server, turned.Client = r.Client, r.Server
		base := serve(&turned, &http.Server{Handler: proxy})
		bigBodies(r, client(&turned), base, big)
		dialUpgrade(r, r.Server, base)
	})
}
