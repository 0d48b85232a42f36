package stack

import (
	"io"
	"net"
	"net/netip"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// socket is one endpoint of gVisor with the ops that wait for it. It is touched
// within turns only, but for NotifyEvent and queued.
type socket struct {
	h       *Host
	number  uint64
	network api.Network
	ep      tcpip.Endpoint
	wq      *waiter.Queue
	entry   waiter.Entry

	reads, writes, accepts, connects api.OpList

	passive netip.Addr // of an accepted connection: the peer, for the limits
	joined  map[membership]bool
	peer    netip.Addr // of a connected datagram socket
	dialed  bool       // a handshake has been started, and no connect has told yet how it went
	failure error      // what ended the socket while it was open: its device is gone
	linked  bool       // a stream that is, or was, connected
	shut    api.Shut   // the directions that were shut down
	stalled bool       // in h.stalled: writes wait for the transmit backlog
	queued  bool       // in h.ready; guarded by its lock
	closed  bool
	writing writing
	ledger  *ledger // of a stream whose writes wait for acknowledgements
	linger  lingering
}

var _ api.Socket = (*socket)(nil)

// Number implements api.Socket.
func (s *socket) Number() uint64 { return s.number }

// NotifyEvent implements waiter.EventListener. gVisor calls it under locks of
// the endpoint: it only takes note.
func (s *socket) NotifyEvent(waiter.EventMask) { s.h.ready.add(s) }

// adopt makes the socket of an endpoint.
func (h *Host) adopt(n api.Network, ep tcpip.Endpoint, wq *waiter.Queue) *socket {
	h.numbers++
	s := &socket{h: h, number: h.numbers, network: n, ep: ep, wq: wq}
	s.entry.Init(s, waiter.ReadableEvents|waiter.WritableEvents|waiter.EventErr|waiter.EventHUp)
	wq.EventRegister(&s.entry)
	h.sockets[s.number] = s
	return s
}

// open executes api.KindSocket.
func (h *Host) open(op *api.Op) {
	transport, network := udp.ProtocolNumber, ipv6.ProtocolNumber
	switch op.Network {
	case api.TCP, api.TCP4, api.TCP6:
		transport = tcp.ProtocolNumber
	case api.UDP, api.UDP4, api.UDP6:
	case api.ICMP4:
		transport = icmp.ProtocolNumber4
	case api.ICMP6:
		transport = icmp.ProtocolNumber6
	default:
		finish(op, syscall.EAFNOSUPPORT)
		return
	}
	switch op.Network {
	case api.TCP4, api.UDP4, api.ICMP4:
		network = ipv4.ProtocolNumber
	}
	wq := new(waiter.Queue)
	ep, err := h.st.NewEndpoint(transport, network, wq)
	if err != nil {
		finish(op, errno(err))
		return
	}
	ep.SocketOptions().SetV6Only(op.Network == api.TCP6 || op.Network == api.UDP6)
	op.NewSock = h.adopt(op.Network, ep, wq)
	finish(op, nil)
}

// serve lets waiting ops get on, each list from its head until one has to wait.
func (s *socket) serve() {
	if s.closed {
		s.lingered()
		return
	}
	if s.failure != nil {
		return
	}
	s.established()
	s.progress(&s.connects, s.connected)
	s.progress(&s.accepts, s.accept)
	s.progress(&s.reads, s.read)
	s.progress(&s.writes, s.write)
	s.acknowledge()
}

// progress tries the ops of a list in order and completes those that are done.
func (s *socket) progress(l *api.OpList, try func(*api.Op) (done bool)) {
	for op := l.Front(); op != nil && !s.closed; op = l.Front() {
		if !try(op) {
			return
		}
		l.Pop()
		s.complete(op)
	}
}

// complete ends an op that has done what it can.
func (s *socket) complete(op *api.Op) {
	if op.Kind == api.KindWrite {
		s.written(op)
		return
	}
	op.Complete()
}

// start tries an op at once if none of its list waits before it, and parks it
// otherwise.
func (s *socket) start(l *api.OpList, op *api.Op, try func(*api.Op) (done bool)) {
	if l.Len() == 0 && try(op) {
		s.complete(op)
		return
	}
	l.Push(op)
}

func (s *socket) read(op *api.Op) bool {
	if s.listening() {
		op.Err = syscall.ENOTCONN
		return true
	}
	size, err := s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	if err == nil && size == 0 && s.network.Stream() {
		// It is asked for its state only. With Config.Foreign bytes may come
		// meanwhile: a peek leaves them where they are.
		_, err = s.ep.Read(io.Discard, tcpip.ReadOptions{Peek: true})
		if err == nil {
			size, err = s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
		}
	}
	var res tcpip.ReadResult
	if err == nil {
		if op.Max > 0 {
			size = min(size, op.Max)
		}
		s.h.sink = sink{op: op, bufs: op.Bufs, limit: size}
		res, err = s.ep.Read(&s.h.sink, tcpip.ReadOptions{NeedRemoteAddr: !s.network.Stream()})
		s.h.sink = sink{}
	}
	switch err.(type) {
	case nil:
	case *tcpip.ErrWouldBlock:
		if s.linked && s.shut&api.ShutRead != 0 {
			op.EOF = true
			s.shutBoth()
		}
		return op.EOF
	case *tcpip.ErrClosedForReceive:
		if s.network.Stream() && !s.linked { // it never began
			op.Err = syscall.ENOTCONN
			return true
		}
		op.EOF = true
		return true
	case *tcpip.ErrBadBuffer: // nothing fit: the buffers are empty
		return true
	default:
		op.Err = errno(err)
		return true
	}
	op.N = res.Count
	if s.network.Stream() {
		s.ep.ModerateRecvBuf(res.Count)
		return true
	}
	op.Truncated = res.Total > res.Count
	op.From = addrPort(res.RemoteAddr)
	return true
}

func (s *socket) accept(op *api.Op) bool {
	// Who has connected and reset since is asked here only, not by names.
	var peer tcpip.FullAddress
	ep, wq, err := s.ep.Accept(&peer)
	switch err.(type) {
	case nil:
	case *tcpip.ErrWouldBlock:
		return false
	default:
		op.Err = errno(err)
		return true
	}
	n := s.h.adopt(s.network, ep, wq)
	n.linked = true
	op.NewSock = n
	n.names(op)
	op.Peer = addrPort(peer)
	n.passive = op.Peer.Addr()
	s.h.peers.add(n.passive)
	if s.ledger != nil {
		n.follow()
	}
	return true
}

// names fills in the addresses of the socket.
func (s *socket) names(op *api.Op) {
	if a, err := s.ep.GetLocalAddress(); err == nil {
		op.Local = s.name(a)
	}
	if a, err := s.ep.GetRemoteAddress(); err == nil {
		op.Peer = s.name(a)
	}
}

// name translates an address of the socket. A socket that is bound to no
// address in particular shows the wildcard of its family.
func (s *socket) name(a tcpip.FullAddress) netip.AddrPort {
	ap := addrPort(a)
	if !ap.Addr().IsValid() {
		any := netip.IPv6Unspecified()
		if s.network == api.TCP4 || s.network == api.UDP4 || s.network == api.ICMP4 {
			any = netip.IPv4Unspecified()
		}
		ap = netip.AddrPortFrom(any, a.Port)
	}
	return ap
}

// listening reports whether the socket is a listener.
func (s *socket) listening() bool {
	return s.network.Stream() && tcp.EndpointState(s.ep.State()) == tcp.StateListen
}

// close ends the ops that wait and then the endpoint, which goes on in the
// background to send what was accepted.
func (s *socket) close() {
	s.closed = true
	s.end(net.ErrClosed)
	s.wq.EventUnregister(&s.entry)
	s.ep.Close()
	s.leaveAll()
	delete(s.h.sockets, s.number)
	if s.ledger != nil {
		s.unfollow()
	}
	if s.linked || s.dialed {
		s.h.peers.close(s)
	}
}

// abort ends the ops that wait, and all later ones but a close, with err.
func (s *socket) abort(err error) {
	s.failure = err
	s.end(err)
	s.ep.Abort()
}

func (s *socket) end(err error) {
	s.writing = writing{}
	s.ledger.fail(err)
	for _, l := range s.lists() {
		for op := l.Pop(); op != nil; op = l.Pop() {
			finish(op, err)
		}
	}
}

// lists returns the lists of waiting ops.
func (s *socket) lists() [4]*api.OpList {
	return [...]*api.OpList{&s.connects, &s.accepts, &s.reads, &s.writes}
}
