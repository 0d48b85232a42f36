// Package bridge joins a device of package hal to gVisor's netstack. It is the
// only place that knows gVisor's LinkEndpoint, whose method set changes from
// year to year.
//
// A Link never blocks and has no goroutine. Whoever drives it, the turn of a
// host or package gvisorlink, does in a loop:
//
//	l.Receive(64) // device → stack
//	…the stack works, and calls l.WritePackets…
//	l.Flush()     // stack → device
//
// Exactly one copy is made each way between the device's memory and the
// stack's: gVisor cannot borrow foreign memory. On the way the link verifies
// checksums that the device does not vouch for, and cuts super-packets that the
// device does not take.
//
// The trap: WritePackets is called under endpoint locks, where an error means a
// lost segment. So it takes every packet; what the device has no room for waits
// in the backlog, in order, and the owner stops starting new sends while
// Congested says so.
package bridge

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Options of a link. The zero value works.
type Options struct {
	// MTU lowers the device's, in bytes of an IP packet. Zero: the device's.
	MTU int
	// Backlog is the most bytes that wait for a full device. Zero: 8 MiB.
	Backlog int
	// Admit is asked for every packet that could be delivered, after its
	// checksums were verified. A reason that is not empty drops the packet,
	// counted under "rx-" and the reason. Nil admits all.
	Admit func(*offload.Headers) (drop string)
	// Reasons are those of Admit, so that Drops knows them before they occur.
	Reasons []string
}

// Link is a stack.LinkEndpoint and a stack.GSOEndpoint over one device. Receive
// has one caller at a time; WritePackets and Flush may be called from any
// goroutine beside it.
type Link struct {
	dev    hal.Device
	admit  func(*offload.Headers) string
	delays []any // halves that hold packets back

	mtu        atomic.Uint32
	unverified atomic.Bool // of the packet that is being delivered
	mac        atomic.Pointer[tcpip.LinkAddress]

	mu         sync.RWMutex // guards the two below
	dispatcher stack.NetworkDispatcher
	onClose    func()

	rx    receiver
	tx    transmitter
	drops drops
}

var (
	_ stack.LinkEndpoint = (*Link)(nil)
	_ stack.GSOEndpoint  = (*Link)(nil)
)

// MinMTU is the least MTU that IPv4 can work with (RFC 791: 68 bytes).
const MinMTU = header.IPv4MinimumMTU

// New makes the link of a device. The device stays the caller's.
func New(dev hal.Device, opt Options) (*Link, error) {
	info := dev.Info()
	if opt.MTU == 0 {
		opt.MTU = info.MTU
	}
	if opt.MTU < MinMTU || opt.MTU > info.MTU {
		return nil, fmt.Errorf("MTU %d: must be between %d and the device's %d", opt.MTU, MinMTU, info.MTU)
	}
	if opt.Backlog == 0 {
		opt.Backlog = 8 << 20
	}
	l := &Link{dev: dev, admit: opt.Admit}
	l.drops.init(opt.Reasons)
	l.mtu.Store(uint32(opt.MTU))
	l.setMAC(info.MAC)
	for i := range info.Queues {
		rx, tx, err := dev.Queue(i)
		if err != nil {
			return nil, err
		}
		l.rx.queues = append(l.rx.queues, rx)
		for _, half := range []any{rx, tx} {
			if _, ok := hal.As[hal.Pending](half); ok {
				l.delays = append(l.delays, half)
			}
		}
		if i == 0 {
			l.tx.queue = tx // one owner, one stream of packets: one queue keeps their order
		}
	}
	l.rx.init(info)
	l.tx.init(info, opt.Backlog)
	return l, nil
}

func (l *Link) setMAC(mac hal.MAC) {
	a := tcpip.LinkAddress(mac[:])
	l.mac.Store(&a)
}

// Device returns the device of the link.
func (l *Link) Device() hal.Device { return l.dev }

// MTU implements stack.LinkEndpoint.
func (l *Link) MTU() uint32 { return l.mtu.Load() }

// SetMTU implements stack.LinkEndpoint.
func (l *Link) SetMTU(mtu uint32) { l.mtu.Store(mtu) }

// MaxHeaderLength implements stack.LinkEndpoint.
func (*Link) MaxHeaderLength() uint16 { return hal.EthernetHeaderLen }

// LinkAddress implements stack.LinkEndpoint.
func (l *Link) LinkAddress() tcpip.LinkAddress { return *l.mac.Load() }

// SetLinkAddress implements stack.LinkEndpoint.
func (l *Link) SetLinkAddress(a tcpip.LinkAddress) { l.mac.Store(&a) }

// Capabilities implements stack.LinkEndpoint. Received checksums are ours to
// verify, but for those of fragments: the transport's can only be verified by
// the stack, once it has put them together. It asks for the capabilities with
// every packet, so they can speak of that packet.
//
// Transmit checksums are left to gVisor except in super-packets, where it leaves
// them blank by itself: with the capability it would leave them blank in packets
// that carry no word of it.
func (l *Link) Capabilities() stack.LinkEndpointCapabilities {
	if l.unverified.Load() {
		return stack.CapabilityResolutionRequired
	}
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

// GSOMaxSize implements stack.GSOEndpoint.
func (*Link) GSOMaxSize() uint32 { return 65535 }

// SupportedGSO implements stack.GSOEndpoint. Super-packets are wanted whatever
// the device: where it does not take them, cutting them here still spares the
// stack its work per segment.
func (*Link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// Attach implements stack.LinkEndpoint. The stack calls it with its own lock
// held.
func (l *Link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatcher = d
}

// IsAttached implements stack.LinkEndpoint.
func (l *Link) IsAttached() bool { return l.attached() != nil }

func (l *Link) attached() stack.NetworkDispatcher {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher
}

// Wait implements stack.LinkEndpoint. There is no goroutine to wait for.
func (*Link) Wait() {}

// ARPHardwareType implements stack.LinkEndpoint.
func (*Link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.LinkEndpoint.
func (l *Link) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: l.LinkAddress(),
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.LinkEndpoint.
func (*Link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// SetOnCloseAction implements stack.LinkEndpoint.
func (l *Link) SetOnCloseAction(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onClose = f
}

// Close implements stack.LinkEndpoint: the interface has been removed. The
// device stays open; it is not the stack's.
func (l *Link) Close() {
	l.mu.Lock()
	f := l.onClose
	l.onClose = nil
	l.mu.Unlock()
	if f != nil {
		f()
	}
}

// Pending returns when the device has to be looked at although nothing arrives
// and nothing is sent: a layer of it delays packets. See hal.Pending.
func (l *Link) Pending() (at time.Time, ok bool) {
	for _, half := range l.delays {
		if t, has := hal.PendingOf(half); has && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

// drops counts packets that the bridge lost, by reason.
type drops struct {
	mu sync.Mutex
	n  map[string]uint64
}

func (d *drops) init(admission []string) {
	d.n = map[string]uint64{
		"rx-malformed": 0, "rx-other-host": 0, "rx-bad-checksum": 0,
		"tx-malformed": 0, "tx-backlog-full": 0, "tx-device-gone": 0, "tx-closed": 0,
	}
	for _, reason := range admission {
		d.n["rx-"+reason] = 0
	}
}

func (d *drops) add(reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n[reason]++
}

// Drops returns how many packets the bridge itself lost, by reason, beside
// what the device lost.
func (l *Link) Drops() map[string]uint64 {
	l.drops.mu.Lock()
	defer l.drops.mu.Unlock()
	m := make(map[string]uint64, len(l.drops.n))
	for reason, n := range l.drops.n {
		m[reason] = n
	}
	return m
}
