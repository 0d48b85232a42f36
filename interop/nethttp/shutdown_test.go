package nethttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// Shutdown lets the requests in flight end, and no others in.
func TestShutdown(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		const inFlight = 10
		arrived, release := make(chan bool, inFlight), make(chan bool)
		big := random(r.Size(1 << 20))
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/wait" {
				arrived <- true
				<-release
			}
			w.Write(big)
		})}
		url := serve(r, srv)
		get(r, client(r), url+"/idle") // its connection stays, and is closed

		var all sync.WaitGroup
		for range inFlight {
			c := client(r)
			all.Go(func() {
				resp, err := c.Get(url + "/wait")
				if err != nil {
					r.Error(err)
					return
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != string(big) {
					r.Errorf("a request in flight got %d bytes of %d, %v", len(got), len(big), err)
				}
			})
		}
		for range inFlight {
			await(r, "all requests are in flight", arrived)
		}
		short, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
		defer cancel()
		if err := srv.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("Shutdown with requests in flight: %v", err)
		}
		_, err := r.Client.Dial(r.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if !errors.Is(err, syscall.ECONNREFUSED) {
			r.Errorf("a connection during Shutdown: %v, want ECONNREFUSED", err)
		}
		close(release)
		if err := srv.Shutdown(r.Context()); err != nil {
			r.Errorf("Shutdown: %v", err)
		}
		all.Wait()
	})
}

// Close ends what is in flight.
func TestClose(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		arrived := make(chan bool, 1)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			arrived <- true
			<-req.Context().Done()
		})}
		url, failed := serve(r, srv), make(chan error, 1)
		go func() {
			resp, err := client(r).Get(url)
			if err == nil {
				resp.Body.Close()
			}
			failed <- err
		}()
		await(r, "the request arrives", arrived)
		if err := srv.Close(); err != nil {
			r.Error(err)
		}
		if err := await(r, "the request ends", failed); !errors.Is(err, io.EOF) && !isReset(err) {
			r.Errorf("the request ended with %v, want EOF or ECONNRESET", err)
		}
	})
}
