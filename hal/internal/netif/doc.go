// Package netif is what the drivers of the kernel's network interfaces have in
// common: names of interfaces, network namespaces, default routes, a descriptor that both halves
// of a queue use while Close may come at any moment, and memory that is lent by
// number. A driver's half is built on it like this:
//
//	type rxQueue struct {
//		netif.Half            // FD, Notify
//		pool netif.Pool
//	}
//
//	func (q *rxQueue) Rx(fs []hal.Frame) (int, error) {
//		fd := q.Lock()        // Close waits now
//		defer q.Unlock()
//		if fd < 0 {
//			return 0, hal.ErrClosed
//		}
//		ref, buf, ok := q.pool.Get()
//		…
//	}
//
// The trap: a descriptor's number may belong to another file as soon as it is
// closed, so no system call is made with it outside of Lock.
package netif
