package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Proxy is what New has opened. All methods are safe for concurrent use.
type Proxy struct {
	cfg      Config
	services []service
	places   chan struct{} // holds one for each flow that there is
	dialing  context.Context
	stopDial context.CancelFunc
	failed   chan error // holds the first failure of a listener

	stopping chan struct{}  // closed when nothing new may begin
	running  sync.WaitGroup // every goroutine

	mu      sync.Mutex // guards the following
	started bool
	stopped bool
	streams map[*stream]struct{}
	idle    chan struct{}          // closed when stopped and no stream is left
	others  map[io.Closer]struct{} // flows of datagrams
}

// A service is a listener with what is done there. run returns when it is closed.
type service struct {
	io.Closer
	run   func() error
	count *counters
}

// New opens the listeners of a proxy, which are served from Serve on. It fails if
// one of them cannot be opened; its errors name the route.
func New(cfg Config) (*Proxy, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Proxy{
		cfg: cfg, places: make(chan struct{}, cfg.MaxFlows), failed: make(chan error, 1), stopping: make(chan struct{}),
		streams: map[*stream]struct{}{}, idle: make(chan struct{}), others: map[io.Closer]struct{}{},
	}
	p.dialing, p.stopDial = context.WithCancel(context.Background())
	if err := p.open(); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Proxy) open() error {
	for _, r := range p.cfg.Forward {
		if err := p.openRoute("forward", r, p.cfg.Kernel, p.cfg.Host); err != nil {
			return err
		}
	}
	for _, r := range p.cfg.Publish {
		if err := p.openRoute("publish", r, p.cfg.Host, p.cfg.Kernel); err != nil {
			return err
		}
	}
	for _, address := range p.cfg.Socks {
		ln, err := p.cfg.Kernel.Listen("tcp", address)
		if err != nil {
			return explain("socks "+address, err)
		}
		c := &counters{kind: "socks", network: "tcp", listen: ln.Addr().String()}
		p.add(service{ln, func() error { return p.accept(ln, c, p.serveSocks) }, c})
	}
	return nil
}

func (p *Proxy) openRoute(kind string, r Route, from, to Network) error {
	c := &counters{kind: kind, network: r.Network, target: r.Target}
	if r.Network == "udp" {
		pc, err := from.ListenPacket("udp", r.Listen)
		if err != nil {
			return explain(kind+" "+r.String(), err)
		}
		c.listen = pc.LocalAddr().String()
		d := &datagrams{p: p, pc: pc.(packetConn), to: to, count: c}
		p.add(service{pc, d.run, c})
		return nil
	}
	ln, err := from.Listen("tcp", r.Listen)
	if err != nil {
		return explain(kind+" "+r.String(), err)
	}
	c.listen = ln.Addr().String()
	serve := func(s *stream) error { return s.forward(to, r.Target) }
	p.add(service{ln, func() error { return p.accept(ln, c, serve) }, c})
	return nil
}

func (p *Proxy) add(s service) { p.services = append(p.services, s) }

// explain says what helps against an error of a listener.
func explain(what string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "; somebody listens there: choose another port, or 0 for a free one"
	case errors.Is(err, syscall.EACCES):
		hint = "; ports below 1024 take the capability CAP_NET_BIND_SERVICE: choose a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "; the listener's address must be one of its own side"
	}
	return fmt.Errorf("%s: %w%s", what, err, hint)
}

// Serve serves until ctx ends, and then returns nil, or until a listener fails.
// Connections go on: see Shutdown. It is called once.
func (p *Proxy) Serve(ctx context.Context) error {
	p.mu.Lock()
	if p.started || p.stopped {
		p.mu.Unlock()
		return net.ErrClosed
	}
	p.started = true
	for _, s := range p.services {
		p.running.Go(func() {
			err := s.run()
			if p.isStopping() {
				return // we have closed it
			}
			select {
			case p.failed <- fmt.Errorf("%s %s: %w", s.count.kind, s.count.listen, err):
			default: // somebody else has failed as well
			}
		})
	}
	p.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-p.stopping:
	case err := <-p.failed:
		return err
	}
	return nil
}

// Shutdown ends the proxy when its connections have ended; it listens no more, and
// flows of datagrams end at once. If ctx ends before, what is left is reset, and
// the error, which wraps that of ctx, says how many connections that were.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.stop()
	var err error
	select {
	case <-p.idle:
	case <-ctx.Done():
		switch n := p.abort(); n {
		case 0:
		case 1:
			err = fmt.Errorf("1 connection was reset: %w", ctx.Err())
		default:
			err = fmt.Errorf("%d connections were reset: %w", n, ctx.Err())
		}
	}
	p.stopDial()
	p.running.Wait()
	return err
}

// Close ends the proxy at once. It returns when no goroutine of it is left, and may
// be called more than once, also during Shutdown.
func (p *Proxy) Close() error {
	p.stop()
	p.stopDial()
	p.abort()
	p.running.Wait()
	return nil
}

// stop lets nothing new begin.
func (p *Proxy) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	close(p.stopping)
	for _, s := range p.services {
		s.Close()
	}
	for c := range p.others {
		c.Close()
	}
	if len(p.streams) == 0 {
		close(p.idle)
	}
}

func (p *Proxy) isStopping() bool {
	select {
	case <-p.stopping:
		return true
	default:
		return false
	}
}

// abort resets all streams and returns how many there were.
func (p *Proxy) abort() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.streams)
	for s := range p.streams {
		s.reset()
	}
	return n
}

// Stats returns the counters, listener by listener: those of Forward, of Publish,
// and of Socks, in their order.
func (p *Proxy) Stats() []Stats {
	list := make([]Stats, 0, len(p.services))
	for _, s := range p.services {
		list = append(list, s.count.read())
	}
	return list
}

// take waits for a place for another flow. It returns false if there will be none.
func (p *Proxy) take() bool {
	select {
	case p.places <- struct{}{}:
		return true
	case <-p.stopping:
		return false
	}
}

// tryTake is take without waiting.
func (p *Proxy) tryTake() bool {
	select {
	case p.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *Proxy) give() { <-p.places }

// keep notes what stop has to close. It returns false if that has happened.
func (p *Proxy) keep(c io.Closer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.others[c] = struct{}{}
	}
	return !p.stopped
}

func (p *Proxy) forget(c io.Closer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.others, c)
}

// deadline is how long something may take that is begun now.
func (p *Proxy) deadline(d time.Duration) time.Time { return p.cfg.Now().Add(d) }
