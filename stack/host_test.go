package stack

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

func TestDatagrams(t *testing.T) {
	forEachSettler(t, func(t *testing.T, cfg Config) {
		a, b := pair(t, cfg, loopback.Config{})
		ready(t, a, b)
		for _, ip := range []string{"10.0.0.2", "fd00::2"} {
			at := netip.AddrPortFrom(netip.MustParseAddr(ip), 53)
			server := listen(t, b, api.UDP, at.String())
			client := socketOf(t, a, api.UDP)
			for _, msg := range []string{"question", "", strings.Repeat("long ", 4000)} {
				ok(t, a, api.Request{Kind: api.KindWrite, Sock: client, Addr: at, Bufs: [][]byte{[]byte(msg)}})
				buf := make([]byte, 65536)
				r := ok(t, b, api.Request{Kind: api.KindRead, Sock: server, Bufs: [][]byte{buf}})
				if string(buf[:r.N]) != msg || r.EOF || r.Truncated || !r.From.IsValid() {
					t.Fatalf("%d of %d bytes arrived from %v: %+v", r.N, len(msg), r.From, r)
				}
				ok(t, b, api.Request{Kind: api.KindWrite, Sock: server, Addr: r.From, Bufs: [][]byte{buf[:r.N]}})
				r = ok(t, a, api.Request{Kind: api.KindRead, Sock: client, Bufs: [][]byte{buf[:5]}})
				if r.N != min(5, len(msg)) || r.Truncated != (len(msg) > 5) || r.From != at {
					t.Fatalf("the answer to %d bytes: %+v", len(msg), r)
				}
			}
		}
	})
}

func TestConnectedDatagramSocketIsRefused(t *testing.T) {
	a, _ := pair(t, Config{}, loopback.Config{})
	s := socketOf(t, a, api.UDP4)
	r := ok(t, a, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.MustParseAddrPort("10.0.0.2:9")})
	if r.Peer != netip.MustParseAddrPort("10.0.0.2:9") || r.Local.Port() == 0 {
		t.Errorf("names: %+v", r)
	}
	ok(t, a, api.Request{Kind: api.KindWrite, Sock: s, Bufs: [][]byte{[]byte("x")}})
	r = call(t, a, api.Request{Kind: api.KindRead, Sock: s, Bufs: [][]byte{make([]byte, 1)}})
	if !errors.Is(r.Err, syscall.ECONNREFUSED) {
		t.Errorf("after the port unreachable: %+v", r)
	}
}

func TestPing(t *testing.T) {
	a, b := pair(t, Config{}, loopback.Config{})
	ready(t, a, b)
	for network, to := range map[api.Network]string{api.ICMP4: "10.0.0.2", api.ICMP6: "fd00::2"} {
		s := socketOf(t, a, network)
		request := make([]byte, 8+3000) // more than a frame: it is fragmented both ways
		request[0] = 8
		if network == api.ICMP6 {
			request[0] = 128
		}
		binary.BigEndian.PutUint16(request[6:], 7)
		ok(t, a, api.Request{Kind: api.KindWrite, Sock: s, Addr: netip.AddrPortFrom(netip.MustParseAddr(to), 0), Bufs: [][]byte{request}})
		buf := make([]byte, 4000)
		r := ok(t, a, api.Request{Kind: api.KindRead, Sock: s, Bufs: [][]byte{buf}})
		if r.N != len(request) || binary.BigEndian.Uint16(buf[6:]) != 7 || r.From.Addr().String() != to {
			t.Errorf("reply over %v: %+v", network, r)
		}
	}
}

// steered is a device that records what it is told to take.
type steered struct {
	hal.Device
	local atomic.Pointer[hal.Local]
}

func (s *steered) Unwrap() hal.Device { return s.Device }
func (s *steered) SetLocal(l hal.Local) error {
	s.local.Store(&l)
	return nil
}

func TestMulticast(t *testing.T) { forEachSettler(t, testMulticast) }

