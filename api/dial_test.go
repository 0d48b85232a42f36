package api_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

func TestAddresses(t *testing.T) {
	eachNet(t, func(f faces) {
		for _, c := range []struct{ network, address, want string }{
			{"tcp", ":0", "listen"},
			{"tcp4", ":0", "listen"},
			{"tcp", "0.0.0.0:0", "listen"},
			{"tcp", "localhost:0", "listen"},
			{"tcp", "127.0.0.1", "missing port"},
			{"tcp", "127.0.0.1:port", "unknown port"},
			{"tcp", "127.0.0.1:70000", "invalid port"},
			{"tcp4", "[::1]:0", "no suitable address"},
			{"udp", "127.0.0.1:0", "udp"},
			{"sctp", "127.0.0.1:0", "unknown network sctp"},
		} {
			ln, err := f.server.listen(c.network, c.address)
			if err == nil {
				if c.want != "listen" {
					f.Errorf("Listen(%q, %q) succeeded", c.network, c.address)
				} else if addrPort(ln.Addr()).Port() == 0 {
					f.Errorf("Listen(%q, %q): address %v", c.network, c.address, ln.Addr())
				}
				ln.Close()
				continue
			}
			if c.want == "listen" || !strings.Contains(err.Error(), c.want) {
				f.Errorf("Listen(%q, %q): %v, want %q", c.network, c.address, err, c.want)
			}
		}
		ln := must1(f.server.listen("tcp4", ":0"))
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		c, err := f.server.dial(ctx, "tcp", ":"+port)
		if err != nil {
			f.Errorf("Dial of an empty host: %v", err)
			return
		}
		c.Close()
	})
}

func TestDialContext(t *testing.T) {
	s := &stub{hold: true} // where nobody answers
	l := api.New(s, api.Config{Strict: true})
	defer l.Exit()
	f := faces{T: t}
	_, err := l.Net().DialContext(ended, "tcp", "192.0.2.1:1")
	f.fails("an ended context", err, context.Canceled, false)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = l.Net().DialContext(short, "tcp", "192.0.2.1:1")
	f.fails("a deadline", err, context.DeadlineExceeded, true)
	d := api.Dialer{Net: l.Net(), Timeout: time.Millisecond}
	_, err = d.Dial("tcp", "192.0.2.1:1")
	f.fails("a timeout", err, os.ErrDeadlineExceeded, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) != 0 {
		t.Errorf("%d ops are still there", len(s.held))
	}
}

func TestCopy(t *testing.T) {
	eachNet(t, func(f faces) {
		server, client := f.pair()
		sent := bytes.Repeat([]byte("copy"), 100_000)
		var wg sync.WaitGroup
		wg.Go(func() {
			n, err := io.Copy(client, struct{ io.Reader }{bytes.NewReader(sent)}) // ReadFrom
			if n != int64(len(sent)) || err != nil {
				f.Errorf("to the connection: %d, %v", n, err)
			}
			client.Close()
		})
		var got bytes.Buffer
		n, err := io.Copy(struct{ io.Writer }{&got}, server) // WriteTo
		if n != int64(len(sent)) || err != nil || !bytes.Equal(got.Bytes(), sent) {
			f.Errorf("from the connection: %d, %v", n, err)
		}
		wg.Wait()
	})
}

func TestConnOptions(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		f := faces{t, ours(r.server, r.addr), ours(r.client, r.addr)}
		_, client := f.pair()
		c := client.(*api.Conn)
		if o, err := c.Option(api.KeepAlive{}); err != nil || o != (api.KeepAlive{On: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}) {
			t.Errorf("keep-alives of a new connection: %+v, %v", o, err)
		}
		must(c.SetNoDelay(false))
		if o, err := c.Option(api.NoDelay(true)); o != api.NoDelay(false) || err != nil {
			t.Errorf("NoDelay: %v, %v", o, err)
		}
		must(c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: -1, Interval: time.Second}))
		if o, _ := c.Option(api.KeepAlive{}); o != (api.KeepAlive{On: true, Idle: 15 * time.Second, Interval: time.Second, Count: 9}) {
			t.Errorf("KeepAlive: %+v", o)
		}
		must(c.SetLinger(0))
		must(c.Close())
		f.fails("SetNoDelay", c.SetNoDelay(true), net.ErrClosed, false)
	})
}

func TestHTTP(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		ln := must1(r.server.Net().Listen("tcp", ":0"))
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Errorf("in the server: %v", err)
			}
			w.Write(body)
		})}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := srv.Serve(ln); err != http.ErrServerClosed {
				t.Errorf("Serve: %v", err)
			}
		})
		tr := &http.Transport{DialContext: r.client.Net().DialContext}
		client := &http.Client{Transport: tr}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		url := "http://" + net.JoinHostPort(r.addr.String(), port)
		var gets sync.WaitGroup
		for i := range 8 {
			gets.Go(func() {
				sent := bytes.Repeat([]byte{byte(i)}, 100_000)
				resp, err := client.Post(url, "", bytes.NewReader(sent))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		gets.Wait()
		tr.CloseIdleConnections()
		must(srv.Shutdown(ctx))
		wg.Wait()
	})
}

func TestConnAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools are not deterministic under the race detector")
	}
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	c := must1(l.Net().ListenPacket("udp", "127.0.0.1:0")).(*api.PacketConn)
	buf := make([]byte, 10)
	to := netip.MustParseAddrPort("127.0.0.1:1")
	c.SetDeadline(time.Now().Add(time.Hour))
	if n := testing.AllocsPerRun(1000, func() {
		must1(c.WriteToUDPAddrPort(buf, to))
		must1(c.Read(buf))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	c.Close()
}

// A deadline that passes just before the transport gets the op ends it too.
func TestDeadlineBeforeSubmit(t *testing.T) {
	s := &lateStub{stub: stub{hold: true}}
	l := api.New(s, api.Config{Strict: true})
	defer l.Exit()
	c := must1(l.Net().ListenPacket("udp", "127.0.0.1:0"))
	s.before = func() { c.SetReadDeadline(time.Unix(1, 0)) }
	_, _, err := c.ReadFrom(make([]byte, 1))
	faces{T: t}.fails("ReadFrom", err, os.ErrDeadlineExceeded, true)
}

// A lateStub does something before it takes a read.
type lateStub struct {
	stub
	before func()
}

func (s *lateStub) Submit(op *api.Op) {
	if op.Kind == api.KindRead {
		s.before()
	}
	s.stub.Submit(op)
}
