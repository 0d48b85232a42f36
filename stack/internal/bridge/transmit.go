package bridge

import (
	"sync"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// transmitter is the transmitting side of a link: packets on their way from the
// stack into device frames.
//
// It is three stages, emptied from the end: filled frames that wait for Tx, the
// packet that is being cut, and the backlog of whole packets behind it. While a
// later stage is not empty nothing overtakes it.
type transmitter struct {
	mu    sync.Mutex // a leaf: nothing of the stack is called with it held
	queue hal.TxQueue
	can   hal.Offload
	max   int // longest super-frame the device takes

	out   []hal.Frame // filled frames for Tx, whole chains
	dirty bool        // Tx has taken frames since the last doorbell
	holds bool        // the half holds packets back and sends them when it is flushed
	chain []hal.Frame // scratch for one packet

	// The packet at the head. cut.More says whether there is one. held keeps
	// its memory from one call to the next.
	cut    offload.Cutter
	pieces [][]byte
	held   *stack.PacketBuffer

	backlog []*stack.PacketBuffer // in order; backlog[:first] is gone
	first   int
	bytes   int // in the backlog and the head packet
	limit   int

	err  error // what ended the device
	over bool  // Discard was called
}

// burst is how many frames are collected before they are given to Tx.
const burst = 64

func (t *transmitter) init(info hal.Info, limit int) {
	t.can, t.max, t.limit = info.TxOffloads, info.GSOMax, limit
	_, t.holds = hal.As[hal.Pending](t.queue)
	t.out = make([]hal.Frame, 0, burst+info.MaxChain)
	t.chain = make([]hal.Frame, info.MaxChain)
}

// WritePackets implements stack.LinkWriter. It takes every packet, in order,
// never blocks, and sends nothing by itself: see Flush.
func (l *Link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	t := &l.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pkt := range pkts.AsSlice() {
		switch {
		case t.err != nil:
			l.drops.add("tx-device-gone")
		case t.over:
			l.drops.add("tx-closed")
		case t.waiting():
			l.enqueue(pkt)
		case !t.begin(l, pkt):
		case !t.fill():
			t.held = pkt.IncRef() // half cut, maybe: it goes on from where it stands
			t.bytes += pkt.Size()
		case t.err != nil:
			l.drops.add("tx-device-gone")
		}
	}
	return pkts.Len(), nil
}

// waiting reports whether packets wait for the device, so that a new one has
// to queue up behind them.
func (t *transmitter) waiting() bool { return t.cut.More() || t.first < len(t.backlog) }

// begin makes pkt the packet at the head. It returns false if the packet cannot
// be sent at all, in which case it has been counted as a drop and no packet is
// at the head.
func (t *transmitter) begin(l *Link, pkt *stack.PacketBuffer) bool {
	t.pieces = pieces(t.pieces[:0], pkt)
	m := meta(pkt)
	can := t.can
	if m.GSO != hal.GSONone && pkt.Size() > t.max {
		can &^= hal.TSO4 | hal.TSO6 | hal.USO
	}
	if err := t.cut.Reset(t.pieces, m, can); err != nil {
		l.drops.add("tx-malformed")
		return false
	}
	return true
}

// fill moves the packet at the head into device frames and reports whether it
// is all there.
func (t *transmitter) fill() bool {
	for t.cut.More() {
		n, err := t.queue.Alloc(t.chain, t.cut.Len())
		if n == 0 && err == nil && t.push() {
			// The device may have been full of our own unsent frames.
			n, err = t.queue.Alloc(t.chain, t.cut.Len())
		}
		if err != nil {
			t.err, t.cut = err, offload.Cutter{}
			return true
		}
		if n == 0 {
			return false
		}
		t.cut.Next(t.chain[:n])
		t.out = append(t.out, t.chain[:n]...)
		if len(t.out) >= burst {
			t.push()
		}
	}
	return true
}

// push gives filled frames to the device and rings. It reports whether that may
// have made room.
func (t *transmitter) push() bool {
	if len(t.out) > 0 {
		n, err := t.queue.Tx(t.out)
		t.dirty = t.dirty || n > 0
		t.out = t.out[:copy(t.out, t.out[n:])]
		if err != nil {
			t.err = err
		}
	}
	if !t.dirty && !t.holds {
		return false
	}
	t.dirty = false
	if err := t.queue.Flush(); err != nil {
		t.err = err
	}
	return true
}

// enqueue puts a packet behind those that wait already.
func (l *Link) enqueue(pkt *stack.PacketBuffer) {
	t := &l.tx
	size := pkt.Size()
	if t.bytes+size > t.allowance(pkt) {
		l.drops.add("tx-backlog-full")
		return
	}
	t.bytes += size
	if t.first > 0 && len(t.backlog) == cap(t.backlog) {
		n := copy(t.backlog, t.backlog[t.first:])
		clear(t.backlog[n:])
		t.backlog, t.first = t.backlog[:n], 0
	}
	t.backlog = append(t.backlog, pkt.IncRef())
}

// allowance is how far the backlog may grow for pkt. What the peer makes us say
// again, or what only answers it, is dropped first: pure ACKs, resets, ICMP.
func (t *transmitter) allowance(pkt *stack.PacketBuffer) int {
	if pkt.Data().Size() == 0 || pkt.TransportProtocolNumber == header.ICMPv4ProtocolNumber ||
		pkt.TransportProtocolNumber == header.ICMPv6ProtocolNumber {
		return t.limit
	}
	return t.limit + t.limit/4
}

// Flush moves what it can of the backlog to the device and rings the doorbell.
// It reports whether packets still wait for the device to become writable, and
// fails if the device does.
func (l *Link) Flush() (waiting bool, err error) {
	t := &l.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.err == nil && t.waiting() {
		if !t.cut.More() {
			pkt := t.backlog[t.first]
			t.backlog[t.first] = nil
			t.first++
			t.held = pkt
			if !t.begin(l, pkt) {
				t.drop()
				continue
			}
		}
		if !t.fill() {
			break
		}
		t.drop()
	}
	if t.first == len(t.backlog) {
		t.backlog, t.first = t.backlog[:0], 0
	}
	t.push()
	return t.err == nil && (t.waiting() || len(t.out) > 0), t.err
}

// drop lets go of the packet at the head, which has been sent or cannot be.
func (t *transmitter) drop() {
	t.bytes -= t.held.Size()
	t.held.DecRef()
	t.held = nil
}

// Backlog returns how many bytes wait for the device.
func (l *Link) Backlog() int {
	l.tx.mu.Lock()
	defer l.tx.mu.Unlock()
	return l.tx.bytes
}

// lowMark is the backlog, in bytes, above which no new send should start: one
// super-packet.
const lowMark = 64 << 10

// Congested reports whether so much waits for the device that no new send
// should start. That, and not a drop, is the back-pressure.
func (l *Link) Congested() bool { return l.Backlog() > lowMark }

// Discard drops what waits for the device, counted, gives unsent frames back, and
// drops all that is written from then on. It comes before the device is closed,
// and may be called more than once.
func (l *Link) Discard() {
	t := &l.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	if t.held != nil {
		t.drop()
		l.drops.add("tx-closed")
	}
	t.cut = offload.Cutter{}
	for _, pkt := range t.backlog[t.first:] {
		pkt.DecRef()
		l.drops.add("tx-closed")
	}
	t.backlog, t.first, t.bytes = nil, 0, 0
	t.queue.Release(t.out)
	t.out = t.out[:0]
}

// pieces appends the contiguous pieces of a packet. The first holds all headers:
// the stack builds them in one view.
func pieces(to [][]byte, pkt *stack.PacketBuffer) [][]byte {
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		to = append(to, b[skip:])
		skip = 0
	}
	return to
}

// meta translates gVisor's word on a packet.
func meta(pkt *stack.PacketBuffer) hal.Meta {
	o := pkt.GSOOptions
	if o.Type == stack.GSONone || !o.NeedsCsum {
		return hal.Meta{}
	}
	m := hal.Meta{
		NeedsCsum:  true,
		CsumStart:  hal.EthernetHeaderLen + o.L3HdrLen,
		CsumOffset: o.CsumOffset,
	}
	if pkt.Data().Size() <= int(o.MSS) {
		return m // a single segment with a blank checksum
	}
	m.GSOSize = o.MSS
	m.HdrLen = uint16(pkt.HeaderSize())
	m.GSO = hal.GSOTCP4
	if o.Type == stack.GSOTCPv6 {
		m.GSO = hal.GSOTCP6
	}
	return m
}