func testMulticast(t *testing.T, cfg Config) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sb := &steered{Device: db}
	a, b := host(t, cfg, "a", da, "10.0.0.1/24"), host(t, cfg, "b", sb, "10.0.0.2/24", "fd00::2/64")
	if l := sb.local.Load(); len(l.Addrs) != 3 || !l.Addrs[2].IsLinkLocalUnicast() || len(l.Groups) != 4 {
		t.Errorf("the device was told of %v and groups %v; want two addresses, the link-local one, and their groups", l.Addrs, l.Groups)
	}
	group := netip.MustParseAddrPort("239.1.2.3:5000")
	server, client := listen(t, b, api.UDP4, "0.0.0.0:5000"), socketOf(t, a, api.UDP4)
	ok(t, b, api.Request{Kind: api.KindJoin, Sock: server, Addr: group})
	if g := sb.local.Load().Groups; !slices.Contains(g, group.Addr()) {
		t.Errorf("the device was told of groups %v", g)
	}
	ok(t, a, api.Request{Kind: api.KindWrite, Sock: client, Addr: group, Bufs: [][]byte{[]byte("all")}})
	buf := make([]byte, 10)
	if r := ok(t, b, api.Request{Kind: api.KindRead, Sock: server, Bufs: [][]byte{buf}}); string(buf[:r.N]) != "all" {
		t.Errorf("%q came", buf[:r.N])
	}
	if r := call(t, b, api.Request{Kind: api.KindJoin, Sock: server, Addr: netip.MustParseAddrPort("10.0.0.9:0")}); r.Err != syscall.EINVAL {
		t.Errorf("joining an address that is not a group: %v", r.Err)
	}
	ok(t, b, api.Request{Kind: api.KindClose, Sock: server})
	if g := sb.local.Load().Groups; slices.Contains(g, group.Addr()) {
		t.Errorf("after the close the device still takes %v", g)
	}
}

func TestGatewayAndRoutes(t *testing.T) {
	da, _, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	cfg := Config{Interfaces: []Interface{{Device: da, Addrs: []netip.Prefix{prefix("10.0.0.1/24")}}}}
	cfg.Routes = []Route{{To: prefix("0.0.0.0/0"), Via: addr("10.1.0.1")}}
	if _, err := New(cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "10.1.0.1") {
		t.Errorf("a gateway on no link: %v", err)
	}
	da, db, _ := loopback.Pair(loopback.Config{})
	defer db.Close()
	cfg.Interfaces[0].Device = da
	cfg.Routes[0].Via = addr("10.0.0.254")
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s := socketOf(t, h, api.TCP)
	f := submit(h, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.MustParseAddrPort("192.0.2.1:1")})
	// The first frame asks for the gateway, not for the far address.
	arp := recvFrame(t, db)
	if got := netip.AddrFrom4([4]byte(arp[38:42])); arp[12] != 8 || arp[13] != 6 || got != addr("10.0.0.254") {
		t.Errorf("frame % x asks for %v", arp[12:14], got)
	}
	h.Cancel(f.ticket, context.Canceled)
	if r := await(t, h, f); r.Err != context.Canceled {
		t.Errorf("connect: %v", r.Err)
	}
}

func recvFrame(t *testing.T, dev hal.Device) []byte {
	t.Helper()
	rx, _, err := dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	fs := make([]hal.Frame, dev.Info().MaxChain)
	var p []byte
	waitUntil(t, "a frame arrives", func() bool {
		n, err := rx.Rx(fs)
		if err != nil {
			t.Fatal(err)
		}
		for i := range fs[:n] {
			p = append(p, fs[i].Data...)
		}
		rx.Release(fs[:n])
		return n > 0
	})
	return p
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  func(hal.Device) Config
		want string
	}{
		{"no device", func(hal.Device) Config { return Config{Interfaces: []Interface{{Name: "x"}}} }, "no device"},
		{"MTU 20", func(d hal.Device) Config { return Config{Interfaces: []Interface{{Device: d, MTU: 20}}} }, "must be from 68 to 1500"},
		{"MTU of IPv6", func(d hal.Device) Config {
			return Config{Interfaces: []Interface{{Device: d, MTU: 1000, Addrs: []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}}}}
		}, "must be from 1280"},
		{"multicast address", func(d hal.Device) Config {
			return Config{Interfaces: []Interface{{Device: d, Addrs: []netip.Prefix{netip.MustParsePrefix("224.0.0.1/24")}}}}
		}, "not an address of a host"},
		{"two of a name", func(d hal.Device) Config {
			return Config{Interfaces: []Interface{{Device: d, Name: "x"}, {Device: d, Name: "x"}}}
		}, "two interfaces"},
		{"negative limit", func(d hal.Device) Config { return Config{Limits: Limits{Conns: -1}} }, "negative"},
		{"unknown interface", func(d hal.Device) Config {
			return Config{Routes: []Route{{To: netip.MustParsePrefix("10.0.0.0/8"), Interface: "nope"}}}
		}, `no interface "nope"`},
	} {
		da, db, err := loopback.Pair(loopback.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(c.cfg(da)); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		da.Close()
		db.Close()
	}
}

