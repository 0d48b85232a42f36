package afxdp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// The addresses of the kernel at the far end of a cable, and of ours.
var (
	far4, far6   = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")
	ours4, ours6 = netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("fd09::2")
)

// A peer is the kernel at the far end, with a UDP socket, and a device here.
type peer struct {
	cable
	dev  hal.Device
	rx   hal.RxQueue
	tx   hal.TxQueue
	mac  hal.MAC // the kernel's
	conn *net.UDPConn
}

// peer opens a device and tells the kernel at the far end where it is.
func (v variant) peer(t testing.TB, at netip.Addr) *peer {
	t.Helper()
	p := &peer{cable: v.cable(t)}
	p.dev = p.open(t, v.spec)
	p.rx, p.tx = halves(t, p.dev)
	if err := hal.SetLocal(p.dev, hal.Local{Addrs: []netip.Addr{ours4, ours6}}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []netip.Addr{ours4, ours6} {
		p.far.Run("ip", "neighbor", "replace", a.String(), "lladdr", p.dev.Info().MAC.String(), "dev", "eth0", "nud", "permanent")
	}
	err := p.far.Do(func() (err error) {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		p.mac = hal.MAC(link.HardwareAddr)
		p.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 7)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.conn.Close() })
	return p
}

// A station is one end of a datagram.
type station struct {
	mac  hal.MAC
	addr netip.Addr
}

// ends returns both ends, over IPv4 or IPv6.
func (p *peer) ends(v6 bool) (here, there station) {
	here, there = station{p.dev.Info().MAC, ours4}, station{p.mac, far4}
	if v6 {
		here.addr, there.addr = ours6, far6
	}
	return here, there
}

// datagram makes a UDP datagram with a blank checksum, from port 7 to port 7.
func datagram(from, to station, payload []byte) ([]byte, hal.Meta) {
	b, m := packet(from.addr.Is6(), protoUDP, len(payload))
	copy(b, to.mac[:])
	copy(b[6:], from.mac[:])
	ip, at, ttl := b[hal.EthernetHeaderLen:], 12, 8
	if from.addr.Is6() {
		at, ttl = 8, 7
	}
	ends := append(from.addr.AsSlice(), to.addr.AsSlice()...)
	copy(ip[at:], ends)
	ip[ttl] = 64
	if !from.addr.Is6() {
		ip[10], ip[11] = 0, 0
		var s offload.Sum
		s.Add(ip[:20])
		binary.BigEndian.PutUint16(ip[10:], ^s.Fold())
	}
	udp := b[m.CsumStart:]
	binary.BigEndian.PutUint16(udp[0:], 7)
	binary.BigEndian.PutUint16(udp[2:], 7)
	copy(udp[8:], payload)
	var s offload.Sum
	s.Add(ends)
	s.AddUint16(protoUDP)
	s.AddUint16(uint16(len(udp)))
	binary.BigEndian.PutUint16(udp[6:], s.Fold())
	return b, m
}

// arrives returns the payload of the next datagram that the kernel's socket gets.
func (p *peer) arrives(t testing.TB, within time.Duration) []byte {
	t.Helper()
	b := make([]byte, 1<<16)
	if err := p.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	n, _, err := p.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		return nil
	}
	return b[:n]
}

// received waits for the next UDP datagram that the device gets.
func (p *peer) received(t testing.TB) (data []byte, m hal.Meta, v offload.Verdict) {
	t.Helper()
	var rxs []hal.RxQueue
	for i := range p.dev.Info().Queues {
		rx, _, err := p.dev.Queue(i)
		if err != nil {
			t.Fatal(err)
		}
		rxs = append(rxs, rx)
	}
	fs := make([]hal.Frame, 32)
	eventually(t, "a datagram arrives", func() bool {
		for _, rx := range rxs {
			n, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			for rest := fs[:n]; len(rest) > 0; rest = rest[hal.ChainLen(rest):] {
				chain := rest[:hal.ChainLen(rest)]
				if h, err := offload.Parse(chain[0].Data); err == nil && h.Proto == protoUDP && h.DstPort == 7 {
					data, m, v = bytes.Join(offload.Frames(chain, nil), nil), chain[0].Meta, offload.Verify(chain)
				}
			}
			rx.Release(fs[:n])
		}
		return data != nil
	})
	return data, m, v
}

