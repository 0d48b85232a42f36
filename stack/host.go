package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack/internal/settle"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
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
	dad       dad
	acks      acks

	turn      sync.Mutex
	turns     atomic.Uint64
	tasks     []task    // being executed
	spare     []*socket // for ready
	stalled   []*socket // with writes that wait for the transmit backlog
	lingering []*lingering
	closed    bool
	numbers   uint64
	sockets   map[uint64]*socket
	peers     peers
	sink      sink              // of the read under way
	source    source            // of the write under way
	to        tcpip.FullAddress // of the write under way
}

var (
	_ api.Transport = (*Host)(nil)
	_ api.Driver    = (*Host)(nil)
)

// New makes a host and takes its devices over: it closes them when it is closed,
// also if New fails. Addresses of IPv6 take about a second to be checked for
// duplicates; see Ready.
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
	h.turn.Unlock()
	h.help()
}

// Ready waits until the host's addresses are known to be its own alone, and can
// be used (duplicate address detection, RFC 4862 section 5.4). It fails if one
// of them belongs to somebody else.
func (h *Host) Ready(ctx context.Context) error {
	select {
	case <-h.dad.done:
		return h.dad.result()
	case <-h.ended:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail notes that a device has failed: it is not asked again, connections over
// it will time out, and operators are told.
func (h *Host) fail(i *iface, err error) {
	i.failed = err
	h.log.Error("device failed", "host", h.name, "interface", i.name, "err", err)
	if !slices.ContainsFunc(h.interfaces, func(i *iface) bool { return i.failed == nil }) {
		h.abort(fmt.Errorf("%s: %w", i.name, err))
	}
}

// abort ends every op and every connection: there is no device left to carry
// them. Reads and writes fail with the errno of the device's failure.
func (h *Host) abort(err error) {
	var numbers []uint64
	for n := range h.sockets {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		h.sockets[n].abort(err)
	}
	h.endLingering(true)
}

// Close ends the host: pending ops complete with net.ErrClosed, connections are
// reset, the devices are closed. When it returns no goroutine of the host is
// left. It is idempotent.
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
	h.help() // ops posted meanwhile

	h.role.close()
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
// same run ends in the same way, and sends the resets.
func (h *Host) shut() {
	var numbers []uint64
	for n := range h.sockets {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		s := h.sockets[n]
		s.ep.Abort()
		s.close()
	}
	h.endLingering(true)
	h.settle.Settle()
	h.settle.Close()
	h.settle = unsettled{}
	h.st.Close()
	h.flush()
}
