package settle

import (
	"fmt"
	"runtime"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// form is a way to settle.
type form struct {
	name string
	make func(*stack.Stack) (Settler, error)
	tcp  stack.TransportProtocolFactory
}

// forms have to stand the same tests.
var forms = []form{
	{"inline", Inline, tcp.NewProtocol},
	{"barrier", func(st *stack.Stack) (Settler, error) { return Barrier(st), nil }, tcp.NewProtocol},
}

func forEachForm(t *testing.T, f func(t *testing.T, form form)) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) { f(t, form) })
	}
}

// withProcs runs a test with a number of Ps, which is also how many processors a
// new stack has.
func withProcs(t *testing.T, procs int, f func(t *testing.T)) {
	t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		f(t)
	})
}
