package services

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
)

// A webListener counts and limits the connections of the site.
type webListener struct {
	net.Listener
	s *Services
}

func (l webListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &netConn{Conn: c, s: l.s, count: &l.s.web}, nil
}

// webServer serves the site with net/http.
func (f *netFace) webServer() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(f.serveHTTP),
		ReadHeaderTimeout: f.idle,
		IdleTimeout:       f.idle,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			// Server.Close does not wait for the goroutines of connections; we do.
			switch state {
			case http.StateNew:
				f.wg.Add(1)
				f.web.opened()
			case http.StateClosed:
				f.web.closed(nil)
				f.wg.Done()
			}
		},
	}
}

func (f *netFace) serveHTTP(w http.ResponseWriter, r *http.Request) {
	rep, up := f.Services.open(r.Method, r.URL.Path)
	if up != nil {
		if _, err := io.Copy(up, r.Body); err != nil {
			f.log.Debug("upload failed", "peer", r.RemoteAddr, "err", err)
			panic(http.ErrAbortHandler) // net/http's way to drop the connection
		}
		rep = up.reply()
	}
	f.http.count(rep.status)
	w.Header().Set("Content-Type", rep.typ)
	w.Header().Set("Content-Length", strconv.FormatInt(rep.size, 10))
	if rep.allow != "" {
		w.Header().Set("Allow", rep.allow)
	}
	w.WriteHeader(rep.status)
	if r.Method != http.MethodHead {
		io.Copy(w, rep.body) // fails only with the connection
	}
}