func TestLimitOfConnections(t *testing.T) { forEachSettler(t, testLimitOfConnections) }

func testLimitOfConnections(t *testing.T, cfg Config) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := host(t, cfg, "a", da, "10.0.0.1/24")
	cfg.Limits.ConnsPerPeer = 2
	b := host(t, cfg, "b", db, "10.0.0.2/24")
	var peer, last api.Socket
	for i := range 2 {
		peer, last = join(t, a, b, api.TCP4, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(80+i)).String())
	}
	l := listen(t, b, api.TCP4, "10.0.0.2:90")
	accept := submit(b, api.Request{Kind: api.KindAccept, Sock: l})
	s := socketOf(t, a, api.TCP4)
	connect := submit(a, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.MustParseAddrPort("10.0.0.2:90")})
	waitUntil(t, "the third SYN is dropped", func() bool { return b.Stats().Interfaces[0].Drops["rx-connection-limit"] > 0 })
	// A connection that is closed with data unsent still counts.
	ok(t, b, api.Request{Kind: api.KindWrite, Sock: last, Bufs: [][]byte{make([]byte, 64<<10)}})
	ok(t, b, api.Request{Kind: api.KindClose, Sock: last})
	if n := b.Stats().PeerConns; n != 2 {
		t.Errorf("%d connections count, one of them closed and at work; want 2", n)
	}
	// The SYN is sent again, and there is room once one has come to its end.
	ok(t, a, api.Request{Kind: api.KindClose, Sock: peer})
	if r := await(t, a, connect); r.Err != nil {
		t.Errorf("connect: %v", r.Err)
	}
	if r := await(t, b, accept); r.Err != nil {
		t.Errorf("accept: %v", r.Err)
	}
}

// stuck is a device whose transmit half takes nothing while it is stuck, and
// does not say when it gets loose: the host has to ask it again by itself.
type stuck struct {
	hal.Device
	is atomic.Bool
}

func (s *stuck) Unwrap() hal.Device { return s.Device }
func (s *stuck) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := s.Device.Queue(i)
	return rx, &stuckTx{tx, s}, err
}

type stuckTx struct {
	hal.TxQueue
	dev *stuck
}

func (q *stuckTx) Alloc(fs []hal.Frame, size int) (int, error) {
	if q.dev.is.Load() {
		return 0, nil
	}
	return q.TxQueue.Alloc(fs, size)
}

// TestDeviceThatTakesNothing: a device takes nothing for a while and resumes.
// Nothing is lost, nothing stays stuck, and receiving goes on meanwhile.
func TestDeviceThatTakesNothing(t *testing.T) { forEachSettler(t, testDeviceThatTakesNothing) }

