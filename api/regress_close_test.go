package api_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// After the peer's end of stream there is still our own to be sent. Demikernel
// is said to send no more.
func TestPushAfterPeersEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r bubbleRig) {
		server, client := r.pair()
		must(r.client.Shutdown(client, api.ShutWrite))
		r.popEOF(r.server, server)
		push := r.pushAll(r.server, server, 2, 500_000)
		r.popAll(r.client, client, 2, 500_000, 64<<10)
		for _, token := range push {
			if c := r.soon(r.server, token); c.Err != nil {
				t.Errorf("push: %+v", c)
			}
		}
		must(r.server.Close(server))
		r.popEOF(r.client, client)
		must(r.client.Close(client))
	})
}

func TestSimultaneousClose(t *testing.T) {
	inBubble(t, func(t *testing.T, r bubbleRig) {
		server, client := r.pair()
		r.pushAll(r.server, server, 1, 5000)
		r.pushAll(r.client, client, 1, 5000)
		must(r.server.Shutdown(server, api.ShutWrite))
		must(r.client.Shutdown(client, api.ShutWrite))
		r.popAll(r.server, server, 1, 5000, 64<<10)
		r.popAll(r.client, client, 1, 5000, 64<<10)
		r.popEOF(r.server, server)
		r.popEOF(r.client, client)
		must(r.server.Close(server))
		must(r.client.Close(client))

		server, client = r.pair()
		pops := [2]api.Token{must1(r.server.Pop(server)), must1(r.client.Pop(client))}
		must(r.server.Close(server))
		must(r.client.Close(client))
		r.soon(r.server, pops[0])
		r.soon(r.client, pops[1])
		time.Sleep(10 * time.Minute)
		for _, h := range r.hosts {
			if s := h.Stats(); s.Sockets != 0 || s.PeerConns != 0 {
				t.Errorf("left: %+v", s)
			}
		}
	})
}

// Close delivers what was pushed, in the background; its receiver may be slow.
func TestCloseDelivers(t *testing.T) {
	inBubble(t, func(t *testing.T, r bubbleRig) {
		server, client := r.pair()
		push := r.pushAll(r.client, client, 4, 25_000) // more than the window, less than both buffers
		for _, token := range push {
			if c := r.soon(r.client, token); c.Err != nil {
				t.Fatalf("push: %+v", c)
			}
		}
		must(r.client.Close(client))
		time.Sleep(time.Second)
		r.popAll(r.server, server, 4, 25_000, 3000)
		r.popEOF(r.server, server)
	})
}

// A close with Linger waits for the peer, whichever face closes, and an
// AsyncClose completes when that is over. What the time was too short for is sent
// all the same.
func TestCloseLingers(t *testing.T) {
	const limit = 10 * time.Second
	for name, closes := range map[string]func(r bubbleRig, qd api.QD) error{
		"Close": func(r bubbleRig, qd api.QD) error { return r.client.Close(qd) },
		"AsyncClose": func(r bubbleRig, qd api.QD) error {
			id := must1(r.client.AsyncClose(qd))
			if _, err := r.client.Wait(ended, id); err == nil {
				r.Error("it does not wait")
			}
			return r.soon(r.client, id).Err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r bubbleRig) {
				for _, reads := range []time.Duration{0, 2 * time.Second, 2 * limit} {
					server, client := r.pair()
					must(r.client.SetOption(client, api.Linger(limit)))
					for _, token := range r.pushAll(r.client, client, 4, 25_000) {
						r.soon(r.client, token)
					}
					pop := must1(r.client.Pop(client))
					begin := time.Now()
					var read sync.WaitGroup
					read.Go(func() {
						time.Sleep(reads)
						r.popAll(r.server, server, 4, 25_000, 3000)
						r.popEOF(r.server, server)
					})
					if err := closes(r, client); err != nil {
						t.Errorf("the close: %v", err)
					}
					if d, want := time.Since(begin), min(reads, limit); d.Round(time.Second) != want || d < want {
						t.Errorf("the close took %v, the peer reads after %v", d, reads)
					}
					r.fails("the pop", r.soon(r.client, pop).Err, syscall.ECANCELED)
					read.Wait()
				}
			})
		})
	}
}

// A datagram that is longer than its pop loses its tail, and nothing else.
func TestLongDatagram(t *testing.T) {
	inBubble(t, func(t *testing.T, r bubbleRig) {
		to := must1(r.server.Socket(api.UDP))
		must(r.server.Bind(to, r.at(0)))
		addr := must1(r.server.LocalAddr(to))
		from := must1(r.client.Socket(api.UDP))
		for _, size := range []int{60_000, 101, 100, 99} {
			p := (&modelPush{size: size}).content()
			if c := r.soon(r.client, must1(r.client.PushTo(from, api.SGAOf(p), addr))); c.Err != nil || c.N != size {
				t.Fatalf("push: %+v", c)
			}
			c := r.soon(r.server, must1(r.server.PopN(to, 100)))
			if n := min(size, 100); c.N != n || c.Truncated != (size > 100) || string(c.SGA.Append(nil)) != string(p[:n]) {
				t.Errorf("a datagram of %d bytes: %+v", size, c)
			}
			c.SGA.Free()
		}
	})
}
