package api_test

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/stack"
)

// TestModel does at random what users of the queue face do, on two hosts and a
// link that loses, delays, doubles and reorders frames, and compares what
// completes with a model of it: see [model].
//
// A failure prints the file, under testdata/rapid, and the seed that repeat it:
//
//	go test ./api -run TestModel -rapid.failfile=…
//	go test ./api -run TestModel -rapid.seed=…
//
// Time is a bubble's, so a retransmission costs nothing. Goroutines run in any
// order even so: what one seed shows, it shows most of the time, not always.
func TestModel(t *testing.T) {
	checks, steps := 30, 300
	if testenv.Long() {
		checks, steps = 300, 500
	}
	few := rapidDefault(t, "rapid.checks", checks)
	rapidDefault(t, "rapid.steps", steps)
	total := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		// The bubble's clock does not show that a goroutine spins.
		watchdog := time.AfterFunc(2*time.Minute, func() { panic("no end in sight:\n" + stacks()) })
		defer watchdog.Stop()
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newModel(t)
			defer m.exit()
			t.Repeat(m.actions())
			m.finish(t)
			m.count(total)
		})
	})
	t.Log(total)
	for _, what := range []string{"whole streams", "bytes", "pushes cut short", "datagrams", "messages", "drop", "waits", "waits in vain"} {
		if total[what] == 0 && !few {
			t.Errorf("no %s at all: the test shows little", what)
		}
	}
}

// count adds up what has happened.
func (m *model) count(total map[string]int) {
	total["steps"] += m.steps
	for _, s := range m.streams {
		total["streams"]++
		if s.connected && !s.cut {
			total["whole streams"]++
		}
		for _, t := range s.tubes {
			for _, p := range t.pops {
				total["bytes"] += len(p.p)
			}
			for _, p := range t.pushes {
				if p.n < p.size {
					total["pushes cut short"]++
				}
			}
		}
	}
	for _, q := range m.memories {
		for _, o := range q.pops {
			if o.done {
				total["messages"]++
			}
		}
	}
	for _, d := range m.sent {
		total["datagrams"] += d.came
	}
	for _, h := range m.hosts {
		for what, n := range h.seen {
			total[what] += n
		}
	}
}

// rapidDefault sets a flag of rapid unless it was given on the command line.
func rapidDefault(t *testing.T, name string, value int) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	f := flag.Lookup(name)
	if old := f.Value.String(); !given {
		must(f.Value.Set(strconv.Itoa(value)))
		t.Cleanup(func() { must(f.Value.Set(old)) })
	}
	return given
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// A model is what ought to happen. It says:
//
//   - every token completes once, with the opcode and the descriptor of its
//     call, and not as cancelled unless it was, or its queue closed;
//   - what was pushed into one end of a stream comes out of the other, in order
//     and without a gap; all of it if neither end was cut off (see stream.cut);
//   - a datagram arrives whole or cut as told, not more often than the link
//     doubled it, at the socket it was sent to;
//   - a memory queue gives the messages that it took, in their order;
//   - every connection is accepted by somebody;
//   - in the end nothing is left: no memory, no op, no socket, no goroutine.
//
// Whatever is said of a call is noted before the call is made, so that a
// completion always finds the model knowing it.
type model struct {
	steps int
	hosts [2]*modelHost
	waits sync.WaitGroup // goroutines that wait for completions

	mu        sync.Mutex // guards the following, and what hangs from it
	waiting   int        // goroutines in waits whose waiting ends by itself
	listeners []*modelListener
	streams   []*stream
	dgrams    []*dgramSocket
	sent      []*sentDgram
	memories  []*modelMemory
	port      uint16
	errs      []error
}

type modelHost struct {
	m       *model
	host    *stack.Host
	lib     *api.LibOS
	addr    netip.Addr
	pending []*modelOp // in the order of submission
	seen    map[string]int
}

// A modelOp is an op whose completion has not been seen.
type modelOp struct {
	token     api.Token
	op        api.Opcode
	qd        api.QD
	cancelled bool // by its token
	max       int  // of a pop
	early     bool // its stream was not connected when it began

	end      *streamEnd // of a stream's ops
	listener *modelListener
	dgram    *dgramSocket
	memory   *modelMemory
	push     *modelPush
	pop      *modelPop

	done, truncated bool // of a memory queue's: it succeeded; its message was cut
}

// gone reports whether the op's queue is closed.
func (o *modelOp) gone() bool {
	return o.end != nil && o.end.closed || o.listener != nil && o.listener.closed || o.dgram != nil && o.dgram.closed ||
		o.memory != nil && o.memory.closed
}

// linkFaults are those of both directions, in some of the runs. A few losses
// suffice: most of what happens to a stream happens at its edges.
var linkFaults = []wrap.Faults{
	{Dir: wrap.Tx, Delay: 500 * time.Microsecond},
	{Dir: wrap.Tx, Delay: 500 * time.Microsecond, Jitter: 400 * time.Microsecond, Drop: 0.01, Dup: 0.01, Reorder: 0.01},
}

