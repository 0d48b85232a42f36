package api

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
)

// Config is how a LibOS behaves. The zero value works.
type Config struct {
	// Logger gets complaints about misuse, such as memory freed twice. Nil:
	// silence.
	Logger *slog.Logger

	// PopSize is the most bytes that one Pop brings. Zero: 64 KiB.
	PopSize int

	// MaxOps bounds the ops that are pending and the completions that nobody
	// has taken, together. While there are so many, calls that would give a
	// token fail with ENOBUFS, AsyncClose excepted. Zero: 1<<20.
	MaxOps int

	// Spin is how many turns of the transport a waiter tries before it
	// sleeps. Zero: it sleeps at once. Transports without a Driver ignore it.
	Spin int

	// Memory executes memory queues; like the transport it is closed by Exit.
	// Nil: one of [NewMemory].
	Memory Transport

	// Names is what the net face knows about names at first: see
	// [Net.SetNames].
	Names Names

	// Rand is where the IDs of DNS queries come from. Others must not be able
	// to guess them: any but the default is for simulations. It is used by
	// several goroutines at once. Nil: [rand.Reader].
	Rand io.Reader

	// TrackMemory remembers where each SGA in somebody's hands came from: see
	// [LibOS.Leaks]. Exit logs those that are left. It costs about a
	// microsecond an array.
	TrackMemory bool

	// Strict makes misuse of memory panic, fills freed memory with 0xdb, so
	// that its use shows, and tracks it. It is for tests.
	Strict bool
}

// A LibOS is both faces of one transport: its methods are the queue face, Net
// returns the net face. All methods are safe for concurrent use.
//
// Methods of the queue face fail with an [*Error]. Every one that takes a
// descriptor fails with EBADF if it is none; after Exit all of them fail with
// [net.ErrClosed] but Close, which finds its work done. What else they fail with
// is said at each.
type LibOS struct {
	cfg       Config
	transport Transport
	memory    Transport // of memory queues
	driver    Driver    // nil if the transport has none
	timers    Timers
	net       Net
	sgas      sgaCounters
	tracker   tracker

	asleep atomic.Bool // the sleeper is inside Driver.Sleep

	mu      sync.Mutex // guards the following
	exiting bool       // Exit has begun: new calls fail
	dead    bool       // the transport is closed
	sleeper *waiter
	heirs   list[waiter] // parked, and may become the sleeper
	takers  list[waiter] // wait for any completion
	idle    list[waiter] // nobody's
	watched <-chan struct{}
	unwatch func() bool
	queues  table[*socket]
	tokens  table[*call]
	spare   []*call    // for tokens
	ready   list[call] // the completion queue
	flying  int        // ops that are not done, of tokens also of dropped ones
	open    int        // ops that are not done, or whose completions nobody has taken
	order   uint64     // counts completions
	refused uint64
}

// New returns the faces of t, which they own: nobody else closes it. If t is a
// [Driver] or has [Timers] they are used.
func New(t Transport, cfg Config) *LibOS {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.PopSize <= 0 {
		cfg.PopSize = 64 << 10
	}
	if cfg.MaxOps <= 0 {
		cfg.MaxOps = 1 << 20
	}
	if cfg.Memory == nil {
		cfg.Memory = NewMemory()
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	l := &LibOS{cfg: cfg, transport: t, memory: cfg.Memory, timers: realTime{}}
	l.queues.bits, l.queues.max, l.queues.spare = 20, math.MaxInt32, 1023
	l.tokens.bits, l.tokens.max = 32, math.MaxUint64
	l.driver, _ = t.(Driver)
	if timers, ok := t.(Timers); ok {
		l.timers = timers
	}
	l.tracker.on = cfg.TrackMemory || cfg.Strict
	l.net.lib = l
	l.net.SetNames(cfg.Names)
	return l
}

// Net returns the net face. Its sockets and the queues live side by side.
func (l *LibOS) Net() *Net { return &l.net }

// Exit closes the transport, and with it every socket of both faces; queues of
// other transports ([LibOS.SocketOn]) are closed as by AsyncClose. Pending ops
// end, on the queue face with ECANCELED; their completions can still be taken.
// When there are none left, waiting fails with [net.ErrClosed]; every new call
// does so from the beginning. Exit may be called more than once.
func (l *LibOS) Exit() error {
	l.mu.Lock()
	again := l.exiting
	l.exiting = true
	l.mu.Unlock()
	if !again {
		l.reportLeaks()
		l.closeForeign()
	}
	err := errors.Join(l.transport.Close(), l.memory.Close())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.die()
	if l.unwatch != nil {
		l.unwatch()
		l.watched, l.unwatch = nil, nil
	}
	return err
}

// closeForeign closes the queues of transports that are not the LibOS's own.
func (l *LibOS) closeForeign() {
	l.mu.Lock()
	var foreign []*socket
	for i := range l.queues.rows {
		if s := l.queues.rows[i].v; s != nil && s.t != l.transport && s.t != l.memory {
			foreign = append(foreign, s)
		}
	}
	l.mu.Unlock()
	for _, s := range foreign {
		op := NewOp()
		op.Request = Request{Kind: KindClose, Network: s.net, Sock: s.h, Seq: s.seqs[KindClose].Add(1)}
		op.Done = func(op *Op) { op.Free() }
		s.t.Submit(op)
	}
}

// die notes that the transport is closed. l.mu is held.
func (l *LibOS) die() {
	l.dead = true
	for w := l.takers.pop(); w != nil; w = l.takers.pop() {
		l.call(w)
	}
}

// Stats counts what goes through the queue face.
type Stats struct {
	Queues    int    // open descriptors
	Pending   int    // ops in flight
	Unclaimed int    // completions that nobody has taken yet
	Refused   uint64 // calls refused because of MaxOps

	SGAs     int64  // arrays on loan from Alloc or Pop
	SGABytes int64  // their memory
	Misused  uint64 // arrays freed twice, or used after they were freed
}

// Stats returns the counters as they are now.
func (l *LibOS) Stats() Stats {
	l.mu.Lock()
	s := Stats{Queues: l.queues.n, Pending: l.flying, Unclaimed: l.ready.n, Refused: l.refused}
	l.mu.Unlock()
	s.SGAs, s.SGABytes, s.Misused = l.sgas.live.Load(), l.sgas.bytes.Load(), l.sgas.misused.Load()
	return s
}

var background = context.Background()
