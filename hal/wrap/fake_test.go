package wrap

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a device whose every limit a test can set: it receives what the test
// puts into in, and keeps in out what was sent.
type fake struct {
	mu      sync.Mutex
	info    hal.Info
	in      []packet
	out     []packet
	ring    int // Tx takes so many packets until the next Flush; 0: any number
	sent    int // since then
	lent    int // frames on loan, both halves together
	flushes int
	closed  bool
	steer   []hal.Local
	notify  func()
}

// packet is a packet with its metadata.
type packet struct {
	data []byte
	meta hal.Meta
}

type fakeRx struct{ *fake }
type fakeTx struct{ *fake }

func newFake() *fake {
	return &fake{info: hal.Info{
		Driver: "fake", Name: "one", MTU: 1500, Queues: 1, Loans: 64, Headroom: 16, MaxChain: 4,
		RxOffloads: hal.Csum | hal.TSO4,
	}}
}

func (f *fake) Info() hal.Info { return f.info }

func (f *fake) Queue(int) (hal.RxQueue, hal.TxQueue, error) {
	if f.closed {
		return nil, nil, hal.ErrClosed
	}
	return fakeRx{f}, fakeTx{f}, nil
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func (f *fake) SetLocal(l hal.Local) error {
	f.steer = append(f.steer, l)
	return nil
}

func (f *fake) Stats() hal.Stats { return hal.Stats{Drops: map[string]uint64{"rx-fake": 3}} }

// chain makes frames for size bytes, and returns 0 if there are too few.
func (f *fake) chain(fs []hal.Frame, size int) int {
	each := max(hal.Contiguous, (size+f.info.MaxChain-1)/f.info.MaxChain)
	n := 0
	for ok := true; ok; ok = size > 0 {
		k := min(each, size)
		if n == len(fs) {
			return 0
		}
		fs[n] = hal.NewFrame(make([]byte, f.info.Headroom+k), f.info.Headroom, k, 0)
		size -= k
		fs[n].More = size > 0
		n++
	}
	f.lent += n
	return n
}

func (r fakeRx) Rx(fs []hal.Frame) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return 0, hal.ErrClosed
	case len(fs) < r.info.MaxChain:
		return 0, hal.ErrShortBurst
	}
	total := 0
	for len(r.in) > 0 {
		p := r.in[0]
		n := r.chain(fs[total:], len(p.data))
		if n == 0 {
			break
		}
		fill(fs[total:total+n], p.data)
		fs[total].Meta = p.meta
		total += n
		r.in = r.in[1:]
	}
	return total, nil
}

func (r fakeRx) Release(fs []hal.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent -= len(fs)
	for i := range fs {
		for j := range fs[i].Data {
			fs[i].Data[j] = 0xdb // poison
		}
	}
}

func (t fakeTx) Alloc(fs []hal.Frame, size int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return 0, hal.ErrClosed
	case size > max(hal.EthernetHeaderLen+t.info.MTU, t.info.GSOMax):
		return 0, hal.ErrTooLong
	}
	return t.chain(fs, size), nil
}

func (t fakeTx) Tx(fs []hal.Frame) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, hal.ErrClosed
	}
	taken := 0
	for taken < len(fs) && (t.ring == 0 || t.sent < t.ring) {
		n := hal.ChainLen(fs[taken:])
		var p packet
		for _, f := range fs[taken : taken+n] {
			p.data = append(p.data, f.Data...)
		}
		p.meta = fs[taken].Meta
		t.out = append(t.out, p)
		taken += n
		t.lent -= n
		t.sent++
	}
	return taken, nil
}

func (t fakeTx) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = 0
	t.flushes++
	return nil
}

func (t fakeTx) Release(fs []hal.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lent -= len(fs)
}

func (t fakeTx) Notify(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notify = f
}

// a clock that a test moves by hand.
type clock struct{ t time.Time }

func newClock() *clock                   { return &clock{time.Unix(1_700_000_000, 0)} }
func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

// queues opens queue 0 of a device.
func queues(t testing.TB, dev hal.Device) (hal.RxQueue, hal.TxQueue) {
	t.Helper()
	rx, tx, err := dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	return rx, tx
}

// send sends one packet and reports whether it was taken.
func send(t testing.TB, tx hal.TxQueue, p packet) bool {
	t.Helper()
	fs := make([]hal.Frame, 4)
	n, err := tx.Alloc(fs, len(p.data))
	if err != nil {
		t.Fatalf("Alloc(%d): %v", len(p.data), err)
	}
	if n == 0 {
		return false
	}
	fill(fs[:n], p.data)
	fs[0].Meta = p.meta
	k, err := tx.Tx(fs[:n])
	if err != nil {
		t.Fatalf("Tx: %v", err)
	}
	if k == 0 {
		tx.Release(fs[:n])
	}
	return k > 0
}

// receive takes everything that is there.
func receive(t testing.TB, rx hal.RxQueue) []packet {
	t.Helper()
	var ps []packet
	fs := make([]hal.Frame, 8)
	for {
		n, err := rx.Rx(fs)
		if err != nil {
			t.Fatalf("Rx: %v", err)
		}
		if n == 0 {
			return ps
		}
		for rest := fs[:n]; len(rest) > 0; {
			k := hal.ChainLen(rest)
			p := packet{meta: rest[0].Meta}
			for _, f := range rest[:k] {
				p.data = append(p.data, f.Data...)
			}
			ps = append(ps, p)
			rest = rest[k:]
		}
		rx.Release(fs[:n])
	}
}
