package bridge

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/offload"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// links returns the links of both ends of a cable.
func links(t *testing.T, c loopback.Config) (a, b *Link) {
	t.Helper()
	da, db, err := loopback.Pair(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { da.Close(); db.Close() })
	if a, err = New(da, Options{}); err == nil {
		b, err = New(db, Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Attach(stackless{})
	return a, b
}

// stackless takes the place of a stack, and nothing.
type stackless struct{}

func (stackless) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}
func (stackless) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer)    {}

func flush(t *testing.T, l *Link) {
	t.Helper()
	if waiting, err := l.Flush(); waiting || err != nil {
		t.Fatalf("Flush: %v, %v", waiting, err)
	}
}

func mac(l *Link) hal.MAC { return hal.MAC([]byte(l.LinkAddress())) }

// TestDatagramsPassByTheStack sends without an address and takes by the port,
// payloads of any length, over whole frames and over chains.
func TestDatagramsPassByTheStack(t *testing.T) {
	for _, c := range []loopback.Config{{}, {Chunk: 256}} {
		a, b := links(t, c)
		var got []Datagram
		b.Take(68, func(d Datagram) {
			d.Payload = bytes.Clone(d.Payload)
			got = append(got, d)
		})
		from, to := netip.MustParseAddrPort("0.0.0.0:67"), netip.MustParseAddrPort("255.255.255.255:68")
		for n := range 600 {
			payload := bytes.Repeat([]byte{byte(n), 0xff}, 300)[:n]
			got = nil
			for _, station := range []hal.MAC{hal.Broadcast, mac(b), {2, 9, 9, 9, 9, 9}} {
				a.Send(Datagram{Station: station, From: from, To: to, Payload: payload})
			}
			a.Send(Datagram{Station: mac(b), From: from, To: netip.MustParseAddrPort("10.0.0.1:69"), Payload: payload})
			flush(t, a)
			if _, err := b.Receive(64); err != nil {
				t.Fatal(err)
			}
			if len(got) != 2 { // neither that of another station nor that to another port
				t.Fatalf("%d bytes: %d datagrams were taken; drops %v", n, len(got), b.Drops())
			}
			for _, d := range got {
				if d.Station != mac(a) || d.From != from || d.To != to || !bytes.Equal(d.Payload, payload) {
					t.Fatalf("%d bytes arrived as %+v", n, d)
				}
			}
		}
		if d := b.Drops(); d["rx-bad-checksum"]+d["rx-malformed"] != 0 {
			t.Errorf("drops: %v", d)
		}
		got = nil
		b.Take(0, nil)
		a.Send(Datagram{Station: mac(b), From: from, To: to})
		flush(t, a)
		b.Receive(64)
		if len(got) != 0 {
			t.Error("a datagram was taken after the end")
		}
	}
}

// TestTakerIsNotFooled: what is damaged, a part only, or not UDP goes the usual
// way.
func TestTakerIsNotFooled(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p []byte)
		taken  int
	}{
		"as it is":                 {func([]byte) {}, 1},
		"no checksum":              {func(p []byte) { p[40], p[41] = 0, 0 }, 1},
		"damaged":                  {func(p []byte) { p[len(p)-1] ^= 1 }, 0},
		"a fragment":               {func(p []byte) { p[20] = 0x20; fixIP(p) }, 0},
		"TCP":                      {func(p []byte) { p[23] = 6; fixIP(p) }, 0},
		"a header without payload": {func(p []byte) { p[38], p[39] = 0, 8; p[40], p[41] = 0, 0 }, 1},
		"longer than its packet":   {func(p []byte) { p[39]++; p[40], p[41] = 0, 0 }, 0},
	} {
		a, b := links(t, loopback.Config{NoGSO: true})
		taken := 0
		b.Take(68, func(d Datagram) { taken++ })
		a.Send(Datagram{Station: mac(b), From: netip.MustParseAddrPort("10.0.0.1:67"), To: netip.MustParseAddrPort("10.0.0.2:68"), Payload: []byte("payload")})
		if len(a.tx.out) != 1 {
			t.Fatal("the datagram is not a frame")
		}
		c.change(a.tx.out[0].Data)
		flush(t, a)
		if _, err := b.Receive(64); err != nil {
			t.Fatal(err)
		}
		if taken != c.taken {
			t.Errorf("%s: taken %d times", name, taken)
		}
	}
}

// fixIP makes the checksum of an IPv4 header right.
func fixIP(p []byte) {
	p[24], p[25] = 0, 0
	var s offload.Sum
	s.Add(p[14:34])
	binary.BigEndian.PutUint16(p[24:], ^s.Fold())
}

func TestAnnounce(t *testing.T) {
	a, b := links(t, loopback.Config{})
	a.Announce(netip.MustParseAddr("10.0.0.7"))
	flush(t, a)
	fs := make([]hal.Frame, 1)
	rx, _, _ := b.Device().Queue(0)
	if n, err := rx.Rx(fs); n != 1 || err != nil {
		t.Fatalf("%d frames, %v", n, err)
	}
	us := mac(a)
	want := append(append(bytes.Repeat([]byte{0xff}, 6), us[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	want = append(append(append(want, us[:]...), 10, 0, 0, 7), 0, 0, 0, 0, 0, 0, 10, 0, 0, 7)
	if !bytes.Equal(fs[0].Data, want) {
		t.Errorf("announced:\n% x, want\n% x", fs[0].Data, want)
	}
	rx.Release(fs)
}
