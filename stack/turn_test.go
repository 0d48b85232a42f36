package stack

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// drive waits for f as a face does: it drives the host while nobody else does.
// It reports whether f ended.
func drive(h *Host, f flight) (r api.Result, ended bool) {
	guard := time.Now().Add(patience)
	for time.Now().Before(guard) {
		select {
		case r = <-f.done:
			return r, true
		default:
		}
		switch err := h.Sleep(guard); {
		case err == nil:
			h.Turn()
		case errors.Is(err, api.ErrBusy):
			time.Sleep(50 * time.Microsecond) // a face would park
		default:
			return r, false
		}
	}
	return r, false
}

// TestPostRacesWithUnlock posts from several goroutines at a host on which
// nothing else ever happens: no device, no timer, and an owner that sleeps. An
// op that the poster could not run, and that the holder of the turn did not see,
// would wait for ever.
func TestPostRacesWithUnlock(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s := socketOf(t, h, api.UDP4)
	const posters = 8
	rounds := 1_000_000 / posters
	if testing.Short() {
		rounds /= 10
	}
	var wg sync.WaitGroup
	for range posters {
		wg.Go(func() {
			done := make(chan struct{}, 1)
			for range rounds {
				op := api.NewOp()
				op.Kind, op.Sock = api.KindName, s
				op.Done = func(*api.Op) { done <- struct{}{} }
				h.Submit(op)
				<-done
				op.Free()
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(2 * time.Minute):
		t.Fatalf("an op was lost: %+v", h.Stats())
	}
}

func TestForeignOpUnderACallerDrivenTurn(t *testing.T) {
	forEachSettler(t, testForeignOpUnderACallerDrivenTurn)
}

func testForeignOpUnderACallerDrivenTurn(t *testing.T, cfg Config) {
	a, b := pair(t, cfg, loopback.Config{})
	ca, cb := join(t, a, b, api.TCP4, "10.0.0.2:80")
	stop := make(chan struct{})
	var driver sync.WaitGroup
	idle := submit(a, api.Request{Kind: api.KindAccept, Sock: listen(t, a, api.TCP4, "10.0.0.1:99")})
	driver.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a.Sleep(time.Time{}) == nil {
				a.Turn()
			}
		}
	})
	// Ops of a goroutine that never drives are done by one that does.
	for range 200 {
		read := submit(a, api.Request{Kind: api.KindRead, Sock: ca, Bufs: [][]byte{make([]byte, 8)}})
		ok(t, b, api.Request{Kind: api.KindWrite, Sock: cb, Bufs: [][]byte{[]byte("x")}})
		if r := await(t, a, read); r.N != 1 {
			t.Fatalf("read: %+v", r)
		}
	}
	close(stop)
	a.Wake()
	driver.Wait()
	a.Cancel(idle.ticket, net.ErrClosed)
	await(t, a, idle)
}

func TestTimerMadeShorterWhileTheSleeperSleeps(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	far := h.AfterFunc(time.Hour, func() { t.Error("the far timer fired") })
	waitUntil(t, "the owner sleeps until the far timer", func() bool {
		n := h.clock.sleeping.Load()
		return n != awake && n != never
	})
	fired := make(chan struct{})
	h.AfterFunc(time.Millisecond, func() { close(fired) })
	select {
	case <-fired:
	case <-time.After(patience):
		t.Fatal("the near timer did not fire")
	}
	if !far.Stop() || far.Stop() {
		t.Error("Stop of a pending timer must say so, once")
	}
}

func waitUntil(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for guard := time.Now().Add(patience); !cond(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(guard) {
			t.Fatal("never happened: " + what)
		}
	}
}

// TestLastWaiterLeavesWithDataInFlight: the only goroutine that drove the host
// goes away in the middle of a transfer; the background owner must take over.
func TestLastWaiterLeavesWithDataInFlight(t *testing.T) {
	forEachSettler(t, testLastWaiterLeavesWithDataInFlight)
}

func testLastWaiterLeavesWithDataInFlight(t *testing.T, cfg Config) {
	a, b := pair(t, cfg, loopback.Config{})
	for i := range 20 {
		at := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(1000+i)).String()
		ca, cb := join(t, a, b, api.TCP4, at)
		const size = 4 << 20 // more than the buffers of both ends
		write := submit(a, api.Request{Kind: api.KindWrite, Sock: ca, Bufs: [][]byte{make([]byte, size)}})
		first := submit(b, api.Request{Kind: api.KindRead, Sock: cb, Bufs: [][]byte{make([]byte, 1000)}})
		r, ended := drive(b, first)
		if !ended || r.Err != nil {
			t.Fatalf("the first read: %+v", r)
		}
		for n := r.N; n < size; {
			r := ok(t, b, api.Request{Kind: api.KindRead, Sock: cb, Bufs: [][]byte{make([]byte, 256<<10)}})
			n += r.N
		}
		if r := await(t, a, write); r.N != size {
			t.Fatalf("write: %+v", r)
		}
	}
}

// TestRoleChangesHands: whatever callers do, one at a time has the role, and in
// the end the owner has it.
func TestRoleChangesHands(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				err := h.Sleep(time.Now().Add(10 * time.Microsecond))
				if err != nil && !errors.Is(err, api.ErrBusy) {
					t.Error(err)
				}
				if err == nil {
					h.Turn()
				}
			}
		})
	}
	wg.Wait()
	waitUntil(t, "the owner takes the role back", func() bool {
		h.role.mu.Lock()
		defer h.role.mu.Unlock()
		return h.role.holder == owner
	})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Sleep(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Sleep after Close: %v", err)
	}
}

