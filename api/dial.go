package api

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// What a Dialer does with the addresses of a name.

const (
	defaultFallbackDelay = 300 * time.Millisecond

	// leastForAddress is what an address is given before there is any time
	// for the next.
	leastForAddress = 2 * time.Second
)

// A dialed is a socket that is connected.
type dialed struct {
	s *socket
	r Result
}

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

// dialAny connects to one of the addresses of a name. Its errors are those of
// the net face.
func (d *Dialer) dialAny(ctx context.Context, end time.Time, nw Network, addrs []netip.AddrPort) (dialed, error) {
	if from := d.LocalAddr.Addr().Unmap(); from.IsValid() && !from.IsUnspecified() {
		other := func(a netip.AddrPort) bool { return a.Addr().Is4() != from.Is4() }
		if addrs = slices.DeleteFunc(addrs, other); len(addrs) == 0 {
			err := &net.AddrError{Err: "no suitable address found", Addr: d.LocalAddr.String()}
			return dialed{}, &net.OpError{Op: "dial", Net: nw.String(), Err: err}
		}
	}
	if nw != TCP || d.FallbackDelay < 0 {
		return d.dialEach(ctx, end, nw, addrs)
	}
	var first, second []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() == addrs[0].Addr().Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	if len(second) == 0 {
		return d.dialEach(ctx, end, nw, first)
	}
	return d.race(ctx, end, nw, first, second)
}

// race dials two families, the second when the first has had FallbackDelay or
// has failed. It returns when both dials are over.
func (d *Dialer) race(ctx context.Context, end time.Time, nw Network, first, second []netip.AddrPort) (dialed, error) {
	ctx, win := context.WithCancel(ctx)
	defer win()
	start := make(chan struct{})
	begin := sync.OnceFunc(func() { close(start) })
	delay := d.FallbackDelay
	if delay == 0 {
		delay = defaultFallbackDelay
	}
	timer := d.Net.lib.timers.AfterFunc(delay, begin)
	defer timer.Stop()

	var fallback dialed
	fallbackErr := error(errNotTried)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-start:
		case <-ctx.Done():
			return
		}
		if fallback, fallbackErr = d.dialEach(ctx, end, nw, second); fallbackErr == nil {
			win()
		}
	})
	c, err := d.dialEach(ctx, end, nw, first)
	if err == nil {
		win()
	}
	begin()
	wg.Wait()
	switch {
	case err == nil && fallbackErr == nil: // in the same moment
		_ = fallback.s.close()
	case fallbackErr == nil:
		return fallback, nil
	}
	return c, err
}

var errNotTried = errors.New("not tried")

// dialEach connects to the first of some addresses that answers, one after the
// other. The error is that of the first.
func (d *Dialer) dialEach(ctx context.Context, end time.Time, nw Network, addrs []netip.AddrPort) (dialed, error) {
	var first error
	for i, addr := range addrs {
		over := share(d.Net.lib.timers.Now(), end, len(addrs)-i, leastForAddress)
		s, r, err := d.connect(ctx, over, nw, addr)
		if err == nil {
			return dialed{s, r}, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = context.DeadlineExceeded
		}
		if first == nil {
			first = opError("dial", "connect", nw.String(), netAddr(nw, d.LocalAddr), netAddr(nw, addr), err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return dialed{}, first
}
