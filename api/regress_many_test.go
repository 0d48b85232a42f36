package api_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/stack"
)

// A crowd is many connections between two hosts, both ends in one LibOS, so that
// one goroutine serves all of them.
type crowd struct {
	testing.TB
	limited  context.Context
	lib      *api.LibOS
	client   *stack.Host
	ln       api.QD
	addr     netip.AddrPort
	accepted []api.QD
	dialled  []api.QD
}

func newCrowd(t testing.TB) *crowd {
	wire := fmt.Sprintf("loopback:crowd-%d-%d", os.Getpid(), wires.Add(1))
	var hosts [2]*stack.Host
	for i := range hosts {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)
		hosts[i] = must1(stack.New(stack.Config{
			Interfaces: []stack.Interface{{Device: must1(hal.Open(wire)), Addrs: []netip.Prefix{prefix}}},
			Limits:     stack.Limits{ConnsPerPeer: 1 << 16},
		}))
	}
	c := &crowd{TB: t, lib: api.New(hosts[0], api.Config{Strict: true}), client: hosts[1]}
	limited, cancel := context.WithTimeout(ctx, 5*time.Minute)
	c.limited = limited
	t.Cleanup(func() {
		cancel()
		must(c.lib.Exit())
		must(c.client.Close())
		drain(c.lib)
		if s := c.lib.Stats(); s.Pending != 0 || s.Unclaimed != 0 || s.SGAs != 0 {
			t.Errorf("after Exit: %+v", s)
		}
	})
	c.ln = must1(c.lib.Socket(api.TCP))
	must(c.lib.Bind(c.ln, netip.MustParseAddrPort("10.0.0.1:0")))
	must(c.lib.Listen(c.ln, crowdBacklog))
	c.addr = must1(c.lib.LocalAddr(c.ln))
	must1(c.lib.Accept(c.ln))
	return c
}

// grow makes connections until there are n. No more are under way than the
// backlog holds: of others the server would forget that they were to be accepted
// until their clients say something.
func (c *crowd) grow(n int) {
	c.Helper()
	started := len(c.dialled)
	for len(c.dialled) < n || len(c.accepted) < n {
		for ; started < n && started-len(c.accepted) < crowdBacklog; started++ {
			qd := must1(c.lib.SocketOn(c.client, api.TCP))
			must1(c.lib.Connect(qd, c.addr))
		}
		switch done := c.next(); {
		case done.Err != nil:
			c.Fatal(done.Err)
		case done.Op == api.OpAccept:
			c.accepted = append(c.accepted, done.New)
			must1(c.lib.Accept(c.ln))
		default:
			c.dialled = append(c.dialled, done.QD)
		}
	}
}

const crowdBacklog = 100

func (c *crowd) next() api.Completion {
	c.Helper()
	var out [1]api.Completion
	if _, err := c.lib.WaitNext(c.limited, out[:]); err != nil {
		c.Fatalf("%d connected, %d accepted, %+v: %v", len(c.dialled), len(c.accepted), c.lib.Stats(), err)
	}
	return out[0]
}

// say sends a byte from one end of a connection to the other.
func (c *crowd) say(from, to api.QD) {
	must1(c.lib.Push(from, api.SGAOf([]byte{1})))
	must1(c.lib.Pop(to))
	for range 2 {
		done := c.next()
		if done.Err != nil || done.N != 1 {
			c.Fatalf("%+v", done)
		}
		done.SGA.Free()
	}
}

// close closes all connections.
func (c *crowd) close() {
	for _, qd := range append(c.dialled, c.accepted...) {
		must(c.lib.Close(qd))
	}
	c.dialled, c.accepted = nil, nil
}

// A thousand connections come and go on one goroutine, several times, and no
// goroutine comes with them.
func TestStorm(t *testing.T) {
	c := newCrowd(t)
	c.grow(1)
	before := runtime.NumGoroutine()
	c.close()
	for range 3 {
		c.grow(1000)
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines with a thousand connections, %d with one", n, before)
		}
		c.close()
	}
}

// What an idle connection costs, and an exchange among very many.
func TestTenThousand(t *testing.T) {
	if !testenv.Long() {
		t.Skip("a long test")
	}
	c := newCrowd(t)
	bytes, goroutines := c.measure(10_000)
	t.Logf("10,000 connections on one goroutine: %d bytes each, both ends with both hosts' state; %d more goroutines", bytes, goroutines)
	if goroutines > 0 || bytes > 64<<10 {
		t.Errorf("%d goroutines, %d bytes for each connection", goroutines, bytes)
	}
	for i := range c.dialled {
		must1(c.lib.Push(c.dialled[i], api.SGAOf([]byte{1})))
		must1(c.lib.Pop(c.accepted[i]))
	}
	for range 2 * len(c.dialled) {
		if done := c.next(); done.Err != nil || done.N != 1 {
			t.Fatalf("%+v", done)
		} else {
			done.SGA.Free()
		}
	}
	c.close()
}

// measure makes n connections and returns what each of them takes of memory, and
// how many goroutines all of them.
func (c *crowd) measure(n int) (bytes, goroutines int) {
	heap := func() int {
		runtime.GC()
		runtime.GC() // pools give up what they hold at the second one
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	c.grow(1)
	bytes, goroutines = heap(), runtime.NumGoroutine()
	c.grow(n + 1)
	return (heap() - bytes) / n, runtime.NumGoroutine() - goroutines
}

// BenchmarkTenThousand is an exchange of a byte between two ends of ten thousand
// connections, each in its turn; with the memory of an idle one.
func BenchmarkTenThousand(b *testing.B) {
	c := newCrowd(b)
	bytes, goroutines := c.measure(10_000)
	pairs := c.pairs()
	i := 0
	for b.Loop() {
		c.say(pairs[i%len(pairs)][0], pairs[i%len(pairs)][1])
		i++
	}
	b.ReportMetric(float64(bytes), "B/conn")
	b.ReportMetric(float64(goroutines), "goroutines")
	b.StopTimer()
	c.close()
}

// pairs finds the two ends of each connection.
func (c *crowd) pairs() (pairs [][2]api.QD) {
	peers := map[netip.AddrPort]api.QD{}
	for _, qd := range c.accepted {
		peers[must1(c.lib.PeerAddr(qd))] = qd
	}
	for _, qd := range c.dialled {
		pairs = append(pairs, [2]api.QD{qd, peers[must1(c.lib.LocalAddr(qd))]})
	}
	return pairs
}
