package bridge

import (
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// receiver is the receiving side of a link. It is its owner's alone.
type receiver struct {
	queues  []hal.RxQueue
	next    int // the queue to start with, so that none starves
	burst   []hal.Frame
	headers offload.Headers // of the packet under way
	cut     offload.Cutter
	pieces  [][]byte

	taker    func(Datagram) // see Take
	port     uint16
	datagram []byte // the memory of the last one
}

// rxBurst is how many frames are asked for at a time.
const rxBurst = 8

func (r *receiver) init(info hal.Info) {
	r.burst = make([]hal.Frame, max(rxBurst, info.MaxChain))
}

// Receive delivers up to about limit received frames to the stack. It reports
// whether there may be more, which is so unless every queue came up empty, and
// fails if the device does.
func (l *Link) Receive(limit int) (more bool, err error) {
	d := l.attached()
	r := &l.rx
	for range r.queues {
		q := r.queues[r.next]
		r.next = (r.next + 1) % len(r.queues)
		for {
			if limit <= 0 {
				return true, nil
			}
			n, err := q.Rx(r.burst)
			if err != nil {
				return false, err
			}
			if n == 0 {
				break
			}
			limit -= n
			for fs := r.burst[:n]; len(fs) > 0; {
				k := hal.ChainLen(fs)
				if d != nil {
					l.deliver(d, fs[:k])
				}
				fs = fs[k:]
			}
			q.Release(r.burst[:n])
		}
	}
	return false, nil
}

// deliver gives one packet to the stack, or drops it.
func (l *Link) deliver(d stack.NetworkDispatcher, chain []hal.Frame) {
	h := &l.rx.headers // here, since Admit would make it escape
	var err error
	if *h, err = offload.Parse(chain[0].Data); err != nil {
		l.drops.add("rx-malformed")
		return
	}
	kind, ours := l.addressed(chain[0].Data)
	if !ours {
		l.drops.add("rx-other-host")
		return
	}
	if h.Version != 0 && offload.Verify(chain) == offload.Bad {
		l.drops.add("rx-bad-checksum")
		return
	}
	if l.take(chain) {
		return
	}
	if l.admit != nil {
		if reason := l.admit(h); reason != "" {
			l.drops.add("rx-" + reason)
			return
		}
	}
	if chain[0].Meta.GSO == hal.GSOUDP {
		l.deliverDatagrams(d, chain, h.EtherType, kind)
		return
	}
	v := buffer.NewView(hal.PacketLen(chain))
	for i := range chain {
		v.Write(chain[i].Data)
	}
	l.unverified.Store(h.Fragment)
	inject(d, v, h.EtherType, kind)
	l.unverified.Store(false)
}

// addressed tells by the destination of a frame what kind of packet it is, and
// whether it is for us.
func (l *Link) addressed(frame []byte) (kind tcpip.PacketType, ours bool) {
	var dst hal.MAC
	copy(dst[:], frame)
	switch {
	case dst == hal.Broadcast:
		return tcpip.PacketBroadcast, true
	case dst.IsMulticast():
		return tcpip.PacketMulticast, true
	}
	return tcpip.PacketHost, string(dst[:]) == string(l.LinkAddress())
}

// deliverDatagrams takes a super-frame of UDP apart: several datagrams are not
// one long one. Super-frames of TCP pass whole; a stream has no boundaries.
func (l *Link) deliverDatagrams(d stack.NetworkDispatcher, chain []hal.Frame, etherType uint16, kind tcpip.PacketType) {
	r := &l.rx
	r.pieces = offload.Frames(chain, r.pieces[:0])
	if err := r.cut.Reset(r.pieces, chain[0].Meta, 0); err != nil {
		l.drops.add("rx-malformed")
		return
	}
	for r.cut.More() {
		v := buffer.NewViewSize(r.cut.Len())
		r.cut.Next([]hal.Frame{hal.NewFrame(v.AsSlice(), 0, v.Size(), 0)})
		inject(d, v, etherType, kind)
	}
}

// inject hands one packet, which starts with its Ethernet header, to the stack.
func inject(d stack.NetworkDispatcher, v *buffer.View, etherType uint16, kind tcpip.PacketType) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	pkt.PktType = kind
	d.DeliverNetworkPacket(tcpip.NetworkProtocolNumber(etherType), pkt)
	pkt.DecRef()
}
