package stack

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Stats is a snapshot of a host's counters and state. It marshals to JSON.
type Stats struct {
	Host string `json:"host"`
	// Settle is how TCP is processed: "inline", "barrier" or "foreign".
	Settle  string `json:"settle"`
	Turns   uint64 `json:"turns"`
	Sockets int    `json:"sockets"`
	// Waiting counts ops that wait in the host, and Posted those not looked
	// at yet.
	Waiting int `json:"waiting"`
	Posted  int `json:"posted"`
	// Unresolved counts next hops whose link address is being asked for.
	Unresolved int `json:"unresolved"`
	// PeerConns counts connections that peers opened and we have accepted,
	// until their last byte is sent.
	PeerConns int `json:"peer_conns"`

	Interfaces []InterfaceStats `json:"interfaces"`
	Conns      []ConnStats      `json:"conns"`

	TCP TCPStats `json:"tcp"`
	IP  IPStats  `json:"ip"`
	UDP UDPStats `json:"udp"`
}

// InterfaceStats are those of one interface.
type InterfaceStats struct {
	Name      string         `json:"name"`
	Addrs     []netip.Prefix `json:"addrs"` // without the link-local ones that the host makes
	Driver    string         `json:"driver"`
	Mode      string         `json:"mode,omitempty"`
	MAC       string         `json:"mac"`
	MTU       int            `json:"mtu"`
	Link      string         `json:"link"`
	RxPackets uint64         `json:"rx_packets"` // super-frames count once
	RxBytes   uint64         `json:"rx_bytes"`
	TxPackets uint64         `json:"tx_packets"`
	TxBytes   uint64         `json:"tx_bytes"`
	// RxBlank is how many of the received packets had a checksum that their
	// sender left blank, and were accepted by that: see hal.Stats.
	RxBlank uint64 `json:"rx_blank"`
	// Drops counts lost packets by reason, those of the device, of its
	// wrappers and of the host's link together.
	Drops map[string]uint64 `json:"drops"`
	// Backlog is how many bytes wait for the device.
	Backlog   int             `json:"backlog"`
	Neighbors []NeighborStats `json:"neighbors"`
	// DHCP is that of an interface with a DHCP client.
	DHCP    *DHCPStats `json:"dhcp,omitempty"`
	Failure string     `json:"failure,omitempty"`
}

// NeighborStats is a station on an interface's link.
type NeighborStats struct {
	Addr netip.Addr `json:"addr"`
	MAC  string     `json:"mac,omitempty"` // empty: not known yet
	// State is in the words of RFC 4861, section 7.3.2, or "static".
	State string `json:"state"`
}

// ConnStats are those of one socket that is not closed.
type ConnStats struct {
	Socket  uint64         `json:"socket"`
	Network string         `json:"network"`
	Local   netip.AddrPort `json:"local"`
	Peer    netip.AddrPort `json:"peer"`
	State   string         `json:"state,omitempty"` // of TCP, in the words of RFC 9293
	// RecvQueue is how many bytes wait to be read; of a datagram socket those
	// of the first datagram.
	RecvQueue int `json:"recv_queue"`
	// WritePending is how many bytes of pending writes wait for room in the
	// send buffer. What that buffer holds gVisor does not tell.
	WritePending int `json:"write_pending"`

	// The rest is TCP's. Cwnd and Ssthresh count segments.
	RTT         time.Duration `json:"rtt_ns,omitempty"`
	RTTVar      time.Duration `json:"rttvar_ns,omitempty"`
	RTO         time.Duration `json:"rto_ns,omitempty"`
	Cwnd        int           `json:"cwnd,omitempty"`
	Ssthresh    int           `json:"ssthresh,omitempty"`
	SegmentsIn  uint64        `json:"segments_in,omitempty"`
	SegmentsOut uint64        `json:"segments_out,omitempty"`
	Retransmits uint64        `json:"retransmits,omitempty"`
	Timeouts    uint64        `json:"timeouts,omitempty"`
	// QueueDropped counts segments for which the receive buffer had no room,
	// by gVisor's accounting, in which a small segment is charged with more
	// than its bytes.
	QueueDropped uint64 `json:"queue_dropped,omitempty"`
}

// TCPStats are those of all connections since the host was made. Segments of a
// super-packet count once.
type TCPStats struct {
	ActiveOpens    uint64 `json:"active_opens"`
	PassiveOpens   uint64 `json:"passive_opens"`
	FailedOpens    uint64 `json:"failed_opens"`
	Resets         uint64 `json:"resets"`
	SegmentsIn     uint64 `json:"segments_in"`
	SegmentsOut    uint64 `json:"segments_out"`
	Retransmits    uint64 `json:"retransmits"`
	FastRecoveries uint64 `json:"fast_recoveries"`
	Timeouts       uint64 `json:"timeouts"`
	// SilentSenders counts how often a sender was set going again that had
	// data to send and no timer: a fault of gVisor's.
	SilentSenders uint64 `json:"silent_senders"`
	BadSegments   uint64 `json:"bad_segments"`
	BadChecksums  uint64 `json:"bad_checksums"`
}

// IPStats count packets of both families.
type IPStats struct {
	PacketsIn  uint64 `json:"packets_in"`
	PacketsOut uint64 `json:"packets_out"`
	Delivered  uint64 `json:"delivered"`
	Malformed  uint64 `json:"malformed"`
	OutErrors  uint64 `json:"out_errors"`
}

// UDPStats count datagrams.
type UDPStats struct {
	In          uint64 `json:"in"`
	Out         uint64 `json:"out"`
	UnknownPort uint64 `json:"unknown_port"`
	BufferFull  uint64 `json:"buffer_full"`
}

