package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What clients say, and what they are answered, byte by byte.
func TestSocksDialogues(t *testing.T) {
	b := newBed(t)
	b.serve(b.far.Net(), "10.0.0.2:7", echoes)
	const (
		hello   = "\x05\x01\x00"
		echo    = "\x05\x01\x00\x01\x0a\x00\x00\x02\x00\x07"
		refused = "\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"
		user    = "\x05\x01\x02"
	)
	for _, test := range []struct {
		name, user, say, want string
	}{
		{"version 4", "", "\x04\x01\x00\x07\x0a\x00\x00\x02\x00", ""},
		{"no method", "", "\x05\x00", "\x05\xff"},
		{"method unknown", "", "\x05\x02\x01\x02", "\x05\xff"},
		{"a request of another version", "", hello + "\x04\x01\x00\x01\x0a\x00\x00\x02\x00\x07", "\x05\x00"},
		{"BIND", "", hello + "\x05\x02\x00\x01\x0a\x00\x00\x02\x00\x07", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"type of address unknown", "", hello + "\x05\x01\x00\x05", "\x05\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"empty name", "", hello + "\x05\x01\x00\x03\x00\x00\x07", "\x05\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"refused", "", hello + "\x05\x01\x00\x01\x0a\x00\x00\x02\x00\x08", refused},
		{"refused, IPv4 in IPv6", "", hello + "\x05\x01\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x02\x00\x08", refused},
		{"refused, by name", "", hello + "\x05\x01\x00\x03\x09localhost\x00\x08", refused},
		{"no such network", "", hello + "\x05\x01\x00\x01\x0b\x00\x00\x02\x00\x07", "\x05\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"no such name", "", hello + "\x05\x01\x00\x03\x0fno.name.invalid\x00\x07", "\x05\x00\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"user wanted", "me:secret", hello, "\x05\xff"},
		{"right user", "me:secret", user + "\x01\x02me\x06secret" + echo[:1] + "\x01\x00\x05", "\x05\x02\x01\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"wrong password", "me:secret", user + "\x01\x02me\x06secreT" + echo, "\x05\x02\x01\x01"},
		{"wrong user", "me:secret", user + "\x01\x03you\x06secret" + echo, "\x05\x02\x01\x01"},
		{"a user in another form", "me:secret", user + "\x02\x02me\x06secret", "\x05\x02"},
		{"half a request", "", hello + echo[:7], "\x05\x00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name, password, _ := strings.Cut(test.user, ":")
			p := b.start(Config{Socks: []string{"127.0.0.1:0"}, User: name, Password: password})
			c := b.dial(Kernel, "tcp", at(p, 0))
			io.WriteString(c, test.say)
			c.(*net.TCPConn).CloseWrite()
			// What was not read in full is a reset, behind the answer.
			got, _ := io.ReadAll(c)
			if string(got) != test.want {
				t.Errorf("the answer is %q, want %q", got, test.want)
			}
			waitUntil(t, "a failure", func() bool { return p.Stats()[0].Failed == 1 })
		})
	}
}

// A silent client does not stay.
func TestSilentSocksClient(t *testing.T) {
	b := newBed(t)
	p := b.start(Config{Socks: []string{"127.0.0.1:0"}, Patience: 20 * time.Millisecond})
	c, err := net.Dial("tcp", at(p, 0))
	if err == nil { // else it came early
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if err == nil {
		t.Error("it was answered")
	}
	waitUntil(t, "a failure", func() bool { return p.Stats()[0].Failed == 1 })
}

// Go's own client of SOCKS, with and without a user.
func TestSocksConnect(t *testing.T) {
	b := newBed(t)
	ln, err := b.far.Net().Listen("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	web := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, io.MultiReader(strings.NewReader(r.RemoteAddr+" "), r.Body))
	})}
	go web.Serve(ln)
	defer web.Close()
	for _, user := range []*url.Userinfo{nil, url.UserPassword("me", "secret")} {
		cfg := Config{Socks: []string{"127.0.0.1:0"}}
		if user != nil {
			cfg.User, cfg.Password = "me", "secret"
		}
		proxy := &url.URL{Scheme: "socks5h", User: user, Host: at(b.start(cfg), 0)}
		tr := &http.Transport{Proxy: http.ProxyURL(proxy)}
		body := strings.Repeat("body", 100_000)
		reply, err := (&http.Client{Transport: tr}).Post("http://10.0.0.2/", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		from, back, _ := strings.Cut(string(got), " ")
		if err != nil || back != body || !strings.HasPrefix(from, "10.0.0.1:") {
			t.Errorf("%d bytes from %s, %v", len(back), from, err)
		}
		tr.CloseIdleConnections()
	}
}

// The answer tells the address of the connection, and halves end by themselves.
func TestSocksStream(t *testing.T) {
	b := newBed(t)
	b.serve(b.far.Net(), "10.0.0.2:7", echoes)
	p := b.start(Config{Socks: []string{"127.0.0.1:0"}})
	c := b.dial(Kernel, "tcp", at(p, 0))
	io.WriteString(c, "\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x02\x00\x07")
	head := make([]byte, 2+10)
	if _, err := io.ReadFull(c, head); err != nil || !bytes.HasPrefix(head, []byte("\x05\x00\x05\x00\x00\x01\x0a\x00\x00\x01")) {
		t.Fatalf("%q, %v", head, err)
	}
	if binary.BigEndian.Uint16(head[10:]) == 0 {
		t.Error("the connection has no port")
	}
	exchange(t, c, 500_000)
}

func FuzzSocks(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x02\x00\x07"))
	f.Add([]byte("\x05\x01\x02\x01\x02me\x06secret\x05\x03\x00\x03\x04name\x00\x07"))
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x02\x00\x07payload"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if _, err := readGreeting(r, methodUser); err == nil {
			if _, _, err := readUser(r); err == nil {
				check(t, r)
			}
		}
		check(t, bytes.NewReader(b))
		if to, payload, err := parseDatagram(b); err == nil {
			if len(payload) > len(b)-10 && to.ip.IsValid() || !bytes.HasSuffix(b, payload) {
				t.Errorf("a payload of %d bytes in %d", len(payload), len(b))
			}
		}
	})
}

// check reads a request; an address that was understood is the same when it is
// written and read again.
func check(t *testing.T, r io.Reader) {
	_, to, err := readRequest(r)
	if err != nil {
		return
	}
	if !to.ip.IsValid() {
		if to.name == "" {
			t.Error("neither address nor name")
		}
		return
	}
	b := appendAddress(nil, netip.AddrPortFrom(to.ip, to.port))
	again, err := readDestination(bytes.NewReader(b[1:]), b[0])
	if err != nil || again != to {
		t.Errorf("%v is written as %x and read as %v, %v", to, b, again, err)
	}
}

func TestReplyTo(t *testing.T) {
	if got := replyTo(errors.New("anything")); got != replyFailure {
		t.Error(got)
	}
	if got := reply(77).Error(); got != "socks: reply 77" {
		t.Error(got)
	}
}
