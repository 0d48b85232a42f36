package settle

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"unsafe"

	"gvisor.dev/gvisor/pkg/sleep"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// These stand for gVisor's types as Inline knows them.
type (
	knownProtocol struct {
		_          uintptr
		dispatcher knownDispatcher
	}
	knownDispatcher struct {
		_          int32
		processors []knownProcessor
	}
	knownProcessor struct {
		_                [3]uintptr
		sleeper          sleep.Sleeper
		newEndpointWaker sleep.Waker
		closeWaker       sleep.Waker
		_                bool
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
func with[P any]() reflect.Type {
	return reflect.TypeFor[*struct{ dispatcher struct{ processors []P } }]()
}

func TestLayoutMismatch(t *testing.T) {
	if _, err := layoutOf(with[knownProcessor]()); err != nil {
		t.Fatalf("what the cases below differ from: %v", err)
	}
	for name, protocol := range map[string]reflect.Type{
		"not a pointer":         reflect.TypeFor[knownProtocol](),
		"pointer to no struct":  reflect.TypeFor[*int](),
		"empty":                 reflect.TypeFor[*struct{}](),
		"dispatcher renamed":    reflect.TypeFor[*struct{ dispatch knownDispatcher }](),
		"dispatcher by pointer": reflect.TypeFor[*struct{ dispatcher *knownDispatcher }](),
		"processors renamed": reflect.TypeFor[*struct {
			dispatcher struct{ workers []knownProcessor }
		}](),
		"processors an array": reflect.TypeFor[*struct {
			dispatcher struct{ processors [2]knownProcessor }
		}](),
		"processors a map": reflect.TypeFor[*struct {
			dispatcher struct{ processors map[int]knownProcessor }
		}](),
		"processors pointers":   with[*knownProcessor](),
		"processors no structs": with[int](),
		"sleeper renamed": with[struct {
			sleep                        sleep.Sleeper
			newEndpointWaker, closeWaker sleep.Waker
		}](),
		"sleeper of another type": with[struct {
			sleeper                      struct{ a, b, c, d uintptr }
			newEndpointWaker, closeWaker sleep.Waker
		}](),
		"waker renamed": with[struct {
			sleeper                     sleep.Sleeper
			newSegmentWaker, closeWaker sleep.Waker
		}](),
		"close waker missing": with[struct {
			sleeper          sleep.Sleeper
			newEndpointWaker sleep.Waker
		}](),
		"waker by pointer": with[struct {
			sleeper          sleep.Sleeper
			newEndpointWaker *sleep.Waker
			closeWaker       sleep.Waker
		}](),
		"waker of another type": with[struct {
			sleeper          sleep.Sleeper
			newEndpointWaker sleep.Waker
			closeWaker       chan struct{}
		}](),
		// A promoted field's offset counts from the struct it is in.
		"processor embedded": with[struct {
			_ int
			knownProcessor
		}](),
		"dispatcher embedded": reflect.TypeFor[*struct {
			_ int
			knownProtocol
		}](),
	} {
		if l, err := layoutOf(protocol); !errors.Is(err, ErrLayout) {
			t.Errorf("%s: %+v, %v; want ErrLayout", name, l, err)
		}
	}
}

// wrapped is gVisor's TCP with another layout.
type wrapped struct {
	stack.TransportProtocol
	queuer
}

// queuer is what gVisor's demultiplexer asks for beside TransportProtocol.
type queuer interface {
	QueuePacket(stack.TransportEndpoint, stack.TransportEndpointID, *stack.PacketBuffer)
}

func wrap(st *stack.Stack) stack.TransportProtocol {
	p := tcp.NewProtocol(st)
	return &wrapped{p, p.(queuer)}
}

// TestUnknownLayout has Inline refuse a stack. It must be as if nothing had
// been, so that the barrier can take it.
func TestUnknownLayout(t *testing.T) {
	refused := form{
		name: "barrier after inline",
		tcp:  wrap,
		make: func(st *stack.Stack) (Settler, error) {
			if _, err := Inline(st); !errors.Is(err, ErrLayout) {
				return nil, fmt.Errorf("Inline: %v, want ErrLayout", err)
			}
			return Barrier(st), nil
		},
	}
	w := newWorld(t, refused, 1, 0)
	defer w.close()
	if err := awaitProcessors(2 * runtime.GOMAXPROCS(0)); err != nil {
		t.Errorf("two stacks that Inline has refused: %v", err)
	}
	exchange(t, w, 64<<10)
}

func TestNoTCP(t *testing.T) {
	st := newStack(udp.NewProtocol, stack.Options{})
	defer st.Destroy()
	if _, err := Inline(st); !errors.Is(err, ErrLayout) {
		t.Errorf("Inline of a stack without TCP: %v, want ErrLayout", err)
	}
}
