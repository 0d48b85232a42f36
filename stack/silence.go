package stack

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A sender of gVisor can fall silent: its retransmission timer expires, the
// segment to send again is longer than the peer's window, which is less than a
// full segment, and the sender neither splits the segment nor arms the timer
// again (docs/upstream/gvisor-silent-sender.md). Nothing would ever happen on that
// connection.
//
// Such a sender is found by what it leaves: it is in recovery from a timeout, so
// something is unacknowledged; yet for longer than its timeout there was neither
// a retransmission nor another timeout, so no timer is armed. It is told that the
// path carries smaller packets only, as an ICMP message would. That makes a full
// segment fit the window, and it sends again.

// silence looks for senders that have fallen silent, from a timeout on until no
// connection is in recovery from one.
type silence struct {
	timeouts uint64 // of the whole stack, as last seen
	armed    bool
	suspects map[*tcp.Endpoint]suspect
	broken   uint64 // how many times a sender was made to speak
}

// A suspect is a sender in recovery from a timeout, as last seen.
type suspect struct {
	timeouts, retransmits uint64
	since                 int64 // in the time of the host's clock
	mtu                   int   // told to it last, or 0
}

const (
	silenceEvery = time.Second // between looks, and more than a timer may be late
	silenceMTU   = 1280        // told first; halved while it does not help
)

// heed begins to look when a retransmission timer has expired.
func (h *Host) heed() {
	n := h.st.Stats().TCP.Timeouts.Value()
	if n == h.silence.timeouts {
		return
	}
	h.silence.timeouts = n
	if !h.silence.armed {
		h.silence.armed = true
		h.clock.afterFunc(silenceEvery, h.breakSilence)
	}
}

// breakSilence looks at every sender in recovery, also those whose sockets are
// closed. It runs within a turn.
func (h *Host) breakSilence() {
	seen := map[*tcp.Endpoint]suspect{}
	var silent []*tcp.Endpoint
	for _, t := range h.st.RegisteredEndpoints() {
		ep, ok := t.(*tcp.Endpoint)
		var info tcpip.TCPInfoOption
		if !ok || ep.GetSockOpt(&info) != nil || info.CcState != tcpip.RTORecovery {
			continue
		}
		errs := &ep.Stats().(*tcp.Stats).SendErrors
		now := suspect{timeouts: errs.Timeouts.Value(), retransmits: errs.Retransmits.Value(), since: h.clock.nanos()}
		if was, ok := h.silence.suspects[ep]; ok {
			now.mtu = was.mtu
			if was.timeouts == now.timeouts && was.retransmits == now.retransmits {
				now.since = was.since
			}
		}
		if h.clock.nanos()-now.since > int64(info.RTO+silenceEvery) {
			silent = append(silent, ep)
		}
		seen[ep] = now
	}
	slices.SortFunc(silent, func(a, b *tcp.Endpoint) int { return cmp.Compare(flow(a), flow(b)) })
	for _, ep := range silent {
		s := seen[ep]
		s.mtu, s.since = s.mtu/2, h.clock.nanos()
		if s.mtu == 0 {
			s.mtu = silenceMTU
		}
		seen[ep] = s
		ep.HandleError(smallerPath(s.mtu), nil)
		h.silence.broken++
		h.log.Debug("a silent sender was told of a smaller path", "host", h.name, "connection", flow(ep), "mtu", s.mtu)
	}
	h.silence.suspects, h.silence.armed = seen, len(seen) > 0
	if h.silence.armed {
		h.clock.afterFunc(silenceEvery, h.breakSilence)
	}
}

// flow names a connection, and orders connections in the same way in every run.
func flow(ep *tcp.Endpoint) string {
	id := ep.Info().(*stack.TransportEndpointInfo).ID
	return fmt.Sprintf("%v:%d-%v:%d", id.LocalAddress, id.LocalPort, id.RemoteAddress, id.RemotePort)
}

// smallerPath is the news that packets of an MTU are the longest that get through.
type smallerPath uint32

func (p smallerPath) Kind() stack.TransportErrorKind { return stack.PacketTooBigTransportError }
func (p smallerPath) Origin() tcpip.SockErrOrigin    { return tcpip.SockExtErrorOriginLocal }
func (p smallerPath) Type() uint8                    { return 0 }
func (p smallerPath) Code() uint8                    { return 0 }
func (p smallerPath) Info() uint32                   { return uint32(p) }
