package sim

import (
	"context"
	"errors"
	"time"
)

// Now returns the time by the host's own clock: see [HostConfig].Skew.
func (h *Host) Now() time.Time { return h.hostTime(h.w.clock()) }

// hostTime is what the host's clock shows at a moment of the world.
func (h *Host) hostTime(ns int64) time.Time {
	return h.w.at(ns + gain(ns, h.cfg.Drift)).Add(h.cfg.Skew)
}

// gain is how much a clock with a drift is ahead after ns.
func gain(ns, drift int64) int64 {
	const million = 1_000_000
	return ns/million*drift + ns%million*drift/million
}

// worldTime is the first moment of the world at which the host's clock shows t.
func (h *Host) worldTime(t time.Time) int64 {
	ns := h.w.ns(t.Add(-h.cfg.Skew))
	if h.cfg.Drift == 0 {
		return ns
	}
	when := int64(float64(ns) / (1 + float64(h.cfg.Drift)/1e6))
	for h.hostTime(when).Before(t) {
		when += 1 + int64(t.Sub(h.hostTime(when)))/2
	}
	return when
}

// A readiness is how it stands with the addresses of a host that was started.
type readiness struct {
	done chan struct{}
	over bool // of the driver
	err  error
}

func newReadiness() *readiness { return &readiness{done: make(chan struct{})} }

// asking is a context that has ended: who waits by it only asks.
var asking = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// look looks whether the stack knows more.
func (r *readiness) look(h *Host) {
	if r.over {
		return
	}
	if err := h.stack.Ready(asking); !errors.Is(err, context.Canceled) {
		r.end(h.w, err)
	}
}

// end tells those who wait.
func (r *readiness) end(w *World, err error) {
	if r.over {
		return
	}
	r.over, r.err = true, err
	w.finish(func() { close(r.done) })
}

// Ready waits until the addresses of the host can be used: see [stack.Host.Ready].
// Those of IPv4 can at once, others after a second or two. In a stepped world it
// takes the steps.
func (h *Host) Ready(ctx context.Context) error {
	r := h.ready.Load()
	if h.w.isStepped() {
		if !h.w.RunUntil(func() bool { return r.over || ctx.Err() != nil }) {
			return errors.Join(errors.New("sim: nothing happens any more"), h.stack.Ready(asking))
		}
		if !r.over {
			return ctx.Err()
		}
		return r.err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