// What a kernel with checksum offload sends over a virtual cable has a blank
// checksum. It is accepted where that is allowed, and only then.
func TestKernelsBlankChecksum(t *testing.T) {
	for _, v := range []variant{
		{spec: ""},
		{spec: "?trust-checksum=on"},
		{spec: "?trust-checksum=off"},
		{spec: "?mode=generic"},
		{spec: "?queues=2", queues: 2},
		{spec: "", mtu: 9000},
	} {
		t.Run(v.String(), func(t *testing.T) {
			p := v.peer(t, far4)
			payload := bytes.Repeat([]byte("blank"), 60)
			if v.mtu > 0 {
				payload = bytes.Repeat([]byte("jumbo"), 1600)
			}
			if _, err := p.conn.WriteToUDPAddrPort(payload, netip.AddrPortFrom(ours4, 7)); err != nil {
				t.Fatal(err)
			}
			data, m, verdict := p.received(t)
			if !bytes.Equal(data[42:], payload) {
				t.Fatalf("another payload arrives than was sent: %d bytes", len(data)-42)
			}
			trusted := v.spec != "?trust-checksum=off"
			want := map[bool]offload.Verdict{true: offload.Valid, false: offload.Bad}[trusted]
			if m.NeedsCsum != trusted || verdict != want {
				t.Errorf("the blank checksum is %v, metadata %+v", verdict, m)
			}
			if got := hal.StatsOf(p.dev).RxBlank; got != map[bool]uint64{true: 1}[trusted] {
				t.Errorf("%d blank checksums are counted", got)
			}
			// What is wrong, and not blank, is not vouched for.
			here, there := p.ends(false)
			wrong, _ := datagram(there, here, payload)
			wrong[40] ^= 1
			if err := p.far.Far(t, "eth0").Send(wrong); err != nil {
				t.Fatal(err)
			}
			if _, m, verdict := p.received(t); m != (hal.Meta{}) || verdict != offload.Bad {
				t.Errorf("a wrong checksum is %v, metadata %+v", verdict, m)
			}
		})
	}
}

// A blank checksum of ours is completed by the kernel, and one that is wrong is
// found out: so it was the metadata that did it.
func TestBlankChecksumToKernel(t *testing.T) {
	for _, v := range []variant{{spec: ""}, {spec: "?mode=generic"}, {spec: "?queues=2", queues: 2}, {spec: "", mtu: 9000}} {
		for _, v6 := range []bool{false, true} {
			t.Run(v.String(), func(t *testing.T) {
				at := far4
				if v6 {
					at = far6
				}
				p := v.peer(t, at)
				if p.dev.Info().TxOffloads&hal.Csum == 0 {
					t.Fatal("no checksum offload is announced")
				}
				size := p.dev.Info().MTU - 60
				here, there := p.ends(v6)
				for i, blank := range []bool{false, true} {
					b, m := datagram(here, there, bytes.Repeat([]byte{'a' + byte(i)}, size))
					if !blank {
						m = hal.Meta{}
					}
					fs := make([]hal.Frame, p.dev.Info().MaxChain)
					n, err := p.tx.Alloc(fs, len(b))
					if err != nil || n == 0 {
						t.Fatal(n, err)
					}
					for j := range fs[:n] {
						b = b[copy(fs[j].Data, b):]
					}
					fs[0].Meta = m
					if sent, err := p.tx.Tx(fs[:n]); sent != n || err != nil {
						t.Fatal(sent, err)
					}
					if err := p.tx.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				got := p.arrives(t, guard)
				if !slices.Equal(got, bytes.Repeat([]byte{'b'}, size)) {
					t.Errorf("the kernel receives %d bytes: %.10q…", len(got), got)
				}
			})
		}
	}
}
