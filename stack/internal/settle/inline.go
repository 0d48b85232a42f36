package settle

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"gvisor.dev/gvisor/pkg/sleep"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// This file is all that depends on gVisor's unexported parts: one function and
// five field names. What guards it: a layout that differs is ErrLayout, a
// renamed function is a link error, a changed one is noticed by the tests of
// this package, and an untested version falls back to the barrier (Version).

// start is the main loop of gVisor's processors. It returns when closeWaker is
// asserted, after it has handled what was asserted before (wakers are first in,
// first out), and detaches all wakers; one asserted meanwhile stays asserted.
//
//go:linkname start gvisor.dev/gvisor/pkg/tcpip/transport/tcp.(*processor).start
func start(p unsafe.Pointer, wg *sync.WaitGroup)

// ErrLayout says that gVisor's private types are not what Inline knows.
var ErrLayout = errors.New("settle: unexpected layout of gVisor's TCP")

type inline struct {
	processor   unsafe.Pointer
	sleeper     *sleep.Sleeper
	newEndpoint *sleep.Waker // asserted: endpoints wait to be processed
	closing     *sleep.Waker
	wg          sync.WaitGroup
}

// Inline ends the processor goroutines of st and returns a Settler that runs
// their loop on the goroutine that calls Settle. It must be called right after
// stack.New. If it fails the stack is untouched.
//
// The stack must have been made with gVisor's own tcp.NewProtocol.
func Inline(st *stack.Stack) (Settler, error) {
	proto := st.TransportProtocolInstance(tcp.ProtocolNumber)
	if proto == nil {
		return nil, fmt.Errorf("%w: the stack has no TCP", ErrLayout)
	}
	l, err := layoutOf(reflect.TypeOf(proto))
	if err != nil {
		return nil, err
	}
	ps := (*[]struct{})(unsafe.Add(reflect.ValueOf(proto).UnsafePointer(), l.processors))
	if len(*ps) == 0 {
		return nil, fmt.Errorf("%w: no processors", ErrLayout)
	}
	at := func(i int, field uintptr) unsafe.Pointer {
		return unsafe.Add(unsafe.Pointer(unsafe.SliceData(*ps)), uintptr(i)*l.size+field)
	}
	// Each goroutine ends by its own close waker; the dispatcher itself stays
	// open. Its deferred Done detaches the wakers: from here Assert is one
	// atomic swap that wakes nobody, and IsAsserted says whether work is waiting.
	for i := range *ps {
		(*sleep.Waker)(at(i, l.closing)).Assert()
	}
	proto.Wait()
	for i := range *ps {
		(*sleep.Waker)(at(i, l.closing)).Clear()
	}
	// One processor is enough for one goroutine, and makes the order of
	// endpoints independent of GOMAXPROCS.
	*ps = (*ps)[:1]
	return &inline{
		processor:   at(0, 0),
		sleeper:     (*sleep.Sleeper)(at(0, l.sleeper)),
		newEndpoint: (*sleep.Waker)(at(0, l.newEndpoint)),
		closing:     (*sleep.Waker)(at(0, l.closing)),
	}, nil
}

// Settle costs 3 ns when nothing waits and 70 ns to enter and leave the loop
// (docs/bench).
func (in *inline) Settle() {
	for in.newEndpoint.IsAsserted() {
		in.sleeper.AddWaker(in.newEndpoint) // asserted, so first in the queue
		in.closing.Assert()
		in.sleeper.AddWaker(in.closing) // second: start returns on it
		in.wg.Add(1)
		start(in.processor, &in.wg)
	}
}

// Close has nothing to undo: gVisor's Close and Wait work without goroutines.
func (in *inline) Close()       {}
func (in *inline) Name() string { return "inline" }

// layout holds byte offsets: of the slice of processors in the protocol, and of
// fields in one processor of the given size.
type layout struct {
	processors                          uintptr
	size, sleeper, newEndpoint, closing uintptr
}

func layoutOf(protocol reflect.Type) (l layout, err error) {
	field := func(t reflect.Type, name string, ok func(reflect.Type) bool) reflect.StructField {
		f, found := t.FieldByName(name)
		// The offset of a promoted field counts from the struct it is in.
		if err == nil && (!found || len(f.Index) != 1 || !ok(f.Type)) {
			err = fmt.Errorf("%w: field %s of %v", ErrLayout, name, t)
		}
		if err != nil {
			f.Type = reflect.TypeFor[[]struct{}]() // whatever follows fails as well, quietly
		}
		return f
	}
	isStruct := func(t reflect.Type) bool { return t.Kind() == reflect.Struct }
	isStructs := func(t reflect.Type) bool { return t.Kind() == reflect.Slice && isStruct(t.Elem()) }
	isWaker := func(t reflect.Type) bool { return t == reflect.TypeFor[sleep.Waker]() }
	isSleeper := func(t reflect.Type) bool { return t == reflect.TypeFor[sleep.Sleeper]() }

	if protocol.Kind() != reflect.Pointer || !isStruct(protocol.Elem()) {
		return l, fmt.Errorf("%w: the protocol is a %v", ErrLayout, protocol)
	}
	d := field(protocol.Elem(), "dispatcher", isStruct)
	if err != nil {
		return l, err
	}
	ps := field(d.Type, "processors", isStructs)
	p := ps.Type.Elem()
	l = layout{
		processors:  d.Offset + ps.Offset,
		size:        p.Size(),
		sleeper:     field(p, "sleeper", isSleeper).Offset,
		newEndpoint: field(p, "newEndpointWaker", isWaker).Offset,
		closing:     field(p, "closeWaker", isWaker).Offset,
	}
	return l, err
}
