package stack

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// TestNothingWaitsForATimer runs connections over a wire that loses nothing and
// takes no time, in a bubble where the clock goes on only when everybody waits. So
// a wake-up that is lost shows as time that passes until some timer makes up for
// it.
func TestNothingWaitsForATimer(t *testing.T) {
	rounds := 4
	if testenv.Long() {
		rounds = 150
	}
	for name, wire := range map[string]loopback.Config{
		"super-frames": {}, "wire frames": {NoGSO: true}, "eight frames": {Frames: 8}, "chained": {Chunk: 512},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range rounds {
				synctest.Test(t, func(t *testing.T) {
					begin := time.Now()
					echoes(t, wire, uint64(seed))
					if d := time.Since(begin); d > 100*time.Millisecond {
						t.Errorf("round %d: %v passed in which everybody waited", seed, d)
					}
				})
			}
		})
	}
}

// echoes runs a few clients against an echo server, each on a few connections.
func echoes(t *testing.T, wire loopback.Config, seed uint64) {
	a, b := pair4(t, wire)
	defer a.Close()
	defer b.Close()
	ln, err := api.New(a, api.Config{Strict: true}).Net().Listen("tcp", "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	var server, clients sync.WaitGroup
	server.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			server.Go(func() {
				defer c.Close()
				io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			})
		}
	})
	net := api.New(b, api.Config{Strict: true}).Net()
	for i := range 8 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 3 {
				c, err := net.Dial("tcp", "10.0.0.1:80")
				if err != nil {
					t.Error(err)
					return
				}
				size, piece := rnd.IntN(300<<10), 1+rnd.IntN(100<<10)
				clients.Go(func() {
					for n := 0; n < size; n += piece {
						if _, err := c.Write(make([]byte, min(piece, size-n))); err != nil {
							t.Error(err)
						}
					}
					c.(*api.Conn).CloseWrite()
				})
				if n, err := io.Copy(io.Discard, struct{ io.Reader }{c}); int(n) != size || err != nil {
					t.Errorf("%d of %d bytes came back: %v", n, size, err)
				}
				c.Close()
			}
		})
	}
	clients.Wait()
	ln.Close()
	server.Wait()
}

// pair4 is pair without IPv6, whose duplicate address detection takes a second.
func pair4(t *testing.T, wire loopback.Config) (a, b *Host) {
	t.Helper()
	da, db, err := loopback.Pair(wire)
	if err != nil {
		t.Fatal(err)
	}
	return host(t, Config{}, "a", da, "10.0.0.1/24"), host(t, Config{}, "b", db, "10.0.0.2/24")
}

// TestFarDeadline: a deadline in the far future is none in the past.
func TestFarDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair4(t, loopback.Config{})
		defer a.Close()
		defer b.Close()
		ln, err := api.New(a, api.Config{Strict: true}).Net().Listen("tcp", "10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		c, err := api.New(b, api.Config{Strict: true}).Net().Dial("tcp", "10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(1<<63 - 1))
		go func() {
			time.Sleep(time.Hour)
			s.Write([]byte("x"))
		}()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("read with a deadline in 292 years: %v", err)
		}
	})
}

// TestUnreachableNeighborsAreAskedForAgain: a neighbour that did not answer is
// no resolved one, and counts anew with the next packet to it.
func TestUnreachableNeighborsAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair4(t, loopback.Config{})
		defer a.Close()
		defer b.Close()
		s := socketOf(t, a, api.UDP4)
		for _, hosts := range [][2]byte{{10, 65}, {70, 125}, {10, 125}} {
			for i := hosts[0]; i < hosts[1]; i++ {
				call(t, a, api.Request{Kind: api.KindWrite, Sock: s, Bufs: [][]byte{{1}}, Addr: testAddr(i)})
				if n := a.neighbors.count(); n > maxUnresolved {
					t.Fatalf("%d next hops are being resolved", n)
				}
			}
			time.Sleep(3500 * time.Millisecond)
		}
	})
}

func testAddr(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 9)
}
