package sim

import (
	"fmt"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// A Port says where a host is connected. The zero Port is one on the network that
// every world has, with an address of IPv4 that is chosen.
type Port struct {
	// Net is the switch. Nil: the world's own.
	Net *Switch
	// Addrs are the addresses. None: 10.n.x.y/16, n being the number of the
	// switch, and x.y that of the host there.
	Addrs []netip.Prefix
	// Link is the cable's, in both directions; see [Cable.SetUp].
	Link Link
}

// ringFrames is how many frames the rings between a host and its port hold.
const ringFrames = 128

// A port is an interface of a host, from the network's side: the far end of a wire
// to the host's device. It could be the far end of any device.
type port struct {
	host  *Host
	name  string
	addrs []netip.Prefix
	mac   hal.MAC
	mtu   int
	cable *Cable
	shown int // its number in the capture

	far hal.Device // nil: the host is down
	rx  hal.RxQueue
	tx  hal.TxQueue

	cutter offload.Cutter
	pieces [][]byte
	frames [ringFrames]hal.Frame
}

// plug makes the device of the host's end.
func (p *port) plug() (hal.Device, error) {
	wire, err := loopback.New(loopback.Config{Name: p.host.name, MTU: p.mtu, Frames: ringFrames})
	if err != nil {
		return nil, err
	}
	near, err := wire.Device(loopback.Config{MAC: p.mac})
	if err != nil {
		return nil, err
	}
	if p.far, err = wire.Device(loopback.Config{}); err != nil {
		return nil, err
	}
	p.rx, p.tx, err = p.far.Queue(0)
	return near, err
}

// unplug is the end of the far device: what comes for the host is lost.
func (p *port) unplug() {
	if p.far != nil {
		p.far.Close()
		p.far = nil
	}
}

// collect sends what the host has given to its device, and reports whether the
// device was full, so that there may be more.
func (p *port) collect() (full bool) {
	if p.far == nil {
		return false
	}
	fs := p.frames[:]
	n, err := p.rx.Rx(fs)
	must(err)
	for at := 0; at < n; {
		c := hal.ChainLen(fs[at:n])
		p.send(fs[at : at+c])
		at += c
	}
	p.rx.Release(fs[:n])
	clear(fs[:n])
	return n == len(fs)
}

// send cuts a packet of the host into wire frames and puts them on the cable.
func (p *port) send(chain []hal.Frame) {
	w := p.host.w
	p.pieces = offload.Frames(chain, p.pieces[:0])
	if p.cutter.Reset(p.pieces, chain[0].Meta, 0) != nil {
		w.lose("malformed")
		return
	}
	for p.cutter.More() {
		buf := make([]byte, p.cutter.Len())
		out := [1]hal.Frame{hal.NewFrame(buf, 0, len(buf), 0)}
		p.cutter.Next(out[:])
		f := frame{data: buf, from: p.host}
		w.stats.Sent++
		w.trace.sent(p, f, p.cable.up.send(f))
	}
	clear(p.pieces)
}

// arrive implements end: a frame has come to the host.
func (p *port) arrive(f frame) {
	w := p.host.w
	if p.far == nil {
		w.trace.passed(p, f, w.lose("host down"))
		return
	}
	if !p.put(f.data) {
		p.host.drive() // makes room
		if p.far == nil || !p.put(f.data) {
			w.trace.passed(p, f, w.lose("ring full"))
			return
		}
	}
	w.stats.Received++
	w.trace.received(p, f)
	w.touch(p.host)
}

// put gives a frame to the host's device.
func (p *port) put(data []byte) bool {
	n, err := p.tx.Alloc(p.frames[:], len(data))
	must(err)
	if n == 0 {
		return false
	}
	rest := data
	for i := range n {
		rest = rest[copy(p.frames[i].Data, rest):]
	}
	sent, err := p.tx.Tx(p.frames[:n])
	must(err)
	if sent < n {
		p.tx.Release(p.frames[sent:n])
		return false
	}
	return true
}

func (p *port) String() string { return fmt.Sprintf("%s/%s", p.host.name, p.name) }
