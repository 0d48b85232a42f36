//go:build dpdk && cgo && linux

package dpdk

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// segment makes a packet of TCP over IPv4 whose checksum is left blank: it holds the
// sum of the pseudo-header, with the length of the whole packet.
func segment(payload []byte, gsoSize int) ([]byte, hal.Meta) {
	const l3, l4, data = 14, 34, 54
	p := make([]byte, data, data+len(payload))
	copy(p, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0})
	p[l3], p[l3+8], p[l3+9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(p[l3+2:], uint16(data-l3+len(payload)))
	copy(p[l3+12:], []byte{198, 18, 0, 1, 198, 18, 0, 2})
	var ip offload.Sum
	ip.Add(p[l3:l4])
	binary.BigEndian.PutUint16(p[l3+10:], ^ip.Fold())
	binary.BigEndian.PutUint32(p[l4+4:], 1)
	p[l4+12], p[l4+13] = 5<<4, 0x10
	var pseudo offload.Sum
	pseudo.Add(p[l3+12 : l3+20])
	pseudo.Add([]byte{0, 6})
	pseudo.Add(binary.BigEndian.AppendUint16(nil, uint16(data-l4+len(payload))))
	binary.BigEndian.PutUint16(p[l4+16:], pseudo.Fold())
	m := hal.Meta{NeedsCsum: true, CsumStart: l4, CsumOffset: 16}
	if gsoSize > 0 {
		m.GSO, m.GSOSize, m.HdrLen = hal.GSOTCP4, uint16(gsoSize), data
	}
	return append(p, payload...), m
}

// What leaves virtio_user unfinished is known to be unfinished where it arrives. A
// receiver that takes "not checked" for "not valid", and checks, finds a checksum
// that nobody has completed, and drops the packet: connections open, and stall.
func TestUnfinishedOverVhost(t *testing.T) {
	need(t)
	es := &ends{joint: joints[3]}
	link := es.link(t, t.TempDir())
	rx, _, err := link.Dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		size, gsoSize int
	}{{"blank", 900, 0}, {"super", 30_000, 1400}, {"longest", 65535 - 40, 1448}} {
		payload := make([]byte, c.size)
		for i := range payload {
			payload[i] = byte(i * 13)
		}
		p, m := segment(payload, c.gsoSize)
		if err := link.Far.(interface {
			SendMeta([]byte, hal.Meta) error
		}).SendMeta(p, m); err != nil {
			t.Fatal(err)
		}
		got, meta := next(t, link.Dev, rx)
		if !bytes.Equal(got[54:], payload) {
			t.Errorf("%s: another payload arrived, %d bytes", c.name, len(got)-54)
		}
		if c.gsoSize == 0 && meta.CsumValid && offload.Verify([]hal.Frame{hal.NewFrame(got, 0, len(got), 0)}) == offload.Valid {
			continue // it was completed on its way
		}
		if meta.CsumValid = false; meta != m {
			t.Errorf("%s: arrived with %+v, sent with %+v", c.name, meta, m)
		}
	}
}

// next waits for a packet.
func next(t testing.TB, dev hal.Device, rx hal.RxQueue) ([]byte, hal.Meta) {
	t.Helper()
	fs := make([]hal.Frame, dev.Info().MaxChain)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Microsecond) {
		n, err := rx.Rx(fs)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			continue
		}
		n = hal.ChainLen(fs[:n])
		var p []byte
		for _, f := range fs[:n] {
			p = append(p, f.Data...)
		}
		m := fs[0].Meta
		rx.Release(fs[:n])
		return p, m
	}
	t.Fatal("nothing has arrived")
	return nil, hal.Meta{}
}
