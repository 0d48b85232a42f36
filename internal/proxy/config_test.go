package proxy

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseRoutes(t *testing.T) {
	for _, test := range []struct {
		text             string
		forward, publish Route
		err              string // in place of both
	}{
		{text: "8080=10.77.0.1:80", forward: Route{"tcp", "127.0.0.1:8080", "10.77.0.1:80"}, publish: Route{"tcp", ":8080", "10.77.0.1:80"}},
		{text: ":0=[fd00::1]:80", forward: Route{"tcp", "127.0.0.1:0", "[fd00::1]:80"}, publish: Route{"tcp", ":0", "[fd00::1]:80"}},
		{text: "tcp/[::1]:8080=web.example:80", forward: Route{"tcp", "[::1]:8080", "web.example:80"}, publish: Route{"tcp", "[::1]:8080", "web.example:80"}},
		{text: "udp/5353=10.77.0.1:53", forward: Route{"udp", "127.0.0.1:5353", "10.77.0.1:53"}, publish: Route{"udp", ":5353", "10.77.0.1:53"}},
		{text: "", err: "LISTEN=TARGET"},
		{text: "8080", err: "LISTEN=TARGET"},
		{text: "sctp/8080=10.77.0.1:80", err: "neither tcp nor udp"},
		{text: "x=10.77.0.1:80", err: "number from 0 to 65535"},
		{text: "65536=10.77.0.1:80", err: "number from 0 to 65535"},
		{text: "1:2:3=10.77.0.1:80", err: "port or host:port"},
		{text: "8080=80", err: "want host:port"},
		{text: "8080=:80", err: "want host:port"},
		{text: "8080=10.77.0.1:0", err: "number from 1 to 65535"},
		{text: "8080=10.77.0.1:http", err: "number from 1 to 65535"},
		{text: "8080=fd00::1:80", err: "want host:port"},
	} {
		forward, err := ParseForward(test.text)
		publish, err2 := ParsePublish(test.text)
		if test.err != "" {
			for _, err := range []error{err, err2} {
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), test.text) {
					t.Errorf("%q: %v, want %q", test.text, err, test.err)
				}
			}
			continue
		}
		if errors.Join(err, err2) != nil || forward != test.forward || publish != test.publish {
			t.Errorf("%q: %v and %v, %v", test.text, forward, publish, errors.Join(err, err2))
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add("udp/[::1]:5353=name:53")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseForward(text)
		if err != nil {
			return
		}
		if again, err := ParseForward(r.String()); err != nil || again != r {
			t.Errorf("%q is %v, and that is %v, %v", text, r, again, err)
		}
	})
}

func TestBadConfig(t *testing.T) {
	host := newBed(t).host.Net()
	some := []Route{{"tcp", "127.0.0.1:0", "10.0.0.2:7"}}
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no host", Config{Forward: some}, "no host"},
		{"nothing", Config{Host: host}, "nothing to do"},
		{"negative", Config{Host: host, Forward: some, MaxFlows: -1}, "negative"},
		{"negative time", Config{Host: host, Forward: some, Idle: -time.Second}, "negative"},
		{"long user", Config{Host: host, Forward: some, User: strings.Repeat("u", 256)}, "255"},
		{"no user", Config{Host: host, Forward: some, Password: "p"}, "without a user"},
		{"public", Config{Host: host, Forward: []Route{{"tcp", "0.0.0.0:0", "10.0.0.2:7"}}}, "--public"},
		{"public, all", Config{Host: host, Socks: []string{":0"}}, "--public"},
		{"public, by name", Config{Host: host, Socks: []string{"example.org:0"}}, "--public"},
		{"no port", Config{Host: host, Socks: []string{"127.0.0.1"}}, "missing port"},
	} {
		if _, err := New(test.cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// What cannot be opened names the route and what helps, and leaves nothing open.
func TestCannotListen(t *testing.T) {
	b := newBed(t)
	taken := b.serve(Kernel, "127.0.0.1:0", echoes)
	b.serve(b.host.Net(), ":80", echoes)
	free := Route{"tcp", "127.0.0.1:0", "10.0.0.2:7"}
	for _, test := range []struct {
		cfg  Config
		err  error
		want string
	}{
		{Config{Forward: []Route{free, {"tcp", taken, "10.0.0.2:7"}}}, syscall.EADDRINUSE, "forward tcp/" + taken},
		{Config{Forward: []Route{free}, Socks: []string{taken}}, syscall.EADDRINUSE, "choose another port"},
		{Config{Forward: []Route{free}, Publish: []Route{{"tcp", ":80", "127.0.0.1:80"}}}, syscall.EADDRINUSE, "publish tcp/:80"},
		{Config{Publish: []Route{{"udp", "10.0.0.9:53", "127.0.0.1:53"}}}, syscall.EADDRNOTAVAIL, "its own side"},
		{Config{Public: true, Forward: []Route{{"tcp", "192.0.2.1:0", "10.0.0.2:7"}}}, syscall.EADDRNOTAVAIL, "its own side"},
	} {
		test.cfg.Host = b.host.Net()
		if _, err := New(test.cfg); !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
	if _, err := New(Config{Host: b.host.Net(), Public: true, Socks: []string{"0.0.0.0:0"}, Publish: []Route{{"udp", ":80", "127.0.0.1:80"}}}); err != nil {
		t.Error(err)
	}
}
