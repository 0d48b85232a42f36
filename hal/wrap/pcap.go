package wrap

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
)

// PcapOptions say how a device is captured. The zero value captures everything.
type PcapOptions struct {
	// Name is that of the interface in the capture. Empty: the device's
	// driver and name.
	Name string

	// SnapLen is how many bytes of a packet are kept. Zero: 262144, which is
	// more than any packet has.
	SnapLen int

	// Now is the clock of the time stamps. Nil: time.Now.
	Now func() time.Time
}

const defaultSnapLen = 256 << 10

// A Capture is a device whose packets are recorded: see [Pcap].
type Capture struct {
	*observed
	w       *pcapng.Writer
	id      int // of the interface
	snapLen int
	now     func() time.Time

	captured, lost atomic.Uint64
}

// Pcap records what passes between dev and its user. The result owns dev; w
// stays the caller's, who may give the same one to several devices and closes
// the stream below it after them.
//
// It records packets as they are at its place: under it may be other wrappers.
// What the bytes alone do not say is noted in comments: a packet cut to SnapLen,
// a checksum that is still to be completed, a super-frame. Packets that the
// device did not take are not recorded. A received packet is stamped when it is
// received here, one for sending when it is given to the device.
//
// The capture is written after every received burst and at every Flush, so that
// it can be watched live. A writer that fails ends the capture, never the
// traffic: what comes later is counted by Lost. A writer that blocks does block
// the traffic; [OpenPcap] gives one that does not.
func Pcap(dev hal.Device, w *pcapng.Writer, o PcapOptions) *Capture {
	if o.Name == "" {
		i := dev.Info()
		o.Name = i.Driver + ":" + i.Name
	}
	if o.SnapLen <= 0 {
		o.SnapLen = defaultSnapLen
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Capture{w: w, snapLen: o.SnapLen, now: o.Now}
	c.id = w.AddInterface(pcapng.Interface{Name: o.Name, SnapLen: o.SnapLen})
	w.Flush()
	c.observed = newObserved(dev, func(dir Dir, _ int) observer { return &recorder{c: c, dir: dir} })
	return c
}

// Captured returns how many packets were recorded, Lost how many were not
// because the writer had failed.
func (c *Capture) Captured() uint64 { return c.captured.Load() }

// Lost returns how many packets were not recorded; see Captured.
func (c *Capture) Lost() uint64 { return c.lost.Load() }

// Err returns the error of the writer that has ended the capture, or nil.
func (c *Capture) Err() error { return c.w.Err() }

// Close closes the device and writes what has not been written.
func (c *Capture) Close() error {
	err := c.observed.Close()
	c.w.Flush()
	return err
}

// recorder is the observer of one half of a Capture.
type recorder struct {
	c    *Capture
	dir  Dir
	seen []seen
	data []byte // of all of seen
}

// seen is a packet that may pass.
type seen struct {
	at       time.Time
	from, to int // in recorder.data
	size     int
	meta     hal.Meta
}

func (r *recorder) look(chain []hal.Frame) {
	s := seen{at: r.c.now(), from: len(r.data), size: hal.PacketLen(chain), meta: chain[0].Meta}
	room := r.c.snapLen
	for i := range chain {
		d := chain[i].Data[:min(len(chain[i].Data), room)]
		r.data = append(r.data, d...)
		room -= len(d)
	}
	s.to = len(r.data)
	r.seen = append(r.seen, s)
}

func (r *recorder) passed(packets int) {
	dir := pcapng.In
	if r.dir == Tx {
		dir = pcapng.Out
	}
	for _, s := range r.seen[:packets] {
		p := pcapng.Packet{
			Interface: r.c.id, Time: s.at, Data: r.data[s.from:s.to], Len: s.size, Dir: dir, Comments: s.comments(),
		}
		if r.c.w.Write(p) != nil {
			r.c.lost.Add(1)
		} else {
			r.c.captured.Add(1)
		}
	}
	r.seen, r.data = r.seen[:0], r.data[:0]
	if r.dir == Rx {
		r.c.w.Flush()
	}
}

func (r *recorder) flush() { r.c.w.Flush() }

// comments says what the bytes of a packet do not.
func (s *seen) comments() (cs []string) {
	if n := s.to - s.from; n < s.size {
		cs = append(cs, fmt.Sprintf("truncated to %d of %d", n, s.size))
	}
	if s.meta.GSO != hal.GSONone {
		cs = append(cs, fmt.Sprintf("super-frame: %v, to be cut every %d bytes of payload", s.meta.GSO, s.meta.GSOSize))
	}
	if s.meta.NeedsCsum {
		cs = append(cs, "partial checksum, to be completed by the device")
	}
	return cs
}
