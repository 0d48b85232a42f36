package settle

import (
	"container/heap"
	"math/rand"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// world is two hosts, the wire between them and their time. All of it is
// simulated: things happen in step, one event after the other, on the goroutine
// that calls it, and time is when they happen.
//
// The barrier's processors run on goroutines of their own meanwhile. They arm
// timers and notify sockets, which is what the mutexes are for.
type world struct {
	t     testing.TB
	loss  float64
	dice  *rand.Rand // which frames are lost
	hosts [2]*host
	// sent is called for every frame that a host sends.
	sent func(from int, frame []byte, lost bool)

	mu     sync.Mutex
	now    time.Duration
	events events
	armed  uint64
}

// delay is how long a frame is on the wire. Frames do not overtake each other.
const delay = 500 * time.Microsecond

// An event calls f within host, in the order of (when, seq).
type event struct {
	host *host
	f    func()
	when time.Duration
	seq  uint64
	at   int // index in the heap, or -1
}

func newWorld(t testing.TB, form form, seed int64, loss float64) *world {
	t.Helper()
	w := &world{t: t, loss: loss, dice: rand.New(rand.NewSource(seed)), sent: func(int, []byte, bool) {}}
	for i := range w.hosts {
		w.hosts[i] = newHost(t, w, i, form, seed)
	}
	return w
}

// close ends both hosts as a host of package stack does.
func (w *world) close() {
	for _, h := range w.hosts {
		h.settler.Settle()
		h.settler.Close()
		h.st.Close()
		h.st.Wait()
	}
}

// step lets the next thing happen. It reports false if nothing is going to.
func (w *world) step() bool {
	w.mu.Lock()
	if len(w.events) == 0 {
		w.mu.Unlock()
		return false
	}
	e := heap.Pop(&w.events).(*event)
	w.now = e.when
	w.mu.Unlock()
	e.host.enter(e.f)
	return true
}

// finish lets everything happen, until nothing is left that could.
func (w *world) finish() {
	w.t.Helper()
	for range 1_000_000 {
		if !w.step() {
			return
		}
	}
	w.t.Fatalf("the world does not come to rest; it is %v", w.now)
}

// in calls f within h, d from now.
func (w *world) in(d time.Duration, h *host, f func()) {
	w.arm(&event{host: h, f: f, at: -1}, d)
}

func (w *world) arm(e *event, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed++
	e.when, e.seq = w.now+max(d, 0), w.armed
	if e.at < 0 {
		heap.Push(&w.events, e)
	} else {
		heap.Fix(&w.events, e.at)
	}
}

// host is a stack and the sockets of its application.
type host struct {
	w       *world
	i       int
	addr    tcpip.Address
	st      *stack.Stack
	settler Settler
	link    *channel.Endpoint

	mu    sync.Mutex
	ready []*conn
}

func newHost(t testing.TB, w *world, i int, form form, seed int64) *host {
	t.Helper()
	h := &host{w: w, i: i, addr: tcpip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)})}
	random := &source{r: rand.New(rand.NewSource(seed + int64(i)))}
	h.st = newStack(form.tcp, stack.Options{Clock: clock{h}, RandSource: random, SecureRNG: random})
	var err error
	if h.settler, err = form.make(h.st); err != nil {
		t.Fatal(err)
	}
	// It holds whatever one event can make a host send.
	h.link = channel.New(1<<14, 1500, "")
	if err := h.st.CreateNIC(1, h.link); err != nil {
		t.Fatal(err)
	}
	addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: h.addr.WithPrefix()}
	if err := h.st.AddProtocolAddress(1, addr, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	h.st.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return h
}

// newStack makes a stack with TCP over IPv4.
func newStack(tcp stack.TransportProtocolFactory, o stack.Options) *stack.Stack {
	o.NetworkProtocols = []stack.NetworkProtocolFactory{ipv4.NewProtocol}
	o.TransportProtocols = []stack.TransportProtocolFactory{tcp}
	return stack.New(o)
}

// enter runs f, which calls the stack, and settles: when it returns everything
// that f caused has happened, but for what is on the wire.
func (h *host) enter(f func()) {
	f()
	h.settler.Settle()
	for c := h.next(); c != nil; c = h.next() {
		c.serve()
		h.settler.Settle()
	}
	for p := h.link.Read(); p != nil; p = h.link.Read() {
		v := p.ToView()
		p.DecRef()
		h.w.transmit(h, v)
	}
}

// next returns a socket on which something has changed, or nil.
func (h *host) next() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ready) == 0 {
		return nil
	}
	c := h.ready[0]
	h.ready = h.ready[1:]
	c.queued = false
	return c
}

// transmit takes a frame to the other host, or loses it.
func (w *world) transmit(from *host, frame *buffer.View) {
	lost := w.loss > 0 && w.dice.Float64() < w.loss
	w.sent(from.i, frame.AsSlice(), lost)
	if lost {
		frame.Release()
		return
	}
	to := w.hosts[1-from.i]
	w.in(delay, to, func() {
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(frame)})
		to.link.InjectInbound(header.IPv4ProtocolNumber, pkt)
		pkt.DecRef()
	})
}

// clock is a host's time.
type clock struct{ h *host }

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (c clock) Now() time.Time { return epoch.Add(c.nanos()) }
func (c clock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(c.nanos())
}

func (c clock) nanos() time.Duration {
	c.h.w.mu.Lock()
	defer c.h.w.mu.Unlock()
	return c.h.w.now
}

func (c clock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	e := &event{host: c.h, f: f, at: -1}
	c.h.w.arm(e, d)
	return timer{e}
}

type timer struct{ *event }

func (t timer) Reset(d time.Duration) { t.host.w.arm(t.event, d) }
func (t timer) Stop() bool {
	t.host.w.mu.Lock()
	defer t.host.w.mu.Unlock()
	if t.at < 0 {
		return false
	}
	heap.Remove(&t.host.w.events, t.at)
	return true
}

type events []*event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].when < q[j].when || q[i].when == q[j].when && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}
func (q *events) Push(x any) {
	e := x.(*event)
	e.at = len(*q)
	*q = append(*q, e)
}
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	e.at = -1
	return e
}

// source is where a stack draws its sequence numbers, ports and secrets.
type source struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (s *source) Seed(int64) { panic("a stack seeds its source") }
func (s *source) Int63() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Int63()
}
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(p)
}
