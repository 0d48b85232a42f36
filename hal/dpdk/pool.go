//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
)

// A pool is the memory of one port. It is freed last: after the port, and after the
// last frame that is on loan.
type pool struct {
	c     *C.struct_rte_mempool
	lends bool // its buffers get into the hands of other ports
}

// newPool makes a pool. The caller holds eal's lock.
func newPool(p plan, mbufs, room int) (*pool, error) {
	eal.pools++
	np := &pool{lends: p.kind.lends}
	err := error(nil)
	cString(fmt.Sprintf("rt%d.%d", os.Getpid(), eal.pools), func(name *C.char) {
		err = failure(C.rt_pool_new(name, C.uint(mbufs), C.uint(room), &np.c))
	})
	if err != nil {
		return nil, fmt.Errorf("memory for %d buffers of %d bytes (fewer mbufs=, or more memory: eal=\"-m 1024\", hugepages): %w", mbufs, room, err)
	}
	return np, nil
}

// retire frees the pool, or keeps it until other ports have given back what they
// have of it. What a port forgot when it was closed (af_xdp does) goes with it.
// The caller holds eal's lock.
func (p *pool) retire() {
	eal.late = append(eal.late, p)
	sweep()
}

// sweep frees the pools of closed ports that nobody uses any more. The caller holds
// eal's lock.
func sweep() {
	kept := eal.late[:0]
	for _, p := range eal.late {
		if p.lends && C.rt_pool_in_use(p.c) > 0 {
			kept = append(kept, p)
			continue
		}
		C.rt_pool_free(p.c)
	}
	clear(eal.late[len(kept):])
	eal.late = kept
}

// A cable is a pair of rings, which are two ports of net_ring.
type cable struct {
	rings [2]*C.struct_rte_ring
	taken [2]bool
}

// plug makes a port of net_ring that is a free end of a cable, which is made if
// there is none of this name. unplug gives the end back, after the port was closed.
// The caller holds eal's lock.
func plug(p plan) (port C.int, unplug func(), err error) {
	c := eal.cable[p.Pair]
	if c == nil {
		c = new(cable)
		for i := range c.rings {
			cString(fmt.Sprintf("rt%d.%s", i, p.Pair), func(name *C.char) {
				if err == nil {
					err = failure(C.rt_ring_new(name, &c.rings[i]))
				}
			})
		}
		if err != nil {
			c.free()
			return 0, nil, fmt.Errorf("pair %s: %w", p.Pair, err)
		}
		if eal.cable == nil {
			eal.cable = map[string]*cable{}
		}
		eal.cable[p.Pair] = c
	}
	end := 0
	if c.taken[0] {
		end = 1
	}
	if c.taken[end] {
		return 0, nil, fmt.Errorf("pair %s has two ends, and both are open", p.Pair)
	}
	unplug = func() {
		c.taken[end] = false
		if !c.taken[0] && !c.taken[1] {
			delete(eal.cable, p.Pair)
			c.free()
		}
	}
	c.taken[end] = true
	cString(p.Name, func(name *C.char) { port = C.rt_ring_port(name, c.rings[end], c.rings[1-end]) })
	if err := failure(port); err != nil {
		unplug()
		return 0, nil, err
	}
	return port, unplug, nil
}

func (c *cable) free() {
	for _, r := range c.rings {
		if r != nil {
			C.rt_ring_free(r)
		}
	}
}
