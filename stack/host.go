package stack

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack/internal/settle"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A Host is one network stack with its addresses, routes and devices. It
// executes the ops of package api, and all of its methods are safe for
// concurrent use.
//
// Everything inside is done in turns (see the package comment). Fields below
// turn are touched by its holder only.
type Host struct {
	name   string
	log    *slog.Logger
	limits Limits
	st     *stack.Stack
	settle settle.Settler
	clock  *clock

	interfaces []*iface
	sleeper    hal.Sleeper
	role       role
	owned      chan struct{} // closed when the background owner has ended
	ended      chan struct{} // closed when Close is through

	mailbox   mailbox
	ready     readyList
	received  atomic.Bool // the devices are to be looked at
	waiting   atomic.Bool // packets wait for a device to become writable
	neighbors neighbors
	readiness readiness
	leases    leases
	acks      acks
	silence   silence
	drain     drain
	changed   atomic.Bool // the network has said something that reconfigure has to see to

	turn    sync.Mutex
	turns   atomic.Uint64
	tasks   []task    // being executed
	spare   []*socket // for ready
	stalled []*socket // with writes that wait for the transmit backlog
	closed  bool
	numbers uint64
	sockets map[uint64]*socket
	lingers api.OpList // closes that wait
	peers   peers
	sink    sink              // of the read under way
	source  source            // of the write under way
	to      tcpip.FullAddress // of the write under way
	routes  []tcpip.Route     // those that were configured
}

var (
	_ api.Transport = (*Host)(nil)
	_ api.Driver    = (*Host)(nil)
)

// New makes a host and takes its devices over: it closes them when it is closed,
// also if New fails. Addresses of IPv6 take about a second to be checked for
// duplicates, and those from the network come later still; see Ready.
func New(cfg Config) (*Host, error) {
	h, err := newHost(cfg)
	if err != nil {
		for _, i := range cfg.Interfaces {
			if i.Device != nil {
				err = errors.Join(err, i.Device.Close())
			}
		}
		return nil, err
	}
	return h, nil
}

func newHost(cfg Config) (*Host, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	devices := make([]hal.Device, len(cfg.Interfaces))
	for i := range cfg.Interfaces {
		devices[i] = cfg.Interfaces[i].Device
	}
	sleeper, err := hal.NewSleeper(devices...)
	if err != nil {
		return nil, err
	}
	h := &Host{
		name: cfg.Name, log: cfg.Logger, limits: cfg.Limits, sleeper: sleeper,
		owned: make(chan struct{}), ended: make(chan struct{}), sockets: map[uint64]*socket{},
	}
	h.role.init()
	h.readiness.init()
	now := time.Now
	if cfg.Sim != nil {
		now = cfg.Sim.Now
	}
	h.clock = newClock(now, sleeper.Wake)
	if err := h.build(cfg); err != nil {
		h.shut()
		h.st.Wait()
		return nil, errors.Join(err, sleeper.Close())
	}
	if cfg.Sim != nil {
		close(h.owned) // the simulation drives
	} else {
		go h.own()
	}
	return h, nil
}

// Name returns the name of the host.
func (h *Host) Name() string { return h.name }

// do runs f within a turn, and settles and sends what it caused.
func (h *Host) do(f func()) {
	h.turn.Lock()
	f()
	h.settle.Settle()
	h.flush()
	h.checkDrain()
	h.turn.Unlock()
	h.help()
}

// fail notes that a device has failed: it is not asked again, connections over
// it will time out, and operators are told. It is closed, since nobody will receive
// what it still has: its descriptor would wake the sleeper for ever.
func (h *Host) fail(i *iface, err error) {
	i.failed = err
	if closing := i.dev.Close(); closing != nil {
		h.log.Warn("failed device", "host", h.name, "interface", i.name, "err", closing)
	}
	h.log.Error("device failed", "host", h.name, "interface", i.name, "err", err)
	if !slices.ContainsFunc(h.interfaces, func(i *iface) bool { return i.failed == nil }) {
		h.abort(fmt.Errorf("%w: %s: %w", syscall.ENETDOWN, i.name, err))
	}
}

// abort ends every op and every connection, with ENETDOWN and the device's own
// words: there is no device left to carry them.
func (h *Host) abort(err error) {
	var numbers []uint64
	for n := range h.sockets {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		h.sockets[n].abort(err)
	}
	for op := range h.lingers.All() {
		op.Sock.(*socket).ep.Abort() // which ends its close
	}
	for _, s := range h.peers.closing {
		s.ep.Abort() // nobody would ever acknowledge what it sends
	}
}

// Done returns a channel that is closed when the host has been.
func (h *Host) Done() <-chan struct{} { return h.ended }

// Close ends the host: pending ops complete with net.ErrClosed, connections are
// reset, leases are given back, the devices are closed. When it returns no
// goroutine of the host is left. It is idempotent.
func (h *Host) Close() error {
	h.turn.Lock()
	if h.closed {
		h.turn.Unlock()
		<-h.ended
		return nil
	}
	h.closed = true
	h.shut()
	h.turn.Unlock()

	h.role.close() // from here on, who posts sees to it
	h.turn.Lock()
	for h.mailbox.count.Load() > 0 {
		h.runTasks()
	}
	h.turn.Unlock()
	h.help()
	err := h.sleeper.Close()
	<-h.owned
	h.st.Wait()
	for _, i := range h.interfaces {
		i.link.Discard()
		err = errors.Join(err, i.dev.Close())
	}
	h.clock.clear()
	close(h.ended)
	return err
}

// shut closes sockets and stack, in the order of their numbers, so that the
// same run ends in the same way, and sends the resets. Connections that are over
// but for our leave to forget them are not reset: it would only tell a peer that
// has yet to read the end that there was none.
func (h *Host) shut() {
	for _, n := range slices.Sorted(maps.Keys(h.sockets)) {
		s := h.sockets[n]
		if !s.network.Stream() || s.busy() {
			s.ep.Abort()
		}
		s.close()
	}
	h.endLingers(net.ErrClosed)
	for _, s := range h.peers.closing {
		if s.busy() {
			s.ep.Abort()
		}
	}
	for _, e := range h.st.RegisteredEndpoints() {
		if t, ok := e.(*tcp.Endpoint); ok && !isOver(t.EndpointState()) {
			t.Abort() // not ours, but made through package gvisorlink
		}
	}
	for _, i := range h.interfaces {
		if i.dhcp != nil {
			i.dhcp.stop()
		}
	}
	h.leases.set(nil)
	h.changed.Store(false)
	h.settle.Settle()
	h.settle.Close()
	h.settle = unsettled{}
	h.flush()
	for _, i := range h.interfaces {
		i.link.Discard()
	}
	h.st.Close()
}
