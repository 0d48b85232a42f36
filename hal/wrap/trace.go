package wrap

import (
	"context"
	"log/slog"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// TraceOptions say how packets are logged. The zero value logs at level info.
type TraceOptions struct {
	Level slog.Level
	Now   func() time.Time // the clock of the lines; nil: time.Now
}

// A Tracer is a device whose packets are logged: see [Trace].
type Tracer struct {
	*observed
}

// Trace logs a line for every packet that passes between dev and its user: its
// direction, length, addresses, protocol, and what matters most of that. The
// result owns dev. As it is at its place, a super-frame is one line.
//
// It is for people who look at a few packets; to keep many, use [Pcap]. The
// handler is called by the owner of a half, so a slow one slows the traffic.
func Trace(dev hal.Device, l *slog.Logger, o TraceOptions) *Tracer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Tracer{newObserved(dev, func(dir Dir, queue int) observer {
		return &logger{handler: l.Handler(), o: o, dir: dir, queue: queue}
	})}
}

// logger is the observer of one half of a Tracer.
type logger struct {
	handler slog.Handler
	o       TraceOptions
	dir     Dir
	queue   int
	seen    []slog.Record
}

func (l *logger) enabled() bool { return l.handler.Enabled(context.Background(), l.o.Level) }

func (l *logger) look(chain []hal.Frame) {
	if !l.enabled() {
		return
	}
	r := slog.NewRecord(l.o.Now(), l.o.Level, l.dir.String(), 0)
	r.AddAttrs(slog.Int("bytes", hal.PacketLen(chain)))
	if l.queue > 0 {
		r.AddAttrs(slog.Int("queue", l.queue))
	}
	r.AddAttrs(summary(chain)...)
	l.seen = append(l.seen, r)
}

func (l *logger) passed(packets int) {
	for _, r := range l.seen[:min(packets, len(l.seen))] {
		// An error of the handler is the handler's: there is nobody to tell.
		_ = l.handler.Handle(context.Background(), r)
	}
	clear(l.seen)
	l.seen = l.seen[:0]
}

func (l *logger) flush() {}
