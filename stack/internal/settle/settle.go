// Package settle brings gVisor's TCP to rest: after Settle every segment that
// was delivered to the stack has been processed, on the caller's goroutine or
// before the call returned.
//
// gVisor hands received segments to processor goroutines, one per P, and offers
// no way to wait for them. A host that runs in turns needs one: what a turn
// delivers must have its effects (data to read, ACKs to send) within that turn.
//
//	s, err := settle.Inline(st) // right after stack.New, before any traffic
//	if err != nil {
//		s = settle.Barrier(st) // an unknown gVisor
//	}
//	…deliver packets, call endpoints, run timers…
//	s.Settle()
//	…
//	s.Close() // before st.Close
//
// The rule that makes both sound: every exit from the stack ends with Settle.
// With no goroutine in it, code of the stack runs only from device delivery,
// clock callbacks and calls of the application, so a turn has one place for it.
//
// The trap: a settled stack must not be paused, saved or restored by anybody
// else; gVisor's Pause would wait for goroutines that are gone.
package settle

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A Settler belongs to one stack. It is used by one goroutine at a time.
type Settler interface {
	// Settle processes what the stack has received.
	Settle()
	// Close prepares the stack for its own Close. It comes after the last Settle.
	Close()
	// Name is "inline" or "barrier".
	Name() string
}

// Tested is the version of gVisor that the inline form was tested with.
const Tested = "v0.0.0-20260905035102-160fafc42237"

// Version returns the version of gVisor that is linked into this program, or ""
// if nothing tells, and whether the inline form is known to fit it.
func Version() (version string, tested bool) {
	info, _ := debug.ReadBuildInfo()
	file, _ := runtime.FuncForPC(reflect.ValueOf(tcp.NewProtocol).Pointer()).FileLine(0)
	version = versionOf(info, file)
	return version, version == Tested
}

// versionOf looks the version up in the build's list of modules, and where that
// is missing, as in test binaries, in the path of a source file: the module
// cache has the version in it, also with -trimpath.
func versionOf(info *debug.BuildInfo, file string) string {
	if info != nil {
		for _, m := range info.Deps {
			if m.Path == module && m.Replace != nil {
				return m.Version + " (replaced)"
			}
			if m.Path == module {
				return m.Version
			}
		}
	}
	_, rest, _ := strings.Cut(file, module+"@")
	version, _, _ := strings.Cut(rest, "/")
	return version
}

const module = "gvisor.dev/gvisor"

// barrier keeps the stack paused and lets it run for the length of a Settle.
// gVisor's pause answers only when every processor's queue is empty.
type barrier struct{ st *stack.Stack }

// Barrier settles by gVisor's exported Pause and Resume. It costs about 1 µs a
// call, more with more Ps, and much more on a locked thread.
func Barrier(st *stack.Stack) Settler {
	st.Pause()
	return barrier{st}
}

// Settle passes twice: a processor that was paused first may be handed work by
// one that was paused later (a segment of a closing endpoint is delivered again
// to another one).
func (b barrier) Settle() {
	for range 2 {
		b.st.Resume()
		b.st.Pause()
	}
}

func (b barrier) Close()       { b.st.Resume() }
func (b barrier) Name() string { return "barrier" }
