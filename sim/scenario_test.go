package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/stack"
)

// A scenario is a program in a world. What it does is checked by itself, and its
// identity by the tests that run it again and again.
type scenario struct {
	name string
	run  func(w *World)
}

var scenarios = []scenario{
	{"lossy by queues", lossyQueues},
	{"net/http, 9 clients", manyClients},
	{"one http.Client, 8 goroutines", oneClient},
	{"UDP", datagrams},
	{"IPv6", overIPv6},
	{"partition and heal", partitionAndHeal},
	{"crash and restart", crashAndRestart},
	{"two devices, routed", routed},
}

// bad is a link with everything that can be wrong with one.
var bad = Link{Faults: wrap.Faults{
	Drop: 0.01, Burst: 2, Dup: 0.002, Corrupt: 0.002, Reorder: 0.02,
	Delay: 5 * time.Millisecond, Jitter: 3 * time.Millisecond, Rate: 100_000_000, Queue: 60,
}}

func lossyQueues(w *World) { transfer(w, 1<<20) }

// transfer moves size bytes from one queue program to another, in goroutines of
// their own, over a bad link.
func transfer(w *World, size int) {
	a, b := w.Host("a"), w.Host("b")
	a.Cable(0).Set(bad)
	ctx := context.Background()
	want := pattern(size)
	done := make(chan error, 1)
	go func() { done <- receive(ctx, b.LibOS(), want) }()
	time.Sleep(time.Millisecond)
	if err := push(ctx, a.LibOS(), netip.AddrPortFrom(b.Addr(), 7), want); err != nil {
		w.T.Errorf("push: %v", err)
	}
	if err := <-done; err != nil {
		w.T.Error(err)
	}
	if s := w.Stats(); size > 1<<18 && (s.Lost["drop"] == 0 || a.Stats().TCP.Retransmits == 0) {
		w.T.Errorf("nothing was lost on a bad link: %+v", s)
	}
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7 >> 3)
	}
	return p
}

func receive(ctx context.Context, lib *api.LibOS, want []byte) error {
	qd, err := lib.Socket(api.TCP)
	if err == nil {
		err = lib.Bind(qd, netip.MustParseAddrPort("0.0.0.0:7"))
	}
	if err == nil {
		err = lib.Listen(qd, 8)
	}
	if err != nil {
		return err
	}
	accept, err := lib.Accept(qd)
	if err != nil {
		return err
	}
	c, err := lib.Wait(ctx, accept)
	if err != nil || c.Err != nil {
		return fmt.Errorf("accept: %v, %v", err, c.Err)
	}
	var got []byte
	for {
		tok, err := lib.Pop(c.New)
		if err != nil {
			return err
		}
		p, err := lib.Wait(ctx, tok)
		if err != nil || p.Err != nil {
			return fmt.Errorf("pop: %v, %v", err, p.Err)
		}
		if p.EOF {
			break
		}
		for _, s := range p.SGA.Segs {
			got = append(got, s...)
		}
		p.SGA.Free()
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came, not the %d that were sent", len(got), len(want))
	}
	return lib.Close(c.New)
}

func push(ctx context.Context, lib *api.LibOS, to netip.AddrPort, p []byte) error {
	qd, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	tok, err := lib.Connect(qd, to)
	for at := 0; err == nil; {
		c, werr := lib.Wait(ctx, tok)
		if werr != nil || c.Err != nil {
			return fmt.Errorf("%v: %v, %v", c.Op, werr, c.Err)
		}
		if at == len(p) {
			break
		}
		n := min(64<<10, len(p)-at)
		tok, err = lib.Push(qd, api.SGAOf(p[at:at+n]))
		at += n
	}
	if err != nil {
		return err
	}
	return lib.Close(qd)
}

// web starts a web server on a host, as anybody would.
func web(w *World, h *Host) {
	ln, err := h.Net().Listen("tcp", ":80")
	if err != nil {
		w.T.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%s %s %d", r.Method, r.URL.Path, len(body))
	}), ReadTimeout: time.Minute}
	go s.Serve(ln)
}

func client(h *Host) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: h.Net().DialContext}, Timeout: time.Minute}
}

