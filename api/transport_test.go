package api_test

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/api/internal/transporttest"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stepped makes two hosts whose ops a goroutine runs.
func stepped(t testing.TB) (server, client api.Transport, addr netip.Addr) {
	n := newStepNet()
	a, b := n.host("10.0.0.1"), n.host("10.0.0.2")
	t.Cleanup(n.drive())
	return a, b, a.addr
}

// driven is stepped, with Driver.
func driven(t testing.TB) (server, client api.Transport, addr netip.Addr) {
	a, b, addr := stepped(t)
	return drivenHost{a.(*stepHost)}, drivenHost{b.(*stepHost)}, addr
}

func kernel(testing.TB) (server, client api.Transport, addr netip.Addr) {
	return newKernel(), newKernel(), netip.MustParseAddr("127.0.0.1")
}

// A kind is a sort of transports that tests run on.
type kind struct {
	name string
	make func(testing.TB) (server, client api.Transport, addr netip.Addr)

	// slow says that making it takes a second (duplicate address detection):
	// it is for two tests, and for the long form of all.
	slow bool
}

var allKinds = []kind{
	{name: "stepped", make: stepped},
	{name: "driven", make: driven},
	{name: "kernel", make: kernel},
	{name: "stack", make: netstack},
	{name: "stack, IPv6", make: netstack6, slow: true},
}

// kinds returns the kinds for a test.
func kinds(t *testing.T) (ks []kind) {
	for _, k := range allKinds {
		if k.name == "kernel" && runtime.GOOS == "windows" {
			continue // its errnos need a table, which the throwaway has not
		}
		if !k.slow || testenv.Long() || t.Name() == "TestHTTP" || t.Name() == "TestDatagrams" {
			ks = append(ks, k)
		}
	}
	return ks
}

func TestTransports(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T) (_, _ api.Transport, _ netip.Addr) { return k.make(t) })
		})
	}
}

// Ops that wait at the same instant run sorted, whatever order they came in.
func TestStepOrder(t *testing.T) {
	n := newStepNet()
	h, other := n.host("10.0.0.1"), n.host("10.0.0.2")
	submit := func(h *stepHost, r api.Request) *api.Op {
		op := api.NewOp()
		op.Request = r
		op.Done = func(*api.Op) {}
		h.Submit(op)
		return op
	}
	a := submit(h, api.Request{Kind: api.KindSocket, Network: api.UDP})
	b := submit(h, api.Request{Kind: api.KindSocket, Network: api.UDP, Seq: 1})
	c := submit(other, api.Request{Kind: api.KindSocket, Network: api.UDP})
	if a.NewSock != nil {
		t.Fatal("an op ran before the step")
	}
	for n.step() {
	}
	n.record = true
	submit(other, api.Request{Kind: api.KindName, Sock: c.NewSock, Seq: 1})
	submit(h, api.Request{Kind: api.KindName, Sock: b.NewSock, Seq: 1})
	submit(h, api.Request{Kind: api.KindName, Sock: a.NewSock, Seq: 2})
	submit(h, api.Request{Kind: api.KindName, Sock: a.NewSock, Seq: 1})
	submit(h, api.Request{Kind: api.KindShutdown, How: api.ShutRead, Sock: a.NewSock, Seq: 1})
	for n.step() {
	}
	want := []string{"0/1 shutdown 1", "0/1 name 1", "0/1 name 2", "0/2 name 1", "1/1 name 1"}
	if !slices.Equal(n.trace, want) {
		t.Errorf("order:\n got %q\nwant %q", n.trace, want)
	}
}
