package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack"
	"github.com/ringtail-net/ringtail/stack/gvisorlink"
	gvisor "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A misuse is a line of the table in docs/misuse.md: a call that is wrong, or that
// somebody may think wrong, with what comes of it here and elsewhere.
type misuse struct {
	call string // which section it belongs to
	name string // of the case within the section

	demikernel error
	linux      error
	page       string // the manual page linux is from; "": it is measured by TestMisuseOfTheKernel
	ours       error
	late       bool   // ours is in the completion, and the call itself succeeds
	op         string // of the *api.Error; "": call
	bare       bool   // ours is no *api.Error
	why        string // needed where not all are alike

	// run does it, and returns the descriptor that the error should name.
	run func(*world) (api.QD, error)
}

// What else a call can come to than an errno.
var (
	works    error // nil
	errWaits = errors.New("waits")
	errEOF   = errors.New("end of stream")
	errNone  = errors.New("–") // there is no such call

	errCounted = errors.New("counted") // in Stats.Misused, and nothing else
)

func (m *misuse) id() string { return m.call + "/" + m.name }

var misuses = func() (all []misuse) {
	for _, part := range [][]misuse{
		misuseOfSockets, misuseOfListeners, misuseOfConnect, misuseOfPush, misuseOfPop,
		misuseOfClose, misuseOfTokens, misuseOfDrops, misuseOfArrays, misuseOfOptions, misuseOfNames, misuseOfMemory, misuseAfterExit,
	} {
		all = append(all, part...)
	}
	return all
}()

// TestMisuseTable runs the table over a wire in memory.
func TestMisuseTable(t *testing.T) {
	t.Parallel()
	testMisuse(t, func(t *testing.T, _ int) *world {
		device := fmt.Sprintf("loopback:misuse-%d-%d", os.Getpid(), wires.Add(1))
		w := &world{TB: t,
			addr: netip.MustParseAddr("10.0.0.1"),
			peer: netip.MustParseAddr("10.0.0.2"), silent: netip.MustParseAddr("10.0.0.66"), nobody: netip.MustParseAddr("10.0.0.77"),
		}
		w.start(device)
		far := must1(stack.New(stack.Config{Name: "far", Interfaces: []stack.Interface{{
			Device: must1(hal.Open(device)), Addrs: []netip.Prefix{netip.PrefixFrom(w.peer, 24)},
		}}}))
		must(far.Ready(ctx))
		peer := api.New(far, api.Config{Strict: true})
		t.Cleanup(func() { peer.Exit() })
		w.far = peer.Net()
		return w
	})
}

// testMisuse runs every case in a world of its own, which make makes; i numbers
// them.
func testMisuse(t *testing.T, make func(t *testing.T, i int) *world) {
	for i, m := range misuses {
		t.Run(m.id(), func(t *testing.T) {
			t.Parallel()
			w := make(t, i)
			t.Cleanup(w.leaves)
			qd, err := m.run(w)
			m.check(t, w, qd, err)
		})
	}
}

func (m *misuse) check(t *testing.T, w *world, qd api.QD, err error) {
	if !errors.Is(err, m.ours) {
		t.Errorf("got %v, want %s", err, shown(m.ours))
		return
	}
	if w.late != m.late {
		t.Errorf("%v: it was in the completion: %v, want %v", err, w.late, m.late)
	}
	if m.ours == works || m.ours == errWaits || m.ours == errEOF || m.ours == errCounted {
		return
	}
	var e *api.Error
	if isError := errors.As(err, &e); isError == m.bare {
		t.Errorf("%v is an *api.Error: %v, want %v", err, isError, !m.bare)
	} else if isError && (e.Op != m.operation() || e.QD != qd) {
		t.Errorf("%v is about %q and QD %d, want %q and QD %d", e, e.Op, e.QD, m.operation(), qd)
	}
}

func (m *misuse) operation() string {
	if m.op != "" {
		return m.op
	}
	return m.call
}

// A world is what a case happens in: a LibOS with one neighbour, which is another
// LibOS or the kernel.
type world struct {
	testing.TB
	host      *stack.Host
	lib       *api.LibOS
	addr      netip.Addr
	far       farSide
	peer      netip.Addr
	silent    netip.Addr // known to be there, and never answers
	nobody    netip.Addr // of the same link; nobody has it
	late      bool       // the last result was in a completion
	allocated api.SGA    // of alloc; freed at the end
}

// A farSide makes the neighbour's sockets. *api.Net is one.
type farSide interface {
	Listen(network, address string) (net.Listener, error)
	Dial(network, address string) (net.Conn, error)
}

// start makes the LibOS on a device.
func (w *world) start(device string) {
	w.host = must1(stack.New(stack.Config{Interfaces: []stack.Interface{{
		Device:    must1(hal.Open(device)),
		Addrs:     []netip.Prefix{netip.PrefixFrom(w.addr, 24)},
		Neighbors: []stack.Neighbor{{Addr: w.silent, MAC: hal.MAC{2, 0, 0, 0, 0, 66}}},
	}}}))
	must(w.host.Ready(ctx))
	w.lib = api.New(w.host, api.Config{})
}

// leaves checks that misuse has not cost anything.
func (w *world) leaves() {
	w.allocated.Free()
	if err := w.lib.Exit(); err != nil {
		w.Errorf("Exit: %v", err)
	}
	drain(w.lib)
	if s := w.lib.Stats(); s.SGAs != 0 || s.SGABytes != 0 || s.Pending != 0 || s.Unclaimed != 0 {
		w.Errorf("left behind: %+v", s)
	}
}

