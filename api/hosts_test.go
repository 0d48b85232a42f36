package api_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
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
	peers := []*api.LibOS{api.New(firstPeer, api.Config{Strict: true}), api.New(secondPeer, api.Config{Strict: true})}
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

// Exit closes the queues of other transports too, and lets those live.
func TestExitClosesForeignQueues(t *testing.T) {
	other, _, addr := netstack(t)
	lib := api.New(&stub{}, api.Config{Strict: true})
	qd := must1(lib.SocketOn(other, api.UDP))
	must(lib.Bind(qd, netip.AddrPortFrom(addr, 53)))
	pop := must1(lib.Pop(qd))
	must(lib.Exit())
	if c, err := lib.Wait(ctx, pop); err != nil || !errors.Is(c.Err, syscall.ECANCELED) {
		t.Errorf("the pop of a foreign queue: %v, %v", c.Err, err)
	}
	for what, err := range map[string]error{
		"SocketOn": second(lib.SocketOn(other, api.UDP)),
		"Bind":     lib.Bind(qd, netip.MustParseAddrPort("10.0.0.1:1")),
		"WaitNext": second(lib.WaitNext(ctx, make([]api.Completion, 1))),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Exit: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