// Stats returns a snapshot. It takes the turn for as long as it reads.
func (h *Host) Stats() Stats {
	s := Stats{Host: h.name, Turns: h.turns.Load(), Posted: int(h.mailbox.count.Load()), Unresolved: h.neighbors.count()}
	h.turn.Lock()
	defer h.help()
	defer h.turn.Unlock()
	s.Settle = h.settle.Name()
	s.Sockets = len(h.sockets)
	h.peers.sweep()
	s.PeerConns = h.peers.total
	s.Waiting = h.lingers.Len()
	s.Conns = make([]ConnStats, 0, len(h.sockets))
	for _, n := range slices.Sorted(maps.Keys(h.sockets)) {
		sock := h.sockets[n]
		s.Conns = append(s.Conns, sock.stats())
		for _, l := range sock.lists() {
			s.Waiting += l.Len()
		}
	}
	for _, i := range h.interfaces {
		st := i.stats()
		st.Neighbors = h.neighborStats(i)
		s.Interfaces = append(s.Interfaces, st)
	}
	h.protocolStats(&s)
	return s
}

func (i *iface) stats() InterfaceStats {
	info, st := i.dev.Info(), hal.StatsOf(i.dev)
	s := InterfaceStats{
		Name: i.name, Addrs: i.prefixes(), Driver: info.Driver, Mode: info.Mode, MAC: info.MAC.String(),
		MTU: int(i.link.MTU()), Link: info.Link.String(),
		RxPackets: st.RxPackets, RxBytes: st.RxBytes, TxPackets: st.TxPackets, TxBytes: st.TxBytes, RxBlank: st.RxBlank,
		Drops: i.link.Drops(), Backlog: i.link.Backlog(),
	}
	for reason, n := range st.Drops {
		s.Drops[reason] += n
	}
	if i.dhcp != nil {
		s.DHCP = i.dhcp.stats()
	}
	if i.failed != nil {
		s.Failure = i.failed.Error()
	}
	return s
}

var neighborStates = [...]string{"unknown", "incomplete", "reachable", "stale", "delay", "probe", "static", "unreachable"}

func (h *Host) neighborStats(i *iface) []NeighborStats {
	list := []NeighborStats{}
	for _, protocol := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
		entries, err := h.st.Neighbors(i.id, protocol)
		if err != nil {
			continue // the interface is without that family
		}
		for _, e := range entries {
			n := NeighborStats{Addr: addr(e.Addr), State: "unknown"}
			if len(e.LinkAddr) > 0 {
				n.MAC = e.LinkAddr.String()
			}
			if int(e.State) < len(neighborStates) {
				n.State = neighborStates[e.State]
			}
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b NeighborStats) int { return a.Addr.Compare(b.Addr) })
	return list
}

func (s *socket) stats() ConnStats {
	c := ConnStats{Socket: s.number, Network: s.network.String()}
	if a, err := s.ep.GetLocalAddress(); err == nil {
		c.Local = s.name(a)
	}
	if a, err := s.ep.GetRemoteAddress(); err == nil {
		c.Peer = s.name(a)
	}
	if n, err := s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil {
		c.RecvQueue = n
	}
	for op := range s.writes.All() {
		for _, b := range op.Bufs {
			c.WritePending += len(b)
		}
		c.WritePending -= op.N
	}
	if !s.network.Stream() {
		return c
	}
	c.State = tcp.EndpointState(s.ep.State()).String()
	var info tcpip.TCPInfoOption
	if err := s.ep.GetSockOpt(&info); err == nil {
		c.RTT, c.RTTVar, c.RTO = info.RTT, info.RTTVar, info.RTO
		c.Cwnd = int(info.SndCwnd)
		if info.SndSsthresh < math.MaxInt32 { // above: slow start has no end yet
			c.Ssthresh = int(info.SndSsthresh)
		}
	}
	if st, ok := s.ep.Stats().(*tcp.Stats); ok {
		c.SegmentsIn, c.SegmentsOut = st.SegmentsReceived.Value(), st.SegmentsSent.Value()
		c.Retransmits, c.Timeouts = st.SendErrors.Retransmits.Value(), st.SendErrors.Timeouts.Value()
		c.QueueDropped = st.ReceiveErrors.SegmentQueueDropped.Value()
	}
	return c
}

func (h *Host) protocolStats(s *Stats) {
	st := h.st.Stats()
	t := &st.TCP
	s.TCP = TCPStats{
		ActiveOpens: t.ActiveConnectionOpenings.Value(), PassiveOpens: t.PassiveConnectionOpenings.Value(),
		FailedOpens: t.FailedConnectionAttempts.Value(), Resets: t.ResetsReceived.Value(),
		SegmentsIn: t.ValidSegmentsReceived.Value(), SegmentsOut: t.SegmentsSent.Value(),
		Retransmits: t.Retransmits.Value(), FastRecoveries: t.FastRecovery.Value() + t.SACKRecovery.Value(),
		Timeouts: t.Timeouts.Value(), SilentSenders: h.silence.broken, BadSegments: t.InvalidSegmentsReceived.Value(), BadChecksums: t.ChecksumErrors.Value(),
	}
	s.IP = IPStats{
		PacketsIn: st.IP.PacketsReceived.Value(), PacketsOut: st.IP.PacketsSent.Value(), Delivered: st.IP.PacketsDelivered.Value(),
		Malformed: st.IP.MalformedPacketsReceived.Value(), OutErrors: st.IP.OutgoingPacketErrors.Value(),
	}
	s.UDP = UDPStats{
		In: st.UDP.PacketsReceived.Value(), Out: st.UDP.PacketsSent.Value(),
		UnknownPort: st.UDP.UnknownPortErrors.Value(), BufferFull: st.UDP.ReceiveBufferErrors.Value(),
	}
}

func (n *neighbors) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.unresolved)
}