func testDeviceThatTakesNothing(t *testing.T, cfg Config) {
	t.Parallel()
	pause := time.Second
	if !testing.Short() {
		pause = 5 * time.Second
	}
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sa := &stuck{Device: da}
	a, b := host(t, cfg, "a", sa, "10.0.0.1/24"), host(t, cfg, "b", db, "10.0.0.2/24")
	ca, cb := join(t, a, b, api.TCP4, "10.0.0.2:80")
	back, server := socketOf(t, b, api.UDP4), listen(t, a, api.UDP4, "10.0.0.1:5")

	sa.is.Store(true)
	// Many writes wait: when the device goes on they must not all start at once.
	sink := listen(t, b, api.UDP4, "10.0.0.2:9")
	ok(t, b, api.Request{Kind: api.KindOption, Sock: sink, Opt: api.ReadBuffer(4 << 20)})
	var writes []flight
	for range 300 {
		s := socketOf(t, a, api.UDP4)
		writes = append(writes, submit(a, api.Request{Kind: api.KindWrite, Sock: s, Addr: netip.MustParseAddrPort("10.0.0.2:9"), Bufs: [][]byte{make([]byte, 20_000)}}))
	}
	dial := submit(a, api.Request{Kind: api.KindConnect, Sock: socketOf(t, a, api.TCP4), Addr: netip.MustParseAddrPort("10.0.0.2:80")})
	done := make(chan struct{})
	go func() { defer close(done); transfer(t, a, b, ca, cb, 16<<20, 3) }()
	for end := time.Now().Add(pause); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ok(t, b, api.Request{Kind: api.KindWrite, Sock: back, Addr: netip.MustParseAddrPort("10.0.0.1:5"), Bufs: [][]byte{[]byte("still there?")}})
		ok(t, a, api.Request{Kind: api.KindRead, Sock: server, Bufs: [][]byte{make([]byte, 20)}})
	}
	if s := a.Stats(); s.Waiting < 250 || s.Interfaces[0].Backlog > 1<<20 {
		t.Errorf("while the device takes nothing %d ops wait, and %d bytes", s.Waiting, s.Interfaces[0].Backlog)
	}
	sa.is.Store(false)
	<-done
	for _, f := range append(writes, dial) {
		if r := await(t, a, f); r.Err != nil {
			t.Errorf("an op that waited for the device: %v", r.Err)
		}
	}
	for reason, n := range a.Stats().Interfaces[0].Drops {
		if n > 0 {
			t.Errorf("%d packets dropped: %s", n, reason)
		}
	}
}

