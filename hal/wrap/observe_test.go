package wrap

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func TestTrace(t *testing.T) {
	fragment := ip(client4, server4, protoUDP, payload(64), -1)
	fragment.data[14+6] = 0x20
	fragment = fixIPv4(fragment)
	f, clk := newFake(), newClock()
	f.info.GSOMax = 65549
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, nil))
	dev := Trace(f, l, TraceOptions{Now: clk.now})
	rx, tx := queues(t, dev)
	for _, c := range []struct {
		p    packet
		want string
	}{
		{complete(t, blankTCP(client4, server4, 1000, 7, 0x12, payload(9))), "bytes=63 proto=tcp src=10.0.0.1:40000 dst=10.0.0.2:80 flags=S. seq=1000 ack=7 len=9"},
		{super(blankTCP(client6, server6, 1, 2, 0x18, payload(3000)), hal.GSOTCP6, 1440), "bytes=3074 proto=tcp src=[fd00::1]:40000 dst=[fd00::2]:80 flags=P. seq=1 ack=2 len=3000 gso=tcp6 segment=1440 csum=partial"},
		{complete(t, blankUDP(client4, server4, payload(5))), "bytes=47 proto=udp src=10.0.0.1:40000 dst=10.0.0.2:7 len=5"},
		{complete(t, blankPing(client6, server6, payload(56))), "bytes=118 proto=icmp6 src=fd00::1 dst=fd00::2 type=128 code=0 len=56"},
		{fragment, "bytes=98 proto=udp src=10.0.0.1 dst=10.0.0.2 fragment=true"},
		{ip(client4, server4, 2, payload(8), -1), `bytes=42 proto="ip 2" src=10.0.0.1 dst=10.0.0.2`},
		{arp(), "bytes=42 proto=arp op=request src=10.0.0.1 dst=10.0.0.2 mac=02:00:00:00:00:01"},
		{packet{data: append(make([]byte, 12), 0x88, 0xcc, 1)}, `bytes=15 proto="ethertype 0x88cc"`},
		{packet{data: arp().data[:20]}, `bytes=20 proto="ethertype 0x0806"`},
		{packet{data: blankUDP(client4, server4, nil).data[:30]}, `bytes=30 proto="ethertype 0x0800" malformed=`},
		{packet{data: []byte{1, 2}}, "bytes=2 malformed="},
	} {
		log.Reset()
		send(t, tx, c.p)
		f.in = []packet{c.p}
		receive(t, rx)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines:\n%s", len(lines), &log)
		}
		for i, dir := range []string{"tx", "rx"} {
			if want := "level=INFO msg=" + dir + " " + c.want; !strings.Contains(lines[i], want) {
				t.Errorf("the log says\n%s\nwant\n%s", lines[i], want)
			}
			if !strings.HasPrefix(lines[i], "time=2023-11-14T22:13:20") && !strings.HasPrefix(lines[i], "time=2023-11-15") {
				t.Errorf("not the clock's time: %s", lines[i])
			}
		}
	}
}

func TestTraceBelowTheLevelIsSilent(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	_, tx := queues(t, Trace(f, slog.New(slog.NewTextHandler(&log, nil)), TraceOptions{Level: slog.LevelDebug}))
	send(t, tx, arp())
	if log.Len() != 0 || len(f.out) != 1 {
		t.Errorf("%d sent, logged %q", len(f.out), &log)
	}
}

func TestStats(t *testing.T) {
	f := newFake()
	dev := Stats(f)
	rx, tx := queues(t, dev)
	sent := []packet{
		complete(t, blankTCP(client4, server4, 1000, 7, 0x12, payload(9))),
		blankTCP(client6, server6, 1, 2, 0x18, payload(1000)),
		complete(t, blankUDP(client4, server4, payload(5))),
		complete(t, blankPing(client6, server6, payload(56))),
		complete(t, blankPing(client4, server4, payload(56))),
		arp(),
		ip(client4, server4, 2, payload(8), -1),
		{data: make([]byte, 14)},
	}
	f.in = append(f.in, sent...)
	f.in[1] = super(f.in[1], hal.GSOTCP6, 500)
	size := 0
	for _, p := range sent {
		send(t, tx, p)
		size += len(p.data)
	}
	receive(t, rx)
	want := Traffic{Packets: 8, Bytes: uint64(size), TCP: 2, UDP: 1, ICMP: 2, ARP: 1, Other: 2, Bursts: [8]uint64{8}}
	if got := dev.Tx(); got != want {
		t.Errorf("sent %+v\nwant %+v", got, want)
	}
	want.Supers = 1
	got := dev.Rx()
	if got.Bursts[0] == 8 {
		t.Errorf("bursts of several packets were not seen: %v", got.Bursts)
	}
	if got.Bursts = want.Bursts; got != want {
		t.Errorf("received %+v\nwant %+v", got, want)
	}
	if s := hal.StatsOf(dev); s.RxPackets != 8 || s.TxBytes != uint64(size) || s.Drops["rx-fake"] != 3 {
		t.Errorf("StatsOf: %+v", s)
	}
}

// A packet that the device did not take is counted when it does.
func TestObserversCountOnce(t *testing.T) {
	f := newFake()
	f.ring = 1
	dev := Stats(f)
	_, tx := queues(t, dev)
	send(t, tx, arp())
	if send(t, tx, arp()) {
		t.Fatal("a full device took a packet")
	}
	flush(t, tx)
	send(t, tx, arp())
	if got := dev.Tx().Packets; got != 2 {
		t.Errorf("%d packets counted, 2 sent", got)
	}
}
