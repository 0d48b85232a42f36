package settle

import (
	"errors"
	"reflect"
	"testing"
	"unsafe"

	"gvisor.dev/gvisor/pkg/sleep"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// These stand for gVisor's types as Inline knows them.
type (
	knownProtocol struct {
		stack      uintptr
		dispatcher knownDispatcher
	}
	knownDispatcher struct {
		more       int32
		processors []knownProcessor
	}
	knownProcessor struct {
		queue            [3]uintptr
		sleeper          sleep.Sleeper
		newEndpointWaker sleep.Waker
		closeWaker       sleep.Waker
		rest             bool
	}
)

func TestLayout(t *testing.T) {
	var protocol knownProtocol
	var p knownProcessor
	want := layout{
		processors:  unsafe.Offsetof(protocol.dispatcher) + unsafe.Offsetof(protocol.dispatcher.processors),
		size:        unsafe.Sizeof(p),
		sleeper:     unsafe.Offsetof(p.sleeper),
		newEndpoint: unsafe.Offsetof(p.newEndpointWaker),
		closing:     unsafe.Offsetof(p.closeWaker),
	}
	got, err := layoutOf(reflect.TypeFor[*knownProtocol]())
	if err != nil || got != want {
		t.Errorf("layout of the known type: %+v, %v; want %+v", got, err, want)
	}
}

// with is a protocol whose processors are a P.
type with[P any] struct {
	dispatcher struct{ processors []P }
}

func TestLayoutMismatch(t *testing.T) {
	for name, protocol := range map[string]reflect.Type{
		"not a pointer":         reflect.TypeFor[knownProtocol](),
		"pointer to no struct":  reflect.TypeFor[*int](),
		"empty":                 reflect.TypeFor[*struct{}](),
		"dispatcher renamed":    reflect.TypeFor[*struct{ dispatch knownDispatcher }](),
		"dispatcher by pointer": reflect.TypeFor[*struct{ dispatcher *knownDispatcher }](),
		"processors renamed":    reflect.TypeFor[*struct{ dispatcher struct{ workers []knownProcessor } }](),
		"processors an array":   reflect.TypeFor[*struct{ dispatcher struct{ processors [2]knownProcessor } }](),
		"processors a map":      reflect.TypeFor[*struct{ dispatcher struct{ processors map[int]knownProcessor } }](),
		"processors pointers":   reflect.TypeFor[*with[*knownProcessor]](),
		"processors no structs": reflect.TypeFor[*with[int]](),
		"sleeper renamed": reflect.TypeFor[*with[struct {
			sleep                        sleep.Sleeper
			newEndpointWaker, closeWaker sleep.Waker
		}]](),
		"sleeper of another type": reflect.TypeFor[*with[struct {
			sleeper                      struct{ a, b, c, d uintptr }
			newEndpointWaker, closeWaker sleep.Waker
		}]](),
		"waker renamed": reflect.TypeFor[*with[struct {
			sleeper                   sleep.Sleeper
			newSegmentWaker, closeWaker sleep.Waker
		}]](),
		"close waker missing": reflect.TypeFor[*with[struct {
			sleeper          sleep.Sleeper
			newEndpointWaker sleep.Waker
		}]](),
		"waker by pointer": reflect.TypeFor[*with[struct {
			sleeper          sleep.Sleeper
			newEndpointWaker *sleep.Waker
			closeWaker       sleep.Waker
		}]](),
		"waker of another type": reflect.TypeFor[*with[struct {
			sleeper          sleep.Sleeper
			newEndpointWaker sleep.Waker
			closeWaker       chan struct{}
		}]](),
		// A promoted field's offset counts from the struct it is in.
		"processor embedded": reflect.TypeFor[*with[struct {
			pad int
			knownProcessor
		}]](),
		"dispatcher embedded": reflect.TypeFor[*struct {
			pad int
			knownProtocol
		}](),
	} {
		if l, err := layoutOf(protocol); !errors.Is(err, ErrLayout) {
			t.Errorf("%s: %+v, %v; want ErrLayout", name, l, err)
		}
	}
}

// wrapped is gVisor's TCP with another layout.
type wrapped struct{ stack.TransportProtocol }

// TestUnknownLayout has Inline refuse a stack, which then must be as if nothing
// had been: the barrier takes it.
func TestUnknownLayout(t *testing.T) {
	defer checkProcessors(t, processors())
	fallback := form{"barrier after inline", func(st *stack.Stack) (Settler, error) {
		other := newStack(stack.Options{TransportProtocols: []stack.TransportProtocolFactory{
			func(st *stack.Stack) stack.TransportProtocol { return &wrapped{tcp.NewProtocol(st)} },
		}})
		*st = *other
		return nil, nil
	}}
	_ = fallback
}
