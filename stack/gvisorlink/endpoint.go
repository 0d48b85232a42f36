package gvisorlink

import (
	"errors"
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack/internal/bridge"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// endpoint drives a bridge.Link: one goroutine receives, writers send.
type endpoint struct {
	*bridge.Link
	opt     Options
	sleeper hal.Sleeper

	detached chan struct{} // closed when the goroutine is to end
	ended    chan struct{} // closed when it has

	mu      sync.Mutex // nothing of the stack is called with it held
	started bool       // the goroutine
	stopped bool       // detached is closed
	closed  bool
	waiting bool // packets wait for the device to become writable
}

var (
	_ stack.LinkEndpoint = (*endpoint)(nil)
	_ stack.GSOEndpoint  = (*endpoint)(nil)
	_ Dropper            = (*endpoint)(nil)
)

// burst is how many frames are received before the writers' backlog is looked
// after.
const burst = 64

// Attach implements stack.LinkEndpoint. The stack calls it with a lock held, so
// with nil it only tells the goroutine to end: that may need the lock to get out
// of the stack.
func (e *endpoint) Attach(d stack.NetworkDispatcher) {
	e.Link.Attach(d)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case d == nil:
		e.stop()
	case e.stopped:
		e.opt.Logger.Error("a link that was closed receives nothing in another stack", "device", e.Device().Info().Name)
	case !e.started:
		e.started = true
		go e.run()
	}
}

// stop tells the goroutine to end. The caller holds e.mu.
func (e *endpoint) stop() {
	if !e.stopped {
		e.stopped = true
		close(e.detached)
		e.sleeper.Wake()
	}
}

// Wait implements stack.LinkEndpoint: it waits for the goroutine, which ends
// when the device fails or is closed. Once the stack has detached the link it
// does not wait, since the stack then holds the lock that the goroutine may need
// to end. It calls Close afterwards without the lock, and that waits.
func (e *endpoint) Wait() {
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if !started {
		return
	}
	select {
	case <-e.ended:
	case <-e.detached:
	}
}

// Close implements stack.LinkEndpoint. When it returns the goroutine has ended,
// the device, if it is not closed, has all its frames back, and packets that
// waited are dropped.
func (e *endpoint) Close() {
	e.mu.Lock()
	e.stop()
	started, closed := e.started, e.closed
	e.closed = true
	e.mu.Unlock()
	if started {
		<-e.ended
	}
	if closed {
		return
	}
	err := e.sleeper.Close()
	e.Link.Discard()
	e.Link.Close()
	if e.opt.CloseDevice {
		err = errors.Join(err, e.Device().Close())
	}
	if err != nil {
		e.opt.Logger.Warn("closing a link", "device", e.Device().Info().Name, "err", err)
	}
}

// WritePackets implements stack.LinkWriter. It does not block; what the device
// has no room for waits.
func (e *endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, &tcpip.ErrClosedForSend{}
	}
	n, err := e.Link.WritePackets(pkts)
	failed := e.flush()
	if _, delayed := e.Pending(); delayed || failed != nil {
		e.sleeper.Wake()
	}
	return n, err
}

// flush sends what waits and can be sent. The caller holds e.mu.
func (e *endpoint) flush() error {
	waiting, err := e.Link.Flush()
	if waiting != e.waiting {
		e.waiting = waiting
		e.sleeper.SetWritable(waiting)
	}
	return err
}

// run is the goroutine.
func (e *endpoint) run() {
	err := e.receive()
	close(e.ended) // before OnError, which may remove the link
	if err != nil {
		e.opt.Logger.Error("device failed", "device", e.Device().Info().Name, "err", err)
		if e.opt.OnError != nil {
			e.opt.OnError(err)
		}
	}
}

// receive delivers what arrives, and sends what waited, until the link is
// detached (nil) or the device fails.
func (e *endpoint) receive() error {
	for {
		more, err := e.Link.Receive(burst)
		e.mu.Lock()
		if err == nil {
			err = e.flush()
		}
		stopped := e.stopped
		e.mu.Unlock()
		switch {
		case stopped:
			return nil
		case err != nil:
			return err
		case more:
			continue
		}
		if err := e.sleeper.Wait(time.Time{}); err != nil {
			return err
		}
	}
}