// TestSpoofedSourcesStartNoGoroutine: packets come from 100 addresses of the link
// that do not exist, and each answer needs a next hop that never resolves. The
// 65th of them at a time would make gVisor start a goroutine and fail the packets
// of the first, which shows as an error of outgoing packets.
func TestSpoofedSourcesStartNoGoroutine(t *testing.T) {
	us := netip.MustParseAddr("10.0.0.2")
	for name, frame := range map[string]func(to hal.MAC, i byte) []byte{
		"SYN": func(to hal.MAC, i byte) []byte { return synFrame(to, netip.AddrFrom4([4]byte{10, 0, 0, i}), us) },
		"echo over IPv6": func(to hal.MAC, i byte) []byte {
			return echo6Frame(to, netip.AddrFrom16([16]byte{0: 0xfd, 15: i}), netip.MustParseAddr("fd00::2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			da, db, err := loopback.Pair(loopback.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer da.Close()
			h := host(t, Config{}, "b", db, "10.0.0.2/24", "fd00::2/64")
			ready(t, h)
			listen(t, h, api.TCP4, "10.0.0.2:80")
			_, tx, _ := da.Queue(0)
			for i := range 100 {
				sendFrame(t, tx, frame(db.Info().MAC, byte(100+i)))
			}
			waitUntil(t, "all packets are looked at", func() bool {
				s := h.Stats()
				return s.Interfaces[0].RxPackets >= 100 && s.IP.Delivered+s.Interfaces[0].Drops["rx-unresolved-next-hops"] >= 100
			})
			bounded(t, h)
			if n := h.Stats().Interfaces[0].Drops["rx-unresolved-next-hops"]; n < 100-maxUnresolved {
				t.Errorf("only %d packets were refused", n)
			}
			// Neither does an op begin that would need one more.
			c := socketOf(t, h, api.TCP)
			to := "10.0.0.99:1"
			if name != "SYN" {
				to = "[fd00::99]:1"
			}
			if r := call(t, h, api.Request{Kind: api.KindConnect, Sock: c, Addr: netip.MustParseAddrPort(to)}); r.Err == nil {
				t.Error("connect to one more next hop")
			}
		})
	}
}

// bounded checks that no more next hops are being resolved than gVisor bears.
func bounded(t *testing.T, h *Host) {
	t.Helper()
	s := h.Stats()
	if s.Unresolved > maxUnresolved {
		t.Errorf("%d next hops are being resolved", s.Unresolved)
	}
	if s.IP.OutErrors != 0 {
		t.Errorf("%d packets failed: gVisor gave up resolutions, in a goroutine", s.IP.OutErrors)
	}
}

// TestConnectedSocketsResolveInBounds: a connected datagram socket resolves when
// it writes, and a neighbour that did not answer is asked for again.
func TestConnectedSocketsResolveInBounds(t *testing.T) {
	a, _ := pair(t, Config{}, loopback.Config{})
	refused := 0
	for i := range 100 {
		s := socketOf(t, a, api.UDP4)
		ok(t, a, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)}), 9)})
		if r := call(t, a, api.Request{Kind: api.KindWrite, Sock: s, Bufs: [][]byte{{1}}}); errors.Is(r.Err, syscall.EHOSTUNREACH) {
			refused++
		}
	}
	bounded(t, a)
	if refused < 100-maxUnresolved {
		t.Errorf("only %d writes were refused", refused)
	}
}

// sendFrame puts a frame on the wire.
func sendFrame(t testing.TB, tx hal.TxQueue, packet []byte) {
	t.Helper()
	var fs [1]hal.Frame
	n, err := tx.Alloc(fs[:], len(packet))
	if n != 1 || err != nil {
		t.Fatalf("Alloc: %d, %v", n, err)
	}
	copy(fs[0].Data, packet)
	if n, err := tx.Tx(fs[:]); n != 1 || err != nil {
		t.Fatalf("Tx: %d, %v", n, err)
	}
	if err := tx.Flush(); err != nil {
		t.Fatal(err)
	}
}

// synFrame is a TCP SYN to port 80 with good checksums.
func synFrame(to hal.MAC, src, dst netip.Addr) []byte {
	p := make([]byte, 14+20+20)
	copy(p, to[:])
	copy(p[6:], []byte{2, 0, 0, 0, 0, 0x77})
	p[12] = 8
	ip, tcp := p[14:34], p[34:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], 40)
	copy(ip[12:], src.AsSlice())
	copy(ip[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
	binary.BigEndian.PutUint16(tcp, 1234)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 5<<4, 2
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	binary.BigEndian.PutUint16(tcp[16:], ^sum(sum(6+20, ip[12:20]), tcp))
	return p
}

// echo6Frame is an ICMPv6 echo request with a good checksum.
func echo6Frame(to hal.MAC, src, dst netip.Addr) []byte {
	p := make([]byte, 14+40+8)
	copy(p, to[:])
	copy(p[6:], []byte{2, 0, 0, 0, 0, 0x77})
	p[12], p[13] = 0x86, 0xdd
	ip, icmp := p[14:54], p[54:]
	ip[0], ip[6], ip[7] = 0x60, 58, 64
	binary.BigEndian.PutUint16(ip[4:], 8)
	copy(ip[8:], src.AsSlice())
	copy(ip[24:], dst.AsSlice())
	icmp[0] = 128
	binary.BigEndian.PutUint16(icmp[2:], ^sum(sum(58+8, ip[8:40]), icmp))
	return p
}

func sum(init uint16, b []byte) uint16 {
	s := uint32(init)
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
