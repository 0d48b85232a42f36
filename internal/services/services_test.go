package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// The services' tests are one table, run on both faces and both versions of
// IP. A test gets a testbed of its own.
var serviceTests = []struct {
	name string
	test func(t *testing.T, b *testbed)
}{
	{"echo", testEcho},
	{"echo datagrams", testEchoDatagrams},
	{"discard", testDiscard},
	{"chargen", testChargen},
	{"pages", testPages},
	{"sums", testSums},
	{"many at once", testMany},
	{"half-closed request", testHalfClosedRequest},
	{"slow reader", testSlowReader},
	{"killed clients", testKilledClients},
	{"big sum", testBigSum},
	{"statistics", testStatistics},
	{"stop under load", testStopUnderLoad},
}

func TestServices(t *testing.T) {
	for _, face := range faces {
		for _, version := range []int{4, 6} {
			t.Run(fmt.Sprintf("%s/IPv%d", face, version), func(t *testing.T) {
				t.Parallel() // IPv6 takes a second to come up
				for _, test := range serviceTests {
					if version == 6 && !testenv.Long() && test.name != "echo" && test.name != "sums" && test.name != "echo datagrams" {
						continue
					}
					t.Run(test.name, func(t *testing.T) { test.test(t, newTestbed(t, face, version, Config{})) })
				}
			})
		}
	}
}

// dial connects to a service.
func (b *testbed) dial(t *testing.T, port int) *api.Conn {
	t.Helper()
	c, err := b.client.Dial("tcp", b.addr+":"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) // so that a failure is not a hang
	return c.(*api.Conn)
}

func testEcho(t *testing.T, b *testbed) {
	c := b.dial(t, echoPort)
	sent := primePattern.at(17, chunk)
	const rounds = 20
	go func() {
		for range rounds {
			if _, err := c.Write(sent); err != nil {
				t.Error(err)
			}
		}
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c) // to the end, which the server makes after ours
	if err != nil || !bytes.Equal(got, bytes.Repeat(sent, rounds)) {
		t.Errorf("%d of %d bytes came back, %v", len(got), rounds*len(sent), err)
	}
}

func testEchoDatagrams(t *testing.T, b *testbed) {
	c, err := b.client.Dial("udp", b.addr+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 64<<10)
	for _, size := range []int{1, 0, 1400, 9000} {
		want := primePattern.at(int64(size), size)
		if _, err := c.Write(want); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("datagram of %d bytes: got %d, %v", size, n, err)
		}
	}
	// From a low port there is no answer: the next one answered is ours.
	low, err := b.client.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer low.Close()
	low.WriteTo([]byte("from a server"), c.RemoteAddr())
	c.Write([]byte("from a client"))
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "from a client" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	low.SetReadDeadline(time.Now().Add(-time.Second))
	if n, _, err := low.ReadFrom(buf); err == nil {
		t.Errorf("a low port was answered: %q", buf[:n])
	}
}

func testDiscard(t *testing.T, b *testbed) {
	c := b.dial(t, discardPort)
	for range 20 {
		if _, err := c.Write(primePattern.at(0, chunk)); err != nil {
			t.Fatal(err)
		}
	}
	c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
	if n := b.Snapshot().Services["discard"].RxBytes; n != 20*chunk {
		t.Errorf("%d bytes counted, want %d", n, 20*chunk)
	}
}

func testChargen(t *testing.T, b *testbed) {
	c := b.dial(t, chargenPort)
	c.Write([]byte("this is thrown away"))
	want := ""
	for line := range 2 * 95 {
		for i := range 72 {
			want += string(rune(' ' + (line+i)%95))
		}
		want += "\r\n"
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %.80q…, %v", got, err)
	}
}

// Clients that vanish in the middle of anything leave nothing behind; the testbed
// looks at the end.
func testKilledClients(t *testing.T, b *testbed) {
	requests := []struct {
		port    int
		request string
	}{
		{echoPort, strings.Repeat("x", 3*chunk)},
		{chargenPort, ""},
		{discardPort, "xx"},
		{httpPort, "GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{httpPort, "POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nxxx"},
		{httpPort, "POST /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxx"},
		{httpPort, "GET / HTT"},
	}
	for _, r := range requests {
		c := b.dial(t, r.port)
		fmt.Fprint(c, r.request)
		if r.port == chargenPort || strings.HasPrefix(r.request, "GET /b") {
			io.ReadFull(c, make([]byte, 1000)) // it is under way
		}
		c.SetLinger(0)
		c.Close()
	}
	b.await(t, "no connection is open", func() bool { return b.openConns() == 0 && b.accepted() == uint64(len(requests)) })
}

func (b *testbed) openConns() (n int64) {
	for _, c := range b.Snapshot().Services {
		n += c.Open
	}
	return n
}

func (b *testbed) accepted() (n uint64) {
	for _, c := range b.Snapshot().Services {
		n += c.Accepted
	}
	return n
}

// await waits for something that happens by itself.
func (b *testbed) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s; %+v", what, b.Snapshot())
		}
	}
}

// Services stop while their clients ask for ever more.
func testStopUnderLoad(t *testing.T, b *testbed) {
	var wg sync.WaitGroup
	for range 8 {
		c := b.dial(t, chargenPort)
		io.ReadFull(c, make([]byte, 1000)) // it is under way
		wg.Go(func() { io.Copy(io.Discard, c) })
	}
	b.stop()
	wg.Wait()
}

// A connection that stands still is dropped, on both faces.
func TestIdle(t *testing.T) {
	for _, face := range faces {
		t.Run(face, func(t *testing.T) {
			b := newTestbed(t, face, 4, Config{Idle: 50 * time.Millisecond})
			for _, port := range []int{echoPort, discardPort, httpPort} {
				c := b.dial(t, port)
				if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("port %d: %v", port, err)
				}
			}
			b.await(t, "no connection is open", func() bool { return b.openConns() == 0 })
		})
	}
}

// A port that is taken is a clear error, and nothing stays open.
func TestBusyPort(t *testing.T) {
	b := newTestbed(t, "queue", 4, Config{})
	for _, serve := range []func() error{
		func() error { return New(Config{}).ServeQueues(context.Background(), b.server, nil) },
		func() error { return New(Config{}).ServeNet(context.Background(), b.server.Net(), nil) },
	} {
		if err := serve(); err == nil || !strings.Contains(err.Error(), "7") {
			t.Errorf("got %v", err)
		}
	}
}