func newModel(t *rapid.T) *model {
	m := &model{port: 10_000}
	faults := linkFaults[even(t, "faults", len(linkFaults))]
	seed := rapid.Uint64().Draw(t, "seed of the link")
	wire := must1(loopback.New(loopback.Config{}))
	for i := range m.hosts {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)
		dev := wrap.Inject(must1(wire.Device(loopback.Config{})), wrap.InjectOptions{Faults: faults, Seed: seed + uint64(i)})
		host := must1(stack.New(stack.Config{
			Name:       prefix.String(),
			Interfaces: []stack.Interface{{Device: dev, Addrs: []netip.Prefix{prefix}}},
			ReadBuffer: 64 << 10, WriteBuffer: 64 << 10, // many pushes find the window closed
		}))
		spin := rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "spin")
		m.hosts[i] = &modelHost{m: m, host: host, lib: api.New(host, api.Config{Strict: true, Spin: spin}), addr: prefix.Addr(), seen: map[string]int{}}
	}
	for _, h := range m.hosts {
		must(h.host.Ready(ctx))
		if rapid.Bool().Draw(t, "somebody takes completions all the time") {
			m.take(h)
		}
	}
	return m
}

// errorf notes a difference. m.mu is held.
func (m *model) errorf(format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf(format, args...))
}

// check ends the test if there is a difference.
func (m *model) check(t *rapid.T) {
	m.mu.Lock()
	err := errors.Join(m.errs...)
	m.mu.Unlock()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// submit notes an op and starts it. If the call fails it must be because the
// queue is closed. m.mu is held, so that no completion overtakes the note.
func (h *modelHost) submit(o *modelOp, start func() (api.Token, error)) bool {
	gone := o.gone()
	token, err := start()
	if gone || err != nil {
		if gone != errors.Is(err, syscall.EBADF) {
			h.m.errorf("%v on QD %d, closed: %v: %v", o.op, o.qd, gone, err)
		}
		return false
	}
	o.token = token
	h.pending = append(h.pending, o)
	return true
}

// got compares a completion with what was expected. m.mu is held.
func (h *modelHost) got(c api.Completion) {
	m := h.m
	for i, o := range h.pending {
		if o.token != c.Token {
			continue
		}
		h.pending = append(h.pending[:i], h.pending[i+1:]...)
		h.seen[o.op.String()]++
		if c.Err != nil {
			h.seen[o.op.String()+" failed"]++
		}
		if c.Op != o.op || c.QD != o.qd {
			m.errorf("token %d of %v on QD %d completes as %v on QD %d", o.token, o.op, o.qd, c.Op, c.QD)
		}
		if errors.Is(c.Err, syscall.ECANCELED) && !o.cancelled && !o.gone() {
			m.errorf("nobody has cancelled it: %v", c.Err)
		}
		switch {
		case o.op == api.OpClose:
			if c.Err != nil {
				m.errorf("AsyncClose: %v", c.Err)
			}
		case o.listener != nil:
			h.accepted(o, c)
		case o.dgram != nil:
			m.gotDgram(o, c)
		case o.memory != nil:
			m.gotMemory(o, c)
		case o.op == api.OpConnect:
			h.connected(o, c)
		case o.push != nil:
			m.pushed(o, c)
		default:
			m.popped(o, c)
		}
		c.SGA.Free()
		return
	}
	m.errorf("a completion that nobody expects, or the second one: %+v", c)
}

// exit ends both hosts and sees that nothing is left. Waiters end with it.
func (m *model) exit() {
	for _, h := range m.hosts {
		must(h.lib.Exit())
	}
	m.waits.Wait()
	for _, h := range m.hosts {
		drain(h.lib)
	}
}

// finish lets everything come to its end, and compares.
func (m *model) finish(t *rapid.T) {
	for _, h := range m.hosts {
		m.take(h)
	}
	m.eventually(t, "queues do not end", m.drain)
	m.mu.Lock()
	m.closeAll()
	m.mu.Unlock()
	m.eventually(t, "ops do not end after Close", func() bool {
		return len(m.hosts[0].pending)+len(m.hosts[1].pending)+m.waiting == 0
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.streams {
		m.compare(s)
	}
	for _, q := range m.memories {
		q.compare()
	}
	for _, h := range m.hosts {
		if s := h.lib.Stats(); s != (api.Stats{}) {
			m.errorf("left on %v: %+v", h.addr, s)
		}
		if s := h.host.Stats(); s.Sockets != 0 || s.Waiting != 0 || s.Posted != 0 {
			m.errorf("left in the stack of %v: %+v", h.addr, s)
		}
	}
}

// eventually waits for a condition, an hour at most. It is a hang if the hour
// passes: TCP itself gives up earlier.
func (m *model) eventually(t *rapid.T, what string, cond func() bool) {
	for nap, end := time.Millisecond, time.Now().Add(time.Hour); ; nap = min(2*nap, time.Second) {
		m.mu.Lock()
		done := cond()
		m.mu.Unlock()
		m.check(t)
		switch {
		case done:
			return
		case time.Now().After(end):
			t.Fatalf("%s: %s", what, m.left())
		}
		time.Sleep(nap)
	}
}

// left describes what has not ended.
func (m *model) left() (text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.hosts {
		for _, o := range h.pending {
			text += fmt.Sprintf("\n%v: %v on QD %d, token %d", h.addr, o.op, o.qd, o.token)
			if o.end != nil {
				text += fmt.Sprintf(": %v; the other is %v, cut %v", o.end, o.end.s.ends[1-o.end.side], o.end.s.cut)
			}
		}
		for _, c := range h.host.Stats().Conns {
			text += fmt.Sprintf("\n%v: %+v", h.addr, c)
		}
	}
	return text
}
