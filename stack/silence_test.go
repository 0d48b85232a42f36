package stack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// A stingyPeer is the far end of one connection to 10.0.0.1:80, made by hand. It
// grants a wide window, takes it back as soon as it is used, and says nothing
// more but when it is sent something that fits.
type stingyPeer struct {
	t   *testing.T
	mac hal.MAC // of the host
	rx  hal.RxQueue
	tx  hal.TxQueue

	port   uint16 // the host's
	first  uint32 // the host's first sequence number
	got    int    // bytes, in order
	spoken int    // segments that fit the window
}

// narrow is the window after the first flight: less than a full segment, which is
// 536 bytes if the peer says nothing else (RFC 9293, section 3.7.1).
const narrow = 300

func (p *stingyPeer) run(end time.Time) {
	var fs [16]hal.Frame
	for time.Now().Before(end) {
		n, err := p.rx.Rx(fs[:])
		if err != nil {
			p.t.Error(err)
			return
		}
		for _, f := range fs[:n] {
			p.receive(f.Data)
		}
		p.rx.Release(fs[:n])
		time.Sleep(time.Millisecond)
	}
}

func (p *stingyPeer) receive(frame []byte) {
	if len(frame) < 54 || frame[12] != 8 || frame[13] != 0 || frame[23] != 6 {
		return
	}
	tcp := frame[34:]
	seq, flags := binary.BigEndian.Uint32(tcp[4:]), tcp[13]
	length := int(binary.BigEndian.Uint16(frame[16:])) - 20 - int(tcp[12]>>4)*4
	switch {
	case flags&2 != 0:
		p.port, p.first = binary.BigEndian.Uint16(tcp), seq+1
		p.send(0x12, 65535)
	case length == 0:
	case p.got == 0 && p.spoken == 0 && length > narrow: // the first flight, which is lost
		p.send(0x10, narrow)
	case length <= narrow && seq == p.first+uint32(p.got):
		p.spoken++
		p.got += length
		p.send(0x10, narrow)
	}
}

// send acknowledges what has come so far.
func (p *stingyPeer) send(flags byte, window uint16) {
	frame := synFrame(p.mac, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	tcp := frame[34:]
	binary.BigEndian.PutUint16(tcp, 80)
	binary.BigEndian.PutUint16(tcp[2:], p.port)
	seq := uint32(1000)
	if flags&2 == 0 {
		seq++
	}
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], p.first+uint32(p.got))
	tcp[13] = flags
	binary.BigEndian.PutUint16(tcp[14:], window)
	tcp[16], tcp[17] = 0, 0
	binary.BigEndian.PutUint16(tcp[16:], ^sum(sum(6+20, frame[26:34]), tcp))
	sendFrame(p.t, p.tx, frame)
}

// A sender of gVisor whose peer takes its window back, to less than a full
// segment, has no timer any more after the first timeout. The host finds it, also
// when its socket is closed.
func TestSilentSender(t *testing.T) {
	for name, closed := range map[string]bool{"open": false, "closed": true} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testSilentSender(t, closed) }) })
	}
}

func testSilentSender(t *testing.T, closed bool) {
	da, db, err := loopback.Pair(loopback.Config{NoGSO: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Interfaces: []Interface{{
		Device: db, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")},
		Neighbors: []Neighbor{{netip.MustParseAddr("10.0.0.1"), hal.MAC{2, 0, 0, 0, 0, 0x77}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	p := &stingyPeer{t: t, mac: db.Info().MAC}
	if p.rx, p.tx, err = da.Queue(0); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(time.Now().Add(2 * time.Minute))
	}()
	s := socketOf(t, h, api.TCP4)
	ok(t, h, api.Request{Kind: api.KindConnect, Sock: s, Addr: netip.MustParseAddrPort("10.0.0.1:80")})
	const size = 20_000
	ok(t, h, api.Request{Kind: api.KindWrite, Sock: s, Bufs: [][]byte{make([]byte, size)}})
	if closed {
		ok(t, h, api.Request{Kind: api.KindClose, Sock: s})
	}
	<-done
	if stats := h.Stats(); p.got != size || stats.TCP.SilentSenders == 0 {
		t.Errorf("%d of %d bytes came, in %d segments: %+v", p.got, size, p.spoken, stats.TCP)
	}
}
