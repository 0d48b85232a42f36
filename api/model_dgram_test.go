package api_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
)

// A dgramSocket is a UDP socket, bound to an address.
type dgramSocket struct {
	host   *modelHost
	qd     api.QD
	addr   netip.AddrPort
	closed bool
}

// A sentDgram was sent. Its first bytes are its number.
type sentDgram struct {
	from, to netip.AddrPort
	content  []byte
	came     int // how often it arrived
}

// dgramHeader is the length of a number: the least size of datagrams and pops.
const dgramHeader = 4

func (h *modelHost) newDgramSocket() {
	d := &dgramSocket{host: h, qd: must1(h.lib.Socket(api.UDP4))}
	must(h.lib.Bind(d.qd, netip.AddrPortFrom(h.addr, 0)))
	d.addr = must1(h.lib.LocalAddr(d.qd))
	h.m.dgrams = append(h.m.dgrams, d)
}

func (d *dgramSocket) send(to *dgramSocket, size int) {
	m := d.host.m
	g := &sentDgram{from: d.addr, to: to.addr}
	g.content = (&modelPush{seed: uint64(len(m.sent)), size: max(size, dgramHeader)}).content()
	binary.BigEndian.PutUint32(g.content, uint32(len(m.sent)))
	m.sent = append(m.sent, g)
	sga := api.SGAOf(g.content[:1], g.content[1:])
	d.host.submit(&modelOp{op: api.OpPush, qd: d.qd, dgram: d}, func() (api.Token, error) {
		return d.host.lib.PushTo(d.qd, sga, to.addr)
	})
}

func (d *dgramSocket) pop(size int) {
	o := &modelOp{op: api.OpPop, qd: d.qd, dgram: d, max: max(size, dgramHeader)}
	d.host.submit(o, func() (api.Token, error) { return d.host.lib.PopN(d.qd, o.max) })
}

func (m *model) gotDgram(o *modelOp, c api.Completion) {
	p := c.SGA.Append(nil)
	switch {
	case errors.Is(c.Err, syscall.ECANCELED):
	case c.Err != nil:
		m.errorf("datagrams: %v", c.Err)
	case o.op == api.OpPush:
		if c.N != len(p) {
			m.errorf("push of a datagram of %d bytes: %+v", len(p), c)
		}
	case c.N != len(p) || c.N > o.max || c.N < dgramHeader || int(binary.BigEndian.Uint32(p)) >= len(m.sent):
		m.errorf("pop of a datagram of at most %d bytes: %+v", o.max, c)
	default:
		g := m.sent[binary.BigEndian.Uint32(p)]
		g.came++
		if c.From != g.from || o.dgram.addr != g.to || g.came > 2 {
			m.errorf("a datagram from %v to %v came to %v as from %v, for the %d. time", g.from, g.to, o.dgram.addr, c.From, g.came)
		}
		if !bytes.Equal(p, g.content[:min(len(g.content), o.max)]) || c.Truncated != (len(g.content) > o.max) {
			m.errorf("of a datagram of %d bytes a pop of %d brought %d, cut %v, or others", len(g.content), o.max, len(p), c.Truncated)
		}
	}
}

func (d *dgramSocket) close() {
	if err := d.host.lib.Close(d.qd); d.closed != errors.Is(err, syscall.EBADF) {
		d.host.m.errorf("close of a datagram socket, closed %v: %v", d.closed, err)
	}
	d.closed = true
}
