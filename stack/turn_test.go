package stack

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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
	a, b := pair(t, Config{}, loopback.Config{})
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
	a, b := pair(t, Config{}, loopback.Config{})
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

// TestRoleReturnsToTheOwner: whatever callers do, the owner is asleep for the
// host in the end, or ready to be.
func TestRoleChangesHands(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				err := h.Sleep(time.Now().Add(10 * time.Microsecond))
				if err != nil && !errors.Is(err, api.ErrBusy) {
					t.Error(err)
				}
				if err == nil {
					most.Store(max(most.Load(), inside.Add(1)))
					inside.Add(-1)
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

// TestSpoofedSourcesStartNoGoroutine sends SYNs from 100 addresses of the link
// that do not exist: each answer needs a next hop that never resolves.
func TestSpoofedSourcesStartNoGoroutine(t *testing.T) {
	da, db, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer da.Close()
	h := host(t, Config{}, "b", db, "10.0.0.2/24")
	listen(t, h, api.TCP4, "10.0.0.2:80")
	before := runtime.NumGoroutine()
	_, tx, _ := da.Queue(0)
	for i := range 100 {
		sendFrame(t, tx, synFrame(db.Info().MAC, netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)}), netip.MustParseAddr("10.0.0.2")))
	}
	waitUntil(t, "all SYNs are looked at", func() bool {
		s := h.Stats()
		return s.Interfaces[0].RxPackets >= 100 && s.TCP.SegmentsIn+s.Interfaces[0].Drops["rx-unresolved-next-hops"] >= 100
	})
	s := h.Stats()
	if s.Unresolved > maxUnresolved || s.Interfaces[0].Drops["rx-unresolved-next-hops"] < 100-maxUnresolved {
		t.Errorf("%d unresolved, %d dropped", s.Unresolved, s.Interfaces[0].Drops["rx-unresolved-next-hops"])
	}
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "dequeuePackets") {
		t.Error("gVisor started a goroutine for a resolution")
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines more than before", after-before)
	}
	// Neither does an op begin that would need one more.
	c := socketOf(t, h, api.TCP4)
	r := call(t, h, api.Request{Kind: api.KindConnect, Sock: c, Addr: netip.MustParseAddrPort("10.0.0.99:1")})
	if r.Err == nil {
		t.Error("connect to one more next hop")
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
