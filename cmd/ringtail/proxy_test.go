package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/internal/proxy"
)

// startProxy starts a proxy with --json, and returns its listeners and what it
// writes.
func startProxy(t *testing.T, args ...string) ([]proxy.Stats, *buffer) {
	t.Helper()
	out, _ := background(t, nil, append([]string{"proxy", "--json"}, args...)...)
	events := readEvents(t, out)
	if len(events) == 0 || events[0].Event != "ready" {
		t.Fatalf("it says %q", out)
	}
	return events[0].Listeners, out
}

func readEvents(t *testing.T, out *buffer) (events []proxyEvent) {
	t.Helper()
	for line := range strings.Lines(out.String()) {
		var e proxyEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

// The kernel's clients use a host, and the host's clients the kernel's server.
func TestProxy(t *testing.T) {
	wire := newWire()
	background(t, nil, "serve", "--hal", wire, "--addr", "10.0.0.1/24", "--face", "net")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "of the kernel") })}
	go web.Serve(ln)
	defer web.Close()

	var out *buffer
	t.Run("run", func(t *testing.T) {
		var at []proxy.Stats
		at, out = startProxy(t, "--hal", wire, "--addr", "10.0.0.2/24", "--forward", "0=10.0.0.1:80,udp/0=10.0.0.1:7",
			"--publish", "8080="+ln.Addr().String(), "--socks", "0", "--socks-user", "me:secret", "--report", "1ms")
		get := func(tr *http.Transport, url string) string {
			t.Helper()
			defer tr.CloseIdleConnections()
			reply, err := (&http.Client{Transport: tr}).Get(url)
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Body.Close()
			body, err := io.ReadAll(reply.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		if got := get(&http.Transport{}, "http://"+at[0].Listen+"/"); got != "Hello, world\n" {
			t.Errorf("by --forward: %q", got)
		}
		socks := &url.URL{Scheme: "socks5", User: url.UserPassword("me", "secret"), Host: at[3].Listen}
		if got := get(&http.Transport{Proxy: http.ProxyURL(socks)}, "http://10.0.0.1/"); got != "Hello, world\n" {
			t.Errorf("by --socks: %q", got)
		}
		udp, err := net.Dial("udp", at[1].Listen)
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		b := make([]byte, 10)
		io.WriteString(udp, "datagram")
		if n, err := udp.Read(b); err != nil || string(b[:n]) != "datagram" {
			t.Errorf("by --forward udp/: %q, %v", b[:n], err)
		}
		got := runWith(context.Background(), "GET / HTTP/1.0\r\n\r\n", nil, "nc", "-N", "10.0.0.2", "8080", "--hal", wire, "--addr", "10.0.0.3/24")
		if got.code != 0 || !strings.HasSuffix(got.out, "of the kernel") {
			t.Errorf("by --publish: %+v", got)
		}
		await(t, "a report", func() bool { return strings.Contains(out.String(), `"report"`) })
	})
	events := readEvents(t, out)
	last := events[len(events)-1]
	if last.Event != "end" || len(last.Listeners) != 4 {
		t.Fatalf("the last event is %+v", last)
	}
	for _, s := range last.Listeners {
		if s.Open != 0 || s.Total != 1 || s.Failed != 0 || s.ToClient == 0 || s.ToTarget == 0 {
			t.Errorf("%+v", s)
		}
	}
}

// What does not end in time is reset, and that is said.
func TestProxyDrain(t *testing.T) {
	wire := newWire()
	background(t, nil, "serve", "--hal", wire, "--addr", "10.0.0.1/24")
	var errOut *buffer
	var c net.Conn
	t.Run("run", func(t *testing.T) {
		var out *buffer
		var err error
		out, errOut = background(t, nil, "proxy", "--hal", wire, "--addr", "10.0.0.2/24", "--forward", "0=10.0.0.1:7", "--drain", "1ms", "--json")
		if c, err = net.Dial("tcp", readEvents(t, out)[0].Listeners[0].Listen); err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "x")
		io.ReadFull(c, make([]byte, 1))
	})
	defer c.Close()
	if !strings.Contains(errOut.String(), "1 connection was reset") {
		t.Errorf("said %q", errOut)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection: %v", err)
	}
}