// TestAnyFrame throws random and mutated frames at a host with open sockets.
func TestAnyFrame(t *testing.T) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer da.Close()
	h := host(t, Config{}, "b", db, "10.0.0.2/24", "fd00::2/64")
	listen(t, h, api.TCP, "[::]:80")
	listen(t, h, api.UDP, "[::]:80")
	rx, tx, _ := da.Queue(0)
	rnd := rand.New(rand.NewPCG(1, 2))
	good := synFrame(db.Info().MAC, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	burst := make([]hal.Frame, 64)
	for i := range 20000 {
		p := make([]byte, 14+rnd.IntN(1500))
		for j := range p {
			p[j] = byte(rnd.Uint32())
		}
		copy(p, good[:min(len(p), 14+rnd.IntN(40))])
		if i%2 == 0 {
			p = append([]byte(nil), good...)
			for range 1 + rnd.IntN(3) {
				p[12+rnd.IntN(len(p)-12)] ^= 1 << rnd.IntN(8)
			}
		}
		var fs [1]hal.Frame
		waitUntil(t, "room for a frame", func() bool {
			n, err := rx.Rx(burst)
			if err != nil {
				t.Fatal(err)
			}
			rx.Release(burst[:n])
			n, err = tx.Alloc(fs[:], len(p))
			if err != nil {
				t.Fatal(err)
			}
			return n == 1
		})
		copy(fs[0].Data, p)
		if rnd.IntN(4) == 0 { // also what a device says about the frame may be odd
			fs[0].Meta = hal.Meta{NeedsCsum: rnd.IntN(2) == 0, CsumStart: uint16(rnd.IntN(100)), CsumOffset: uint16(rnd.IntN(40)),
				GSO: hal.GSO(rnd.IntN(4)), GSOSize: uint16(rnd.IntN(2000)), HdrLen: uint16(rnd.IntN(80))}
		}
		waitUntil(t, "the frame is taken", func() bool {
			n, err := tx.Tx(fs[:])
			if err != nil {
				t.Fatal(err)
			}
			return n == 1
		})
		tx.Flush()
	}
	waitUntil(t, "all is looked at", func() bool { return h.Stats().Interfaces[0].RxPackets > 10000 })
	s := h.Stats()
	if s.Interfaces[0].Drops["rx-malformed"] == 0 || s.Interfaces[0].Drops["rx-bad-checksum"] == 0 {
		t.Errorf("drops are not counted: %v", s.Interfaces[0].Drops)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

// query returns the present value of an option.
func query(t *testing.T, h *Host, s api.Socket, o api.Option) api.Option {
	t.Helper()
	op := api.NewOp()
	op.Kind, op.Sock, op.Opt = api.KindQuery, s, o
	done := make(chan error, 1)
	op.Done = func(op *api.Op) { done <- op.Err }
	h.Submit(op)
	if err := <-done; err != nil {
		t.Fatalf("query of %T: %v", o, err)
	}
	return op.Opt
}

func TestOptions(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s := socketOf(t, h, api.TCP)
	for _, o := range []api.Option{
		api.NoDelay(false), api.NoDelay(true), api.Linger(0), api.Linger(time.Second), api.Linger(-1), api.ReuseAddr(true),
		api.TTL(9), api.MaxSegment(1000), api.Congestion("cubic"), api.Congestion("reno"),
		api.ReadBuffer(1 << 19), api.WriteBuffer(1 << 19),
		api.KeepAlive{On: true, Idle: time.Minute, Interval: 7 * time.Second, Count: 3},
	} {
		ok(t, h, api.Request{Kind: api.KindOption, Sock: s, Opt: o})
		// Before a connection gVisor answers with the default segment size,
		// as Linux does.
		if got := query(t, h, s, o); got != o && o != api.MaxSegment(1000) {
			t.Errorf("%T was set to %v and is %v", o, o, got)
		}
	}
	if r := call(t, h, api.Request{Kind: api.KindOption, Sock: s, Opt: api.TTL(300)}); r.Err != syscall.EINVAL {
		t.Errorf("TTL 300: %v", r.Err)
	}
	if r := call(t, h, api.Request{Kind: api.KindOption, Sock: s, Opt: api.Congestion("nope")}); r.Err == nil {
		t.Errorf("an unknown congestion control: %v", r.Err)
	}
	u := socketOf(t, h, api.UDP)
	for _, o := range []api.Option{api.Broadcast(true), api.Broadcast(false), api.MulticastTTL(3)} {
		ok(t, h, api.Request{Kind: api.KindOption, Sock: u, Opt: o})
		if got := query(t, h, u, o); got != o {
			t.Errorf("%T was set to %v and is %v", o, o, got)
		}
	}
}

func TestStatsOfAConnection(t *testing.T) {
	a, b := pair(t, Config{}, loopback.Config{})
	ca, cb := join(t, a, b, api.TCP4, "10.0.0.2:80")
	transfer(t, a, b, ca, cb, 1<<20, 1)
	unread := submit(a, api.Request{Kind: api.KindWrite, Sock: ca, Bufs: [][]byte{make([]byte, 16<<20)}})
	waitUntil(t, "the peer's window is full", func() bool { return b.Stats().Conns[1].RecvQueue > 100_000 })
	s := a.Stats()
	c := s.Conns[0]
	if c.State != "ESTABLISHED" || c.RTT <= 0 || c.RTO <= 0 || c.Cwnd <= 0 || c.WritePending <= 0 || c.SegmentsOut == 0 ||
		c.Peer != netip.MustParseAddrPort("10.0.0.2:80") || s.Waiting != 1 {
		t.Errorf("connection: %+v; %d waiting", c, s.Waiting)
	}
	if i := s.Interfaces[0]; i.TxBytes < 1<<20 || i.RxPackets == 0 || i.Driver != "loopback" || i.Link != "up" {
		t.Errorf("interface: %+v", i)
	}
	if s.TCP.ActiveOpens != 1 || b.Stats().TCP.PassiveOpens != 1 || b.Stats().PeerConns != 1 {
		t.Errorf("opens: %+v, %+v", s.TCP, b.Stats())
	}
	ok(t, b, api.Request{Kind: api.KindClose, Sock: cb})
	if r := await(t, a, unread); !errors.Is(r.Err, syscall.ECONNRESET) && !errors.Is(r.Err, syscall.EPIPE) {
		t.Errorf("a write that the peer's close cut off: %+v", r)
	}
}

// TestDeviceFails: a device that fails under a host ends what goes over it,
// and nothing hangs.
func TestDeviceFails(t *testing.T) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := host(t, Config{}, "a", da, "10.0.0.1/24"), host(t, Config{}, "b", db, "10.0.0.2/24")
	ca, _ := join(t, a, b, api.TCP4, "10.0.0.2:80")
	read := submit(a, api.Request{Kind: api.KindRead, Sock: ca, Bufs: [][]byte{make([]byte, 1)}})
	accept := submit(a, api.Request{Kind: api.KindAccept, Sock: listen(t, a, api.TCP4, "10.0.0.1:80")})
	da.Close()
	for _, f := range []flight{read, accept} {
		isDown(t, "an op that waited", await(t, a, f).Err)
	}
	isDown(t, "a later op", call(t, a, api.Request{Kind: api.KindWrite, Sock: ca, Bufs: [][]byte{{1}}}).Err)
	if s := a.Stats(); s.Interfaces[0].Failure == "" {
		t.Error("the statistics do not tell")
	}
}

// failing is a device that cannot send, though it still has what has arrived: an
// interface that was deleted while it was busy.
type failing struct {
	hal.Device
	closed atomic.Int32
}

func (f *failing) Unwrap() hal.Device { return f.Device }
func (f *failing) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	rx, tx, err := f.Device.Queue(i)
	return rx, failingTx{tx}, err
}

