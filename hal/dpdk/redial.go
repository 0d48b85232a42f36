//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"sync"
	"time"
)

// redialEvery is how often a port that has lost its server looks for it.
const redialEvery = 100 * time.Millisecond

// A redialer connects a port of memif to its server again and again: DPDK does it
// once, when the port is started. So it does not matter either who is there first.
type redialer struct {
	stop chan struct{}
	once sync.Once
	done chan struct{}
}

func newRedialer(d *device) *redialer {
	r := &redialer{stop: make(chan struct{}), done: make(chan struct{})}
	go r.run(d)
	return r
}

func (r *redialer) run(d *device) {
	defer close(r.done)
	tick := time.NewTicker(redialEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
			d.redial()
		}
	}
}

// end returns when nobody redials any more. It is idempotent, and the caller must not
// hold eal's lock.
func (r *redialer) end() {
	r.once.Do(func() { close(r.stop) })
	<-r.done
}

// redial restarts the port if its link is down. A burst finds it stopped meanwhile,
// and until a start succeeds.
func (d *device) redial() {
	eal.Lock()
	defer eal.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || C.rt_port_up(d.port) == 1 {
		return
	}
	for _, q := range d.queues {
		q.rx.mu.Lock()
		q.tx.mu.Lock()
	}
	stopped := failure(C.rt_port_restart(d.port)) != nil
	for _, q := range d.queues {
		q.rx.stopped, q.tx.stopped = stopped, stopped
		q.tx.mu.Unlock()
		q.rx.mu.Unlock()
	}
}
