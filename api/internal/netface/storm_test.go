package netface

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gvisor "gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/offload"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/stack"
	"github.com/ringtail-net/ringtail/stack/gvisorlink"
)

// fates are what becomes of the connections of a storm, as the one who dials
// sees to it. It has written something, and its peer answers at the end.
var fates = []func(c stream){
	func(c stream) { reset(c) },
	func(c stream) { c.Close() },
	func(c stream) { c.Write(make([]byte, 100_000)); reset(c) },
	func(c stream) { c.Write(make([]byte, 100_000)); c.Close() },
	func(c stream) { c.CloseWrite(); io.Copy(io.Discard, c); c.Close() },
	func(c stream) { c.CloseWrite(); c.Close() },
	func(c stream) { c.CloseWrite(); reset(c) },
	func(c stream) { c.CloseRead(); c.CloseWrite(); c.Close() },
	func(c stream) { io.Copy(io.Discard, c); c.Close() }, // it says nothing until the server gives it up
}

// storm dials, many at a time, and gives each connection its fate.
func storm(f face, address string, dialers, each int) {
	var wg sync.WaitGroup
	for i := range dialers {
		wg.Go(func() {
			for j := range each {
				c, err := f.dial(ctx, dialing{timeout: time.Minute}, "tcp", address)
				if err != nil {
					continue // the storm is too much for it
				}
				c.Write([]byte("hello"))
				fates[(i+j)%len(fates)](c.(stream))
			}
		})
	}
	wg.Wait()
}

// serve reads what comes, to its end or as long as it may, and answers.
func serve(ln net.Listener, limit time.Duration) (stop func() (served int)) {
	var wg sync.WaitGroup
	n := 0
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n++
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(limit))
				io.Copy(io.Discard, c)
				c.SetDeadline(time.Now().Add(limit))
				c.Write(make([]byte, 10_000))
			})
		}
	})
	return func() int {
		ln.Close()
		wg.Wait()
		return n
	}
}

// TestStorm has connections come to bad ends by the hundred, and sees that
// nothing is left: no goroutine, no socket, no connection of the stack below.
func TestStorm(t *testing.T) {
	before := runtime.NumGoroutine()
	w, hosts := onWire(t, "10.0.0.1/24", "10.0.0.2/24")
	t.Run("wire", func(t *testing.T) { stormOver(t, w) })
	nothingLeft(t, hosts[:])
	for _, h := range hosts {
		check(h.Close())
	}
	goroutinesLeft(t, before)
	stormToTheKernel(t)
}

func stormOver(t *testing.T, w world) {
	before := runtime.NumGoroutine()
	ln := must(w.near.listen("tcp", at(w.nearAddr, 0), 0))
	stop := serve(ln, 5*soon)
	storm(w.far, ln.Addr().String(), 16, 4*len(fates))
	c := must(w.far.dial(ctx, dialing{}, "tcp", ln.Addr().String()))
	check(c.(stream).CloseWrite())
	if n, err := io.Copy(io.Discard, c); n != 10_000 || err != nil {
		t.Errorf("after the storm: %d bytes, %v", n, err)
	}
	c.Close()
	if n := stop(); n < 4*len(fates) {
		t.Errorf("%d connections were served", n)
	}
	goroutinesLeft(t, before)
}

// goroutinesLeft waits until there are no more goroutines than there were.
func goroutinesLeft(t *testing.T, before int) {
	t.Helper()
	end := time.Now().Add(patience)
	for runtime.NumGoroutine() > before && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		p := make([]byte, 1<<20)
		t.Errorf("%d goroutines, before there were %d:\n%s", n, before, p[:runtime.Stack(p, true)])
	}
}