// result waits for an op, which may not even have begun, and says what came of it.
func (w *world) result(id api.Token, err error) error {
	w.Helper()
	w.late = err == nil
	if err != nil {
		return err
	}
	c := wait(w, w.lib, id)
	c.SGA.Free()
	if c.EOF {
		return errEOF
	}
	return c.Err
}

// before is result of an op that comes before what the case is about.
func (w *world) before(id api.Token, err error) error {
	w.Helper()
	err = w.result(id, err)
	w.late = false
	return err
}

// pending is result of an op that does not end by itself.
func (w *world) pending(id api.Token, err error) error {
	w.Helper()
	if err != nil {
		return err
	}
	must1(w.lib.LocalAddr(must1(w.lib.Socket(api.UDP)))) // ops are executed in order: ours was before
	c, err := w.lib.Wait(ended, id)
	if errors.Is(err, context.Canceled) {
		must(w.lib.Cancel(id))
		if c := wait(w, w.lib, id); !errors.Is(c.Err, syscall.ECANCELED) {
			w.Errorf("after the cancel: %+v", c)
		}
		return errWaits
	}
	c.SGA.Free()
	return fmt.Errorf("it does not wait: %+v, %w", c, errors.Join(c.Err, err))
}

// cancel cancels an op, and reports whether it came in time.
func (w *world) cancel(id api.Token, err error) bool {
	w.Helper()
	must(err)
	must(w.lib.Cancel(id))
	return errors.Is(wait(w, w.lib, id).Err, syscall.ECANCELED)
}

// done is result of an op that prepares something.
func (w *world) done(id api.Token, err error) {
	w.Helper()
	if err := w.before(id, err); err != nil {
		w.Fatal(err)
	}
}

// free returns the address of ours with a port that nobody uses.
func (w *world) free() netip.AddrPort { return netip.AddrPortFrom(w.addr, 0) }

func (w *world) tcp() api.QD  { return must1(w.lib.Socket(api.TCP)) }
func (w *world) tcp4() api.QD { return must1(w.lib.Socket(api.TCP4)) }
func (w *world) tcp6() api.QD { return must1(w.lib.Socket(api.TCP6)) }
func (w *world) udp() api.QD  { return must1(w.lib.Socket(api.UDP)) }

// closed returns the descriptor of a queue that was closed.
func (w *world) closed() api.QD {
	qd := w.tcp()
	must(w.lib.Close(qd))
	return qd
}

// bound returns a socket that is bound to a port of its own.
func (w *world) bound(n api.Network) api.QD {
	qd := must1(w.lib.Socket(n))
	must(w.lib.Bind(qd, w.free()))
	return qd
}

// usePorts leaves no free port that could be chosen.
func (w *world) usePorts() {
	const port = 50_000
	must(gvisorlink.Do(w.host, func(st *gvisor.Stack) {
		if err := st.SetPortRange(port, port); err != nil {
			w.Error(err)
		}
	}))
	for _, n := range []api.Network{api.TCP, api.UDP} {
		must(w.lib.Bind(must1(w.lib.Socket(n)), netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	}
}

// local is the address of a socket of ours.
func (w *world) local(qd api.QD) netip.AddrPort { return must1(w.lib.LocalAddr(qd)) }

func (w *world) listening() api.QD {
	qd := w.bound(api.TCP)
	must(w.lib.Listen(qd, 8))
	return qd
}

// connecting returns a socket whose connect is under way, for long.
func (w *world) connecting() api.QD {
	qd := w.tcp()
	must1(w.lib.Connect(qd, netip.AddrPortFrom(w.silent, 9)))
	return qd
}

// refused returns a socket whose connect was refused.
func (w *world) refused() api.QD {
	qd := w.tcp()
	if err := w.before(w.lib.Connect(qd, w.nothing())); !errors.Is(err, syscall.ECONNREFUSED) {
		w.Fatal(err)
	}
	return qd
}

// nothing is an address of the neighbour where nobody listens.
func (w *world) nothing() netip.AddrPort { return netip.AddrPortFrom(w.peer, 1) }

// connected returns a connection and its far end.
func (w *world) connected() (api.QD, net.Conn) {
	ln := must1(w.far.Listen("tcp4", netip.AddrPortFrom(w.peer, 0).String()))
	defer ln.Close()
	qd := w.tcp()
	w.done(w.lib.Connect(qd, addrPort(ln.Addr())))
	c := must1(ln.Accept())
	w.Cleanup(func() { c.Close() })
	return qd, c
}

// accepted returns a connection that the neighbour began.
func (w *world) accepted() api.QD {
	ln := w.listening()
	accept := must1(w.lib.Accept(ln))
	c := must1(w.far.Dial("tcp4", w.local(ln).String()))
	w.Cleanup(func() { c.Close() })
	return wait(w, w.lib, accept).New
}

// reset returns a connection that the far end has reset, and of which a pop has
// said so.
func (w *world) reset() api.QD {
	qd, c := w.connected()
	must(c.(interface{ SetLinger(int) error }).SetLinger(0))
	c.Close()
	if err := w.before(w.lib.Pop(qd)); !errors.Is(err, syscall.ECONNRESET) {
		w.Fatalf("pop after the reset: %v", err)
	}
	return qd
}

// atEnd returns a connection whose far end has closed, and of which a pop has
// said so.
func (w *world) atEnd() api.QD {
	qd, c := w.connected()
	c.Close()
	if err := w.before(w.lib.Pop(qd)); err != errEOF {
		w.Fatalf("pop after the close: %v", err)
	}
	return qd
}

// alloc returns an array with something in it. It is freed when the case ends.
func (w *world) alloc() api.SGA {
	w.allocated = w.lib.Alloc(5)
	return w.allocated
}

func sga(n int) api.SGA { return api.SGAOf(make([]byte, n)) }
