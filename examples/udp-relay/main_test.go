package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/examples/internal/exampletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer runs a server on the host, until the test ends. It answers every
// datagram with its sender's port, as the server sees it, and its text.
func answer(t *testing.T, host *ringtail.Host, addr string) {
	t.Helper()
	pc, err := host.Net().ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(fmt.Appendf(nil, "%d %s", from.(*net.UDPAddr).Port, buf[:n]), from)
		}
	}()
}

// ask sends a datagram and returns the port that the server saw, and checks that
// the answer is the one to this question.
func ask(t *testing.T, c net.Conn, question string) (port int) {
	t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte(question)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatalf("%q: %v", question, err)
	}
	if _, text, _ := strings.Cut(string(buf[:n]), " "); text != question {
		t.Errorf("asked %q, was answered %q", question, buf[:n])
	}
	fmt.Sscan(string(buf[:n]), &port)
	return port
}

func dial(t *testing.T, host *ringtail.Host) net.Conn {
	t.Helper()
	c, err := host.Net().Dial("udp", "10.0.0.1:5300")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Every client gets its own answers, and keeps its port at the server.
func TestRelay(t *testing.T) {
	wire := exampletest.NewWire(t)
	answer(t, wire.Host("10.0.0.3/24"), ":53")
	wire.Start("10.0.0.1/24", run, "--to", "10.0.0.3:53")
	host := wire.Host("10.0.0.2/24")
	var clients []net.Conn
	for range 10 {
		clients = append(clients, dial(t, host))
	}
	ports := map[int]int{}
	for round := range 20 {
		for i, c := range clients {
			port := ask(t, c, fmt.Sprintf("client %d, round %d", i, round))
			if owner, known := ports[port]; known && owner != i {
				t.Fatalf("port %d belongs to clients %d and %d", port, owner, i)
			}
			ports[port] = i
		}
	}
	if len(ports) != len(clients) {
		t.Errorf("%d clients had %d ports: %v", len(clients), len(ports), ports)
	}
}

// A client beyond the limit takes the place of the most silent one, who is a new
// client when it comes back.
func TestForget(t *testing.T) {
	wire := exampletest.NewWire(t)
	answer(t, wire.Host("10.0.0.3/24"), ":53")
	wire.Start("10.0.0.1/24", run, "--to", "10.0.0.3:53", "--clients", "2")
	host := wire.Host("10.0.0.2/24")
	a, b, c := dial(t, host), dial(t, host), dial(t, host)
	first := ask(t, a, "a")
	ports := map[int]bool{}
	for range 8 { // a new port may by chance be the old one, but not eight times
		ports[ask(t, b, "b")] = true
		if again := ask(t, a, "a"); again != first {
			t.Errorf("a had port %d, and has %d, though others were silent for longer", first, again)
		}
		ask(t, c, "c, in the place of b")
		ask(t, a, "a")
	}
	if len(ports) == 1 {
		t.Errorf("b always had port %v: it was never forgotten", ports)
	}
}

// A server that is not there is no reason to end.
func TestNobodyThere(t *testing.T) {
	wire := exampletest.NewWire(t)
	server := wire.Host("10.0.0.3/24")
	wire.Start("10.0.0.1/24", run, "--to", "10.0.0.3:53")
	host := wire.Host("10.0.0.2/24")
	early, late := dial(t, host), dial(t, host)
	for range 2 * depth {
		early.Write([]byte("is anybody there?"))
	}
	answer(t, server, ":53")
	ask(t, late, "now there is")
}