func (f *failing) Close() error {
	f.closed.Add(1)
	return f.Device.Close()
}

type failingTx struct{ hal.TxQueue }

func (failingTx) Alloc([]hal.Frame, int) (int, error) { return 0, syscall.ENODEV }

// TestFailedDeviceIsClosed: a device that fails is closed at once. What it still had
// to say, and nobody receives, would wake the sleeper for ever.
func TestFailedDeviceIsClosed(t *testing.T) {
	da, _, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Device: da}
	a := host(t, Config{}, "a", f, "10.0.0.1/24")
	r := call(t, a, api.Request{Kind: api.KindConnect, Sock: socketOf(t, a, api.TCP4), Addr: netip.MustParseAddrPort("10.0.0.2:80")})
	if !errors.Is(r.Err, syscall.ENETDOWN) || !errors.Is(r.Err, syscall.ENODEV) {
		t.Errorf("connecting over a device that fails: %v", r.Err)
	}
	if n := f.closed.Load(); n != 1 {
		t.Errorf("the device was closed %d times, want once", n)
	}
	if s := a.Stats(); !strings.Contains(s.Interfaces[0].Failure, syscall.ENODEV.Error()) {
		t.Errorf("the statistics tell of %q", s.Interfaces[0].Failure)
	}
}

// isDown checks that an error has an errno and the device's own failure.
func isDown(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, syscall.ENETDOWN) || !errors.Is(err, hal.ErrClosed) {
		t.Errorf("%s, over a device that is gone: %v", what, err)
	}
}

// TestFragmentsAreVerified: the checksum of a datagram that came in fragments can
// only be verified when they are put together.
func TestFragmentsAreVerified(t *testing.T) { forEachSettler(t, testFragmentsAreVerified) }

func testFragmentsAreVerified(t *testing.T, cfg Config) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer da.Close()
	h := host(t, cfg, "b", db, "10.0.0.2/24")
	s := listen(t, h, api.UDP4, "10.0.0.2:80")
	_, tx, _ := da.Queue(0)
	send := func(id byte, payload string, flip byte) {
		udp := make([]byte, 8+len(payload)) // 16 bytes and the rest, as two fragments
		binary.BigEndian.PutUint16(udp, 1234)
		binary.BigEndian.PutUint16(udp[2:], 80)
		binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
		copy(udp[8:], payload)
		f := synFrame(db.Info().MAC, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
		binary.BigEndian.PutUint16(udp[6:], ^sum(sum(uint16(17+len(udp)), f[26:34]), udp))
		udp[len(udp)-1] ^= flip
		for at, part := range map[int][]byte{0: udp[:16], 16: udp[16:]} {
			p := append(append([]byte(nil), f[:34]...), part...)
			ip := p[14:34]
			binary.BigEndian.PutUint16(ip[2:], uint16(20+len(part)))
			ip[5], ip[6], ip[7], ip[9] = id, 0x20, byte(at/8), 17 // more fragments
			if at > 0 {
				ip[6] = 0
			}
			ip[10], ip[11] = 0, 0
			binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
			sendFrame(t, tx, p)
		}
	}
	send(1, "a payload that was damaged", 1)
	send(2, "a payload that was not, no", 0)
	buf := make([]byte, 100)
	r := ok(t, h, api.Request{Kind: api.KindRead, Sock: s, Bufs: [][]byte{buf}})
	if got := string(buf[:r.N]); got != "a payload that was not, no" {
		t.Errorf("%q was delivered", got)
	}
}
