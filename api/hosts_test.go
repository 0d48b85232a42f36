package api_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// TestTwoHostsInOneWaitAny waits, in one goroutine, for the queues of two hosts:
// whichever has something ends the wait.
func TestTwoHostsInOneWaitAny(t *testing.T) {
	first, firstPeer, firstAddr := netstack(t)
	second, secondPeer, secondAddr := netstack(t)
	lib := api.New(first, api.Config{Strict: true})
	var pops []api.Token
	for _, h := range []struct {
		t    api.Transport
		addr netip.Addr
	}{{first, firstAddr}, {second, secondAddr}} {
		qd := must1(lib.SocketOn(h.t, api.UDP))
		must(lib.Bind(qd, netip.AddrPortFrom(h.addr, 53)))
		pops = append(pops, must1(lib.Pop(qd)))
	}
	peers := []*api.LibOS{api.New(firstPeer, api.Config{}), api.New(secondPeer, api.Config{})}
	addrs := []netip.Addr{firstAddr, secondAddr}
	var senders sync.WaitGroup
	defer senders.Wait()
	for round := range 200 {
		from := round * 7 % 2
		senders.Go(func() {
			peer := peers[from]
			qd := must1(peer.Socket(api.UDP))
			defer peer.Close(qd)
			push := must1(peer.PushTo(qd, api.SGAOf(fmt.Append(nil, round)), netip.AddrPortFrom(addrs[from], 53)))
			must1(peer.Wait(ctx, push))
		})
		i, c, err := lib.WaitAny(ctx, pops)
		if err != nil || c.Err != nil {
			t.Fatal(err, c.Err)
		}
		if got := string(c.SGA.Append(nil)); i != from || got != fmt.Sprint(round) {
			t.Fatalf("round %d, from host %d: %q of host %d", round, from, got, i)
		}
		c.SGA.Free()
		pops[i] = must1(lib.Pop(c.QD))
	}
}
