package api

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// A Leak is an SGA that its holder has not given back yet: it is one if nobody
// means to.
type Leak struct {
	Bytes int // of its memory

	// Stack is where the holder got it, innermost call first, a line each: the
	// Alloc, or the wait that returned its completion.
	Stack string
}

// Leaks returns the arrays on loan that are in somebody's hands, the oldest
// first: neither lent to a push nor in a completion that nobody has taken. It
// needs [Config.TrackMemory], or [Config.Strict]; without, it returns nil. At
// the end of a test there should be none:
//
//	for _, leak := range lib.Leaks() {
//		t.Errorf("%d bytes were not freed, from\n%s", leak.Bytes, leak.Stack)
//	}
func (l *LibOS) Leaks() []Leak {
	t := &l.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	var held []*holding
	for _, h := range t.held {
		held = append(held, h)
	}
	slices.SortFunc(held, func(a, b *holding) int { return int(a.order) - int(b.order) })
	var leaks []Leak
	for _, h := range held {
		leaks = append(leaks, Leak{Bytes: h.bytes, Stack: h.stack()})
	}
	return leaks
}

// reportLeaks logs what is in somebody's hands when the LibOS exits.
func (l *LibOS) reportLeaks() {
	for _, leak := range l.Leaks() {
		l.cfg.Logger.Warn("api: an SGA was not freed before Exit", "bytes", leak.Bytes, "stack", leak.Stack)
	}
}

// tracker knows who holds which memory. Its mutex is a leaf.
type tracker struct {
	on   bool
	mu   sync.Mutex
	made uint64
	held map[*lease]*holding
}

// A holding is an array in the hands of a user.
type holding struct {
	bytes  int
	order  uint64
	pcs    [24]uintptr
	frames int
}

// hold notes that a user gets a, which may be nil.
func (t *tracker) hold(a *lease) {
	if t.on && a != nil {
		t.note(a)
	}
}

func (t *tracker) note(a *lease) {
	h := &holding{bytes: int(a.bytes)}
	h.frames = runtime.Callers(2, h.pcs[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = map[*lease]*holding{}
	}
	t.made++
	h.order = t.made
	t.held[a] = h
}

// letGo notes that the user has given a back.
func (t *tracker) letGo(a *lease) {
	if t.on {
		t.forget(a)
	}
}

func (t *tracker) forget(a *lease) {
	t.mu.Lock()
	delete(t.held, a)
	t.mu.Unlock()
}

// stack leaves out the calls within this package.
func (h *holding) stack() string {
	var b strings.Builder
	frames := runtime.CallersFrames(h.pcs[:h.frames])
	for more := h.frames > 0; more; {
		var f runtime.Frame
		if f, more = frames.Next(); !strings.HasPrefix(f.Function, packagePath) {
			fmt.Fprintf(&b, "%s %s:%d\n", f.Function, f.File, f.Line)
		}
	}
	return b.String()
}

// packagePath is how the names of this package's functions begin.
var packagePath = func() string {
	pc, _, _, _ := runtime.Caller(0)
	name := runtime.FuncForPC(pc).Name()
	slash := strings.LastIndexByte(name, '/')
	return name[:slash+strings.IndexByte(name[slash:], '.')+1]
}()
