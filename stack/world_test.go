package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// A world is a host in virtual time, on a cable to stations of the test. Nothing
// moves but by its methods, and the same seed gives the same frames.
type world struct {
	t    *testing.T
	now  time.Time
	h    *Host
	dev  hal.Device // the host's end
	far  hal.Device
	rx   hal.RxQueue
	tx   hal.TxQueue
	loss float64 // of frames, in each direction
	dice *rand.Rand
	// stations see every frame that the host has sent and is not lost.
	stations []func(p []byte)
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	dev, far, err := loopback.Pair(loopback.Config{NoGSO: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), dev: dev, far: far, dice: rand.New(rand.NewPCG(seed, 7))}
	if w.rx, w.tx, err = far.Queue(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return w
}

// open makes the host, with one interface.
func (w *world) open(cfg Config, i Interface) *Host {
	w.t.Helper()
	if i.Device == nil {
		i.Device = w.dev
	}
	i.Name = "eth0"
	cfg.Interfaces = []Interface{i}
	cfg.Sim = &Sim{Now: func() time.Time { return w.now }, Seed: w.dice.Uint64()}
	h, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	w.h = h
	return h
}

// settle lets happen what happens without time passing.
func (w *world) settle() {
	w.t.Helper()
	for range 1000 {
		w.h.Turn()
		if !w.deliver() && !w.h.needsTurn() {
			return
		}
	}
	w.t.Fatal("the world does not come to rest")
}

// deliver brings the stations what the host has sent.
func (w *world) deliver() (some bool) {
	fs := make([]hal.Frame, 16)
	n, err := w.rx.Rx(fs)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range fs[:n] {
		if w.dice.Float64() < w.loss {
			continue
		}
		p := append([]byte(nil), fs[i].Data...)
		for _, s := range w.stations {
			s(p)
		}
	}
	w.rx.Release(fs[:n])
	return n > 0
}

// send puts a frame of a station on the cable.
func (w *world) send(p []byte) {
	w.t.Helper()
	if w.dice.Float64() >= w.loss {
		sendFrame(w.t, w.tx, p)
	}
}

// step lets time pass until the host has something to do, but not beyond end.
func (w *world) step(end time.Time) (more bool) {
	w.settle()
	next := end
	if ns := w.h.clock.next(); ns != never {
		if at := w.h.clock.time(ns); at.Before(end) {
			next = at
		}
	}
	w.now = next
	w.settle()
	return next.Before(end)
}

// pass lets d pass.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.step(end); {
	}
}

// until lets time pass until cond holds, and returns how long that was.
func (w *world) until(what string, limit time.Duration, cond func() bool) time.Duration {
	w.t.Helper()
	start := w.now
	for w.settle(); !cond(); {
		if !w.step(start.Add(limit)) && !cond() {
			w.t.Fatalf("within %v it never happened: %s; %+v", limit, what, w.h.Stats().Interfaces[0])
		}
	}
	return w.now.Sub(start)
}

// isReady reports whether Ready would return nil.
func (w *world) isReady() bool {
	select {
	case <-w.h.readiness.done:
		return w.h.readiness.result() == nil
	default:
		return false
	}
}

func (w *world) mac() hal.MAC { return w.dev.Info().MAC }

// ether is a frame.
func ether(to, from hal.MAC, etherType uint16, payload []byte) []byte {
	p := append(append([]byte(nil), to[:]...), from[:]...)
	return append(binary.BigEndian.AppendUint16(p, etherType), payload...)
}

// udp4 is a datagram over IPv4 with good checksums.
func udp4(from, to netip.AddrPort, payload []byte) []byte {
	p := make([]byte, 28, 28+len(payload))
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(28+len(payload)))
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[10:], ^sum(0, p[:20]))
	binary.BigEndian.PutUint16(p[20:], from.Port())
	binary.BigEndian.PutUint16(p[22:], to.Port())
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload)))
	p = append(p, payload...)
	even := append([]byte(nil), p[20:]...)
	if len(even)%2 > 0 {
		even = append(even, 0)
	}
	binary.BigEndian.PutUint16(p[26:], ^sum(sum(17+uint16(len(p)-20), p[12:20]), even))
	return p
}

// arpPacket is a request (1) or a reply (2).
func arpPacket(op byte, from hal.MAC, fromIP netip.Addr, to hal.MAC, toIP netip.Addr) []byte {
	p := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, from[:]...)
	p = append(append(p, fromIP.AsSlice()...), to[:]...)
	return append(p, toIP.AsSlice()...)
}

// icmp6 is a message of ICMPv6 with a good checksum, as neighbours send it.
func icmp6(from, to netip.Addr, body []byte) []byte {
	if len(body)%2 > 0 {
		panic("odd")
	}
	p := make([]byte, 40, 40+len(body))
	p[0], p[6], p[7] = 0x60, 58, 255
	binary.BigEndian.PutUint16(p[4:], uint16(len(body)))
	copy(p[8:], from.AsSlice())
	copy(p[24:], to.AsSlice())
	p = append(p, body...)
	p[42], p[43] = 0, 0
	binary.BigEndian.PutUint16(p[42:], ^sum(sum(58+uint16(len(body)), p[8:40]), p[40:]))
	return p
}