// ask posts size bytes and expects the answer.
func ask(w *World, c *http.Client, url string, size int) {
	resp, err := c.Post(url, "text/plain", bytes.NewReader(pattern(size)))
	if err != nil {
		w.T.Errorf("%s: %v", url, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	w.Logf("%s: %s, %v", url, body, err)
	if err != nil || !bytes.HasSuffix(body, fmt.Appendf(nil, " %d", size)) {
		w.T.Errorf("%s: %q, %v", url, body, err)
	}
}

func manyClients(w *World) {
	server := w.Host("server")
	web(w, server)
	var all sync.WaitGroup
	for i := range 9 {
		h := w.NewHost(fmt.Sprintf("client%d", i), HostConfig{Ports: []Port{{Link: bad}}})
		all.Go(func() {
			c := client(h)
			for n := range 4 {
				ask(w, c, fmt.Sprintf("http://server/%d/%d", i, n), 5000*n)
				time.Sleep(time.Duration(i+1) * time.Millisecond)
			}
			c.CloseIdleConnections()
		})
	}
	all.Wait()
}

func oneClient(w *World) {
	server, h := w.Host("server"), w.NewHost("client", HostConfig{Ports: []Port{{Link: bad}}})
	web(w, server)
	c := client(h)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			time.Sleep(time.Duration(i) * 1001)
			for n := range 5 {
				ask(w, c, fmt.Sprintf("http://server/%d/%d", i, n), 3000)
			}
		})
	}
	all.Wait()
	c.CloseIdleConnections()
}

func datagrams(w *World) {
	a, b := w.NewHost("a", HostConfig{Ports: []Port{{Link: bad}}}), w.Host("b")
	echo, err := b.Net().ListenPacket("udp", ":7")
	if err != nil {
		w.T.Fatal(err)
	}
	go func() {
		p := make([]byte, 4096)
		for {
			n, from, err := echo.ReadFrom(p)
			if err != nil {
				return
			}
			echo.WriteTo(p[:n], from)
		}
	}()
	c, err := a.Net().Dial("udp", "b:7")
	if err != nil {
		w.T.Fatal(err)
	}
	answers, p := 0, make([]byte, 4096)
	for i := range 200 {
		c.Write(pattern(1 + i*17)) // some are fragmented
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Read(p); err == nil {
			answers++
			w.Logf("%d: %d", i, n)
		}
	}
	if answers < 100 || answers == 200 {
		w.T.Errorf("%d of 200 datagrams came back over a bad link", answers)
	}
}

func overIPv6(w *World) {
	six := func(addr string) HostConfig {
		return HostConfig{Ports: []Port{{Link: bad, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}}}
	}
	server, h := w.NewHost("server", six("fd00::1/64")), w.NewHost("client", six("fd00::2/64"))
	for _, h := range []*Host{server, h} {
		if err := h.Ready(context.Background()); err != nil {
			w.T.Fatal(err)
		}
	}
	web(w, server)
	c := client(h)
	for n := range 5 {
		ask(w, c, fmt.Sprintf("http://server/%d", n), 20_000)
	}
}

func partitionAndHeal(w *World) {
	server, h := w.Host("server"), w.Host("client")
	web(w, server)
	c := client(h)
	ask(w, c, "http://server/before", 100)
	heal := w.Partition(server)
	w.At(20*time.Second, heal)
	begin := time.Now()
	ask(w, c, "http://server/during", 100_000)
	if took := time.Since(begin); took < 20*time.Second || took > time.Minute {
		w.T.Errorf("a call during a partition of 20 s took %v", took)
	}
	if w.Stats().Lost["partition"] == 0 {
		w.T.Error("the partition has lost nothing")
	}
}

func crashAndRestart(w *World) {
	server, h := w.Host("server"), w.NewHost("client", HostConfig{Ports: []Port{{Link: bad}}})
	web(w, server)
	c := client(h)
	c.Timeout = 5 * time.Second
	ask(w, c, "http://server/before", 100)
	server.Crash()
	_, err := c.Get("http://server/down")
	w.Logf("down: %v", err != nil)
	if e, ok := err.(net.Error); !ok || !e.Timeout() {
		w.T.Errorf("a call of a host that has crashed: %v", err)
	}
	server.Restart()
	web(w, server)
	ask(w, c, "http://server/after", 50_000)
}

// routed is two networks, and a host on both that forwards.
func routed(w *World) {
	left, right := w.Switch("left"), w.Switch("right")
	r := w.NewHost("router", HostConfig{Ports: []Port{{Net: left}, {Net: right, Link: bad}}, Stack: stack.Config{Forward: true}})
	on := func(s *Switch, port int) HostConfig {
		via := r.ports[port].addrs[0].Addr()
		return HostConfig{Ports: []Port{{Net: s}}, Stack: stack.Config{
			Routes: []stack.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: via}},
		}}
	}
	server, h := w.NewHost("server", on(left, 0)), w.NewHost("client", on(right, 1))
	web(w, server)
	c := client(h)
	for n := range 3 {
		ask(w, c, fmt.Sprintf("http://server/%d", n), 30_000)
	}
}
