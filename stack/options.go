package stack

import (
	"math"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// applies reports whether a socket has an option: those of TCP only its sockets,
// and those of groups only the others.
func (s *socket) applies(o api.Option) bool {
	switch o.(type) {
	case api.NoDelay, api.KeepAlive, api.MaxSegment, api.Congestion, api.RACK, api.PushCompletion:
		return s.network.Stream()
	case api.MulticastTTL, api.Broadcast:
		return !s.network.Stream()
	}
	return true
}

func (s *socket) setOption(o api.Option) error {
	if !s.applies(o) {
		return syscall.ENOPROTOOPT
	}
	so := s.ep.SocketOptions()
	switch o := o.(type) {
	case api.NoDelay:
		so.SetDelayOption(!bool(o))
	case api.KeepAlive:
		return s.setKeepAlive(o)
	case api.Linger:
		so.SetLinger(tcpip.LingerOption{Enabled: o >= 0, Timeout: max(time.Duration(o), 0)})
	case api.ReadBuffer:
		so.SetReceiveBufferSize(int64(clampSize(int(o))), true)
	case api.WriteBuffer:
		so.SetSendBufferSize(int64(clampSize(int(o))), true)
	case api.ReuseAddr:
		so.SetReuseAddress(bool(o))
	case api.Broadcast:
		so.SetBroadcast(bool(o))
	case api.TTL:
		if o < 1 || o > 255 {
			return syscall.EINVAL
		}
		if err := s.ep.SetSockOptInt(tcpip.IPv4TTLOption, int(o)); err != nil {
			return errno(err)
		}
		return errno(s.ep.SetSockOptInt(tcpip.IPv6HopLimitOption, int(o)))
	case api.MulticastTTL:
		if o < 0 || o > 255 {
			return syscall.EINVAL
		}
		return errno(s.ep.SetSockOptInt(tcpip.MulticastTTLOption, int(o)))
	case api.MaxSegment:
		return errno(s.ep.SetSockOptInt(tcpip.MaxSegOption, int(o)))
	case api.PushCompletion:
		return s.setCompletion(o)
	case api.Congestion:
		c := tcpip.CongestionControlOption(o)
		return errno(s.ep.SetSockOpt(&c))
	default:
		return syscall.ENOPROTOOPT
	}
	return nil
}

func clampSize(n int) int { return min(max(n, 0), math.MaxInt32) }

func (s *socket) setKeepAlive(k api.KeepAlive) error {
	if k.Idle < 0 || k.Interval < 0 || k.Count < 0 {
		return syscall.EINVAL
	}
	if k.Idle > 0 {
		idle := tcpip.KeepaliveIdleOption(k.Idle)
		if err := s.ep.SetSockOpt(&idle); err != nil {
			return errno(err)
		}
	}
	if k.Interval > 0 {
		interval := tcpip.KeepaliveIntervalOption(k.Interval)
		if err := s.ep.SetSockOpt(&interval); err != nil {
			return errno(err)
		}
	}
	if k.Count > 0 {
		if err := s.ep.SetSockOptInt(tcpip.KeepaliveCountOption, k.Count); err != nil {
			return errno(err)
		}
	}
	s.ep.SocketOptions().SetKeepAlive(k.On)
	return nil
}

func (s *socket) option(o api.Option) (api.Option, error) {
	if !s.applies(o) {
		return o, syscall.ENOPROTOOPT
	}
	so := s.ep.SocketOptions()
	number := func(opt tcpip.SockOptInt) (int, error) {
		n, err := s.ep.GetSockOptInt(opt)
		return n, errno(err)
	}
	switch o := o.(type) {
	case api.NoDelay:
		return api.NoDelay(!so.GetDelayOption()), nil
	case api.KeepAlive:
		return s.keepAlive()
	case api.Linger:
		if l := so.GetLinger(); l.Enabled {
			return api.Linger(l.Timeout), nil
		}
		return api.Linger(-1), nil
	case api.ReadBuffer:
		return api.ReadBuffer(so.GetReceiveBufferSize()), nil
	case api.WriteBuffer:
		return api.WriteBuffer(so.GetSendBufferSize()), nil
	case api.ReuseAddr:
		return api.ReuseAddr(so.GetReuseAddress()), nil
	case api.Broadcast:
		return api.Broadcast(so.GetBroadcast()), nil
	case api.TTL:
		n, err := number(tcpip.IPv4TTLOption)
		return api.TTL(n), err
	case api.MulticastTTL:
		n, err := number(tcpip.MulticastTTLOption)
		return api.MulticastTTL(n), err
	case api.MaxSegment:
		n, err := number(tcpip.MaxSegOption)
		return api.MaxSegment(n), err
	case api.Congestion:
		var c tcpip.CongestionControlOption
		err := s.ep.GetSockOpt(&c)
		return api.Congestion(c), errno(err)
	case api.PushCompletion:
		return s.completion(), nil
	case api.RACK: // set for all sockets, by Config.RACK
		var r tcpip.TCPRecovery
		err := s.h.st.TransportProtocolOption(tcp.ProtocolNumber, &r)
		return api.RACK(r&tcpip.TCPRACKLossDetection != 0), errno(err)
	default:
		return o, syscall.ENOPROTOOPT
	}
}

func (s *socket) keepAlive() (api.Option, error) {
	var idle tcpip.KeepaliveIdleOption
	var interval tcpip.KeepaliveIntervalOption
	if err := s.ep.GetSockOpt(&idle); err != nil {
		return nil, errno(err)
	}
	if err := s.ep.GetSockOpt(&interval); err != nil {
		return nil, errno(err)
	}
	count, err := s.ep.GetSockOptInt(tcpip.KeepaliveCountOption)
	return api.KeepAlive{
		On:       s.ep.SocketOptions().GetKeepAlive(),
		Idle:     time.Duration(idle),
		Interval: time.Duration(interval),
		Count:    count,
	}, errno(err)
}
