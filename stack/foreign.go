package stack

import (
	"net"

	"github.com/ringtail-net/ringtail/stack/internal/bridge"
	"github.com/ringtail-net/ringtail/stack/internal/door"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

func init() {
	door.Enter = func(host any, f func(*stack.Stack)) error { return host.(*Host).enter(f) }
}

// enter calls f within a turn.
func (h *Host) enter(f func(*stack.Stack)) (err error) {
	h.do(func() {
		if h.closed {
			err = net.ErrClosed
			return
		}
		f(h.st)
	})
	return err
}

// foreignLink is the link of a host with Config.Foreign. Packets come from
// goroutines that are in no turn as well, after which nobody would flush: so
// each write does. What the device does not take is left to a turn.
type foreignLink struct {
	*bridge.Link
	h *Host
}

// WritePackets implements stack.LinkWriter.
func (l foreignLink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	n, err := l.Link.WritePackets(pkts)
	waiting, failed := l.Flush()
	if _, delayed := l.Pending(); waiting || delayed || failed != nil {
		l.h.received.Store(true)
		l.h.rouse()
	}
	return n, err
}
