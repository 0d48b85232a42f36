package ringtail_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/api"
)

// patience is how long a test waits before it gives up: a guard, not a measure.
const patience = 20 * time.Second

// openPair opens 10.0.0.1 by a Config and 10.0.0.2 on the same wire.
func openPair(t *testing.T, cfg ringtail.Config) (server, client *ringtail.Host) {
	t.Helper()
	cfg.HAL, cfg.Name, cfg.Addrs = "loopback:"+t.Name(), "server", prefixes("10.0.0.1/24")
	hosts := []ringtail.Config{cfg, {HAL: cfg.HAL, Name: "client", Addrs: prefixes("10.0.0.2/24")}}
	for i, at := range []**ringtail.Host{&server, &client} {
		h, err := ringtail.Open(hosts[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
		*at = h
	}
	return server, client
}

// connect returns both ends of a connection.
func connect(t *testing.T, ln net.Listener, client *ringtail.Host) (accepted, dialed net.Conn) {
	t.Helper()
	dialed, err := client.Net().Dial("tcp", "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return accepted, dialed
}

func listen(t *testing.T, h *ringtail.Host) net.Listener {
	t.Helper()
	ln, err := h.Net().Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// untilRefused waits until nobody listens at the server any more: it shuts down.
func untilRefused(t *testing.T, client *ringtail.Host) {
	t.Helper()
	for guard := time.Now().Add(patience); ; {
		c, err := client.Net().Dial("tcp", "10.0.0.1:80")
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			c.Close()
		}
		if time.Now().After(guard) {
			t.Fatalf("the server listens for ever: %v", err)
		}
	}
}

// A host that nobody uses is gone at once, its listeners with it.
func TestShutdownIdle(t *testing.T) {
	h, err := ringtail.Open(ringtail.Config{
		HAL: "loopback:" + t.Name(), Addrs: prefixes("10.0.0.1/24"), Pcap: filepath.Join(t.TempDir(), "x.pcapng"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t, h)
	accepted := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		accepted <- err
	}()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), t.Context(), ended} {
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(h.Close(), ln.Close()); err != nil {
		t.Error(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the pending accept: %v", err)
	}
	if _, err := h.Net().Listen("tcp", ":81"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listening at a host that was shut down: %v", err)
	}
}

// All that was written arrives, over a wire that loses, at a peer that takes its
// time.
func TestShutdownDelivers(t *testing.T) {
	server, client := openPair(t, ringtail.Config{Faults: "drop=2%,delay=1ms", Seed: 5})
	ln := listen(t, server)
	c, peer := connect(t, ln, client)
	sent := bytes.Repeat([]byte("ringtail"), 100_000)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	c.Close()
	done := make(chan error, 1)
	go func() { done <- server.Shutdown(t.Context()) }()
	untilRefused(t, client)
	var got []byte
	for b := make([]byte, 1000); ; {
		n, err := peer.Read(b)
		got = append(got, b[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came, %d were written", len(got), len(sent))
	}
}

// net/http finishes its requests, and then the host its connections.
func TestShutdownWithHTTP(t *testing.T) {
	server, client := openPair(t, ringtail.Config{Faults: "drop=1%,delay=1ms", Seed: 6})
	called, release := make(chan struct{}), make(chan struct{})
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(called)
		<-release
		w.Write(bytes.Repeat([]byte("late "), 100_000))
	})}
	ln := listen(t, server)
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	body := make(chan string, 1)
	go func() {
		tr := &http.Transport{DialContext: client.Net().DialContext}
		defer tr.CloseIdleConnections()
		reply, err := (&http.Client{Transport: tr}).Get("http://10.0.0.1/")
		if err != nil {
			body <- err.Error()
			return
		}
		defer reply.Body.Close()
		b, err := io.ReadAll(reply.Body)
		if err != nil {
			b = []byte(err.Error())
		}
		body <- string(b)
	}()
	<-called
	done := make(chan error, 1)
	go func() { done <- errors.Join(web.Shutdown(t.Context()), server.Shutdown(t.Context())) }()
	untilRefused(t, client)
	close(release)
	if got := <-body; got != strings.Repeat("late ", 100_000) {
		t.Errorf("%d bytes came: %.80s", len(got), got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
}

// What the context leaves no time for is reset, and counted.
func TestShutdownGivesUp(t *testing.T) {
	server, client := openPair(t, ringtail.Config{})
	ln := listen(t, server)
	_, first := connect(t, ln, client)
	_, second := connect(t, ln, client)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Shutdown(ctx) }()
	untilRefused(t, client)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 connections") {
		t.Errorf("got %v", err)
	}
	for _, c := range []net.Conn{first, second} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a connection that was left: %v", err)
		}
	}
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// Close does not wait for anybody who shuts down.
func TestCloseDuringShutdown(t *testing.T) {
	server, client := openPair(t, ringtail.Config{})
	_, peer := connect(t, listen(t, server), client)
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- server.Shutdown(t.Context()) }()
	}
	untilRefused(t, client)
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		// One may have come too late to see a connection.
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Shutdown of a host that is closed meanwhile: %v", err)
		}
	}
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection: %v", err)
	}
}

// A loop over completions serves its connections to their end, and then ends.
func TestShutdownQueueFace(t *testing.T) {
	server, client := openPair(t, ringtail.Config{Strict: true})
	served, listening := make(chan error, 1), make(chan struct{})
	go func() { served <- serveEcho(server.LibOS(), listening) }()
	<-listening
	c, err := client.Net().Dial("tcp", "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	echo := func(text string) {
		t.Helper()
		b := make([]byte, len(text))
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
			t.Fatalf("%q, %v", b, err)
		}
	}
	echo("before")
	done := make(chan error, 1)
	go func() { done <- server.Shutdown(t.Context()) }()
	untilRefused(t, client)
	echo("meanwhile")
	select {
	case err := <-done:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the loop: %v", err)
	}
}

// serveEcho echoes until its host is closed, also when it listens no more.
func serveEcho(lib *api.LibOS, listening chan<- struct{}) error {
	ln, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	if err := errors.Join(lib.Bind(ln, netip.MustParseAddrPort("10.0.0.1:80")), lib.Listen(ln, 16)); err != nil {
		return err
	}
	if _, err := lib.Accept(ln); err != nil {
		return err
	}
	close(listening)
	for c, err := range lib.Completions(context.Background()) {
		switch {
		case err != nil:
			return err
		case c.Op == api.OpAccept && c.Err != nil: // the host shuts down
		case c.Op == api.OpAccept:
			lib.Pop(c.New)
			lib.Accept(ln)
		case c.Err != nil || c.EOF:
			c.SGA.Free()
			lib.Close(c.QD)
		case c.Op == api.OpPop:
			lib.Push(c.QD, c.SGA)
		case c.Op == api.OpPush:
			c.SGA.Free()
			lib.Pop(c.QD)
		}
	}
	return nil
}
