package api

import (
	"context"
	"time"
)

// end returns when a dial has to be over; zero is never.
func (d *Dialer) end(ctx context.Context) time.Time {
	var end time.Time
	if d.Timeout > 0 {
		end = d.Net.lib.timers.Now().Add(d.Timeout)
	}
	return earlier(ctx, end)
}

// earlier returns the earlier one of a time and the deadline of ctx; zero is
// never. Deadlines of contexts count as the transport's time, as all others do.
func earlier(ctx context.Context, t time.Time) time.Time {
	if deadline, ok := ctx.Deadline(); ok && (t.IsZero() || deadline.Before(t)) {
		return deadline
	}
	return t
}
