package services

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ringtail-net/ringtail/stack"
)

// An exposition is a text in the Prometheus exposition format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
type exposition struct{ bytes.Buffer }

// A sample is one value of a metric; labels are pairs of name and value.
type sample struct {
	value  float64
	labels []string
}

func value(n uint64, labels ...string) sample { return sample{float64(n), labels} }
func level(n int64, labels ...string) sample  { return sample{float64(n), labels} }

func (e *exposition) counter(name, help string, samples ...sample) {
	e.family("counter", "ringtail_"+name+"_total", help, samples)
}

func (e *exposition) gauge(name, help string, samples ...sample) {
	e.family("gauge", "ringtail_"+name, help, samples)
}

func (e *exposition) family(typ, name, help string, samples []sample) {
	e.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + typ + "\n")
	for _, s := range samples {
		e.WriteString(name)
		for i := 0; i < len(s.labels); i += 2 {
			sep := ","
			if i == 0 {
				sep = "{"
			}
			e.WriteString(sep + s.labels[i] + `="` + labelEscapes.Replace(s.labels[i+1]) + `"`)
		}
		if len(s.labels) > 0 {
			e.WriteString("}")
		}
		e.WriteString(" " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n")
	}
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// metrics writes all counters.
func (s *Services) metrics() []byte {
	var e exposition
	snap := s.Snapshot()
	e.gauge("uptime_seconds", "Time since the services began.", sample{value: snap.UptimeSeconds})
	e.services(snap)
	e.host(snap.Host)
	e.interfaces(snap.Host.Interfaces)
	e.protocols(snap.Host)
	return e.Bytes()
}

func (e *exposition) services(snap Snapshot) {
	var open, accepted, failed, rx, tx, replies []sample
	for _, name := range slices.Sorted(maps.Keys(snap.Services)) {
		c := snap.Services[name]
		open = append(open, level(c.Open, "service", name))
		accepted = append(accepted, value(c.Accepted, "service", name))
		failed = append(failed, value(c.Failed, "service", name))
		rx = append(rx, value(c.RxBytes, "service", name))
		tx = append(tx, value(c.TxBytes, "service", name))
	}
	for _, status := range slices.Sorted(maps.Keys(snap.HTTPReplies)) {
		replies = append(replies, value(snap.HTTPReplies[status], "status", strconv.Itoa(status)))
	}
	e.gauge("service_connections", "Open connections.", open...)
	e.counter("service_accepted", "Accepted connections.", accepted...)
	e.counter("service_failed", "Connections that ended with an error.", failed...)
	e.counter("service_receive_bytes", "Bytes from clients.", rx...)
	e.counter("service_transmit_bytes", "Bytes to clients.", tx...)
	e.counter("http_replies", "HTTP replies.", replies...)
}

func (e *exposition) host(h stack.Stats) {
	e.counter("turns", "Turns of the host.", value(h.Turns))
	e.gauge("sockets", "Sockets.", level(int64(h.Sockets)))
	e.gauge("ops_waiting", "Ops that wait in the host.", level(int64(h.Waiting)))
	e.gauge("ops_posted", "Ops not looked at yet.", level(int64(h.Posted)))
	e.gauge("next_hops_unresolved", "Next hops whose link address is being asked for.", level(int64(h.Unresolved)))
	e.gauge("peer_connections", "TCP connections that peers opened.", level(int64(h.PeerConns)))
}

func (e *exposition) interfaces(all []stack.InterfaceStats) {
	var rxPackets, rxBytes, rxBlank, txPackets, txBytes, drops, backlog []sample
	for _, i := range all {
		rxPackets = append(rxPackets, value(i.RxPackets, "interface", i.Name))
		rxBytes = append(rxBytes, value(i.RxBytes, "interface", i.Name))
		rxBlank = append(rxBlank, value(i.RxBlank, "interface", i.Name))
		txPackets = append(txPackets, value(i.TxPackets, "interface", i.Name))
		txBytes = append(txBytes, value(i.TxBytes, "interface", i.Name))
		backlog = append(backlog, level(int64(i.Backlog), "interface", i.Name))
		for _, reason := range slices.Sorted(maps.Keys(i.Drops)) {
			drops = append(drops, value(i.Drops[reason], "interface", i.Name, "reason", reason))
		}
	}
	e.counter("interface_receive_packets", "Packets received; a super-frame counts once.", rxPackets...)
	e.counter("interface_receive_bytes", "Bytes received.", rxBytes...)
	e.counter("interface_receive_blank", "Packets received whose checksum was left blank, and taken for right.", rxBlank...)
	e.counter("interface_transmit_packets", "Packets sent; a super-frame counts once.", txPackets...)
	e.counter("interface_transmit_bytes", "Bytes sent.", txBytes...)
	e.counter("interface_drops", "Packets lost, by reason.", drops...)
	e.gauge("interface_backlog_bytes", "Bytes that wait for the device.", backlog...)
}

func (e *exposition) protocols(h stack.Stats) {
	for _, c := range []struct {
		name, help string
		n          uint64
	}{
		{"tcp_active_opens", "TCP connections opened by the host.", h.TCP.ActiveOpens},
		{"tcp_passive_opens", "TCP connections opened by peers.", h.TCP.PassiveOpens},
		{"tcp_failed_opens", "TCP connections that could not be opened.", h.TCP.FailedOpens},
		{"tcp_resets", "TCP resets received.", h.TCP.Resets},
		{"tcp_segments_in", "Valid TCP segments received.", h.TCP.SegmentsIn},
		{"tcp_segments_out", "TCP segments sent.", h.TCP.SegmentsOut},
		{"tcp_retransmits", "TCP segments sent again.", h.TCP.Retransmits},
		{"tcp_fast_recoveries", "Losses repaired without a timeout.", h.TCP.FastRecoveries},
		{"tcp_timeouts", "Retransmission timeouts.", h.TCP.Timeouts},
		{"tcp_silent_senders", "Senders without a timer that were set going again.", h.TCP.SilentSenders},
		{"tcp_bad_segments", "Invalid TCP segments received.", h.TCP.BadSegments},
		{"tcp_bad_checksums", "TCP segments with a wrong checksum.", h.TCP.BadChecksums},
		{"ip_packets_in", "IP packets received.", h.IP.PacketsIn},
		{"ip_packets_out", "IP packets sent.", h.IP.PacketsOut},
		{"ip_delivered", "IP packets given to a protocol.", h.IP.Delivered},
		{"ip_malformed", "Malformed IP packets received.", h.IP.Malformed},
		{"ip_out_errors", "IP packets that could not be sent.", h.IP.OutErrors},
		{"udp_in", "UDP datagrams received.", h.UDP.In},
		{"udp_out", "UDP datagrams sent.", h.UDP.Out},
		{"udp_unknown_port", "UDP datagrams to a port without a socket.", h.UDP.UnknownPort},
		{"udp_buffer_full", "UDP datagrams lost because nobody read.", h.UDP.BufferFull},
	} {
		e.counter(c.name, c.help, value(c.n))
	}
}
