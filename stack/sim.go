package stack

import (
	"math/rand"
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/stack/internal/settle"
	gvisorrand "gvisor.dev/gvisor/pkg/rand"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Sim is a simulated host's time and randomness. Such a host has no goroutine:
// whoever simulates calls Drive.
type Sim struct {
	Now  func() time.Time
	Seed uint64
}

// Drive runs turns until the host has nothing left to do at this moment, and
// returns when its clock has something to do next; ok is false if it never has. It
// is for simulations, which call it after frames have arrived, ops were submitted,
// or that time has come. Nobody else may be in a turn.
func (h *Host) Drive() (next time.Time, ok bool) {
	h.received.Store(true)
	for h.needsTurn() {
		h.turn.Lock()
		h.runTurn()
		h.turn.Unlock()
	}
	ns := h.clock.next()
	if ns == never {
		return time.Time{}, false
	}
	return h.clock.time(ns), true
}

// GVisorVersion returns the version of gVisor in this program, or "" if nothing
// tells. What a simulation does depends on it.
func GVisorVersion() string {
	version, _ := settle.Version()
	return version
}

// entropy guards gVisor's source of randomness for what has no option: the IDs of
// IPv4 packets, which are drawn while a stack is made.
var entropy sync.Mutex

// newStack makes a stack. That of a simulated host draws from its seed alone.
func newStack(opts stack.Options, sim *Sim) *stack.Stack {
	entropy.Lock()
	defer entropy.Unlock()
	if sim != nil {
		was := gvisorrand.Reader
		defer func() { gvisorrand.Reader = was }()
		gvisorrand.Reader = rand.New(rand.NewSource(int64(sim.Seed) ^ 0x1d))
	}
	return stack.New(opts)
}
