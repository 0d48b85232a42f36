//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

// bareRx and bareTx are a burst without this package's layer, in one call of C: what
// its benchmark compares with. Go's tests cannot call C themselves.
func (d *device) bareRx() int { return int(C.rt_bare_rx(d.port, 0)) }

func (d *device) bareTx(length int) int {
	return int(C.rt_bare_tx(d.port, 0, d.pool.c, C.uint16_t(length)))
}