// TestStormOfTheDead is where time passes: peers vanish in mid-sentence, and
// handshakes are never finished. All that is a matter of timers in the end. No
// goroutine can be left in a bubble.
func TestStormOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := must(loopback.New(loopback.Config{}))
		device := func() *wrap.Injector {
			return wrap.Inject(must(wire.Device(loopback.Config{})), wrap.InjectOptions{
				Faults: wrap.Faults{Delay: 100 * time.Microsecond, Dir: wrap.Tx},
			})
		}
		near, far := device(), device()
		w, hosts := onDevices(t, "10.0.0.1/24", "10.0.0.2/24", near, far)
		ln := must(w.near.listen("tcp", at(w.nearAddr, 80), 0))
		stop := serve(ln, time.Minute)

		flood := floodOn(must(wire.Device(loopback.Config{})))
		var wg sync.WaitGroup
		wg.Go(func() {
			for port := uint16(1); port <= 5000; port++ {
				flood.syn(near.Info().MAC, addrs{w.silent, w.nearAddr}, port)
				if port%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
		wg.Go(func() { storm(w.far, ln.Addr().String(), 8, len(fates)) })
		// Some are cut off, which no end of the connection ever learns.
		dead := map[uint16]bool{}
		for range 50 {
			c := must(w.far.dial(ctx, dialing{}, "tcp", ln.Addr().String()))
			must(c.Write([]byte("x")))
			dead[addrPort(c.LocalAddr()).Port()] = true
			defer c.Close()
		}
		time.Sleep(time.Second)
		far.Add(func(p []byte, dir wrap.Dir, _ time.Time, _ *rand.Rand) wrap.Verdict {
			from, to := binary.BigEndian.Uint16(p[34:]), binary.BigEndian.Uint16(p[36:])
			if p[23] == 6 && (dir == wrap.Tx && dead[from] || dir == wrap.Rx && dead[to]) {
				return wrap.Drop
			}
			return wrap.Pass
		})
		wg.Wait()
		check(gvisorlink.Do(hosts[0], func(st *gvisor.Stack) {
			half, cookies := len(st.RegisteredEndpoints()), st.Stats().TCP.ListenOverflowSynCookieSent.Value()
			if half < 4096 || cookies == 0 {
				t.Errorf("it was no storm: %d endpoints, %d handshakes too many", half, cookies)
			}
		}))
		time.Sleep(time.Hour)
		if n := stop(); n < len(dead)+len(fates) {
			t.Errorf("%d connections were served", n)
		}
		if s := hosts[0].Stats(); s.TCP.PassiveOpens < 50 || s.TCP.Timeouts == 0 {
			t.Errorf("it was no storm: %+v", s.TCP)
		}
		emptyStack(t, hosts[0])
	})
}

// emptyStack looks that a host has no socket left, and gVisor no endpoint.
func emptyStack(t *testing.T, h *stack.Host) {
	t.Helper()
	if s := h.Stats(); s.Sockets != 0 || s.Waiting != 0 || s.PeerConns != 0 {
		t.Errorf("left: %d sockets, %d ops, %d connections of peers", s.Sockets, s.Waiting, s.PeerConns)
	}
	check(gvisorlink.Do(h, func(st *gvisor.Stack) {
		if a, b := len(st.RegisteredEndpoints()), len(st.CleanupEndpoints()); a+b != 0 {
			t.Errorf("left below: %d endpoints, %d of them closed", a+b, b)
		}
		tcp := st.Stats().TCP
		if a, b := tcp.CurrentEstablished.Value(), tcp.CurrentConnected.Value(); a+b != 0 {
			t.Errorf("counted below: %d established, %d connected", a, b)
		}
	}))
}

// A flooder writes frames that no stack has made.
type flooder struct {
	tx hal.TxQueue
	fs []hal.Frame
}

type addrs struct{ from, to netip.Addr }

func floodOn(dev hal.Device) *flooder {
	_, tx := must3(dev.Queue(0))
	return &flooder{tx, make([]hal.Frame, dev.Info().MaxChain)}
}

// syn sends a first segment, as from the silent host.
func (f *flooder) syn(to hal.MAC, a addrs, port uint16) {
	const ether, ip, tcp = 14, 20, 20
	n := must(f.tx.Alloc(f.fs, ether+ip+tcp))
	if n != 1 {
		panic("no frame")
	}
	p := f.fs[0].Data
	clear(p)
	copy(p, to[:])
	copy(p[6:], []byte{2, 0, 0, 0, 0, silentHost, 0x08, 0x00})
	h, s := p[ether:ether+ip], p[ether+ip:]
	copy(h, []byte{0x45, 0, 0, ip + tcp, 0, 0, 0x40, 0, 64, 6})
	copy(h[12:], a.from.AsSlice())
	copy(h[16:], a.to.AsSlice())
	var sum offload.Sum
	sum.Add(h)
	binary.BigEndian.PutUint16(h[10:], ^sum.Fold())
	binary.BigEndian.PutUint16(s, port)
	binary.BigEndian.PutUint16(s[2:], 80)
	copy(s[12:], []byte{5 << 4, 0x02, 0xff, 0xff}) // SYN
	sum = offload.Sum{}
	sum.Add(h[12:])
	sum.AddUint16(6)
	sum.AddUint16(tcp)
	sum.Add(s)
	binary.BigEndian.PutUint16(s[16:], ^sum.Fold())
	must(f.tx.Tx(f.fs[:1]))
	check(f.tx.Flush())
}
