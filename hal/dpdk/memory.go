//go:build dpdk && cgo && linux

package dpdk

/*
#cgo pkg-config: libdpdk
#cgo LDFLAGS: -lrte_net_ring
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Everything of this package that reads or writes C memory by address is here.
// Structures that both sides use are C's: no pointer of Go gets there.

// cStrings calls f with the C form of strings, which lives as long as the call.
func cStrings(args []string, f func(n C.int, argv **C.char)) {
	argv := (**C.char)(C.calloc(C.size_t(len(args)+1), C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(argv))
	list := unsafe.Slice(argv, len(args))
	for i, a := range args {
		list[i] = C.CString(a)
		defer C.free(unsafe.Pointer(list[i]))
	}
	f(C.int(len(args)), argv)
}

// cString calls f with the C form of a string.
func cString(s string, f func(*C.char)) {
	c := C.CString(s)
	defer C.free(unsafe.Pointer(c))
	f(c)
}

// eal starts EAL. It may write to its arguments' list, and keeps none of them.
func ealInit(args []string) error {
	var r C.int
	cStrings(args, func(n C.int, argv **C.char) { r = C.rt_eal_init(n, argv) })
	return failure(r)
}

// failure makes an error of what a function of the shim returned.
func failure(r C.int) error {
	if r >= 0 {
		return nil
	}
	return errno(-r)
}

// errno is an error of DPDK: those of the system, and a few of its own.
type errno C.int

func (e errno) Error() string {
	if e < 1000 {
		return unix.Errno(e).Error()
	}
	return C.GoString(C.rt_strerror(C.int(e)))
}

// Is and Unwrap let errors.Is see the system's number.
func (e errno) Unwrap() error { return unix.Errno(e) }

// newRx and newTx make the part of a half that lives in C memory.
func newRx(r C.struct_rt_rxq) (*C.struct_rt_rxq, []C.struct_rt_slot, error) {
	q := (*C.struct_rt_rxq)(C.calloc(1, C.sizeof_struct_rt_rxq))
	*q = r
	if err := failure(C.rt_rxq_init(q)); err != nil {
		freeRx(q)
		return nil, nil, err
	}
	return q, unsafe.Slice(q.slots, q.slots_n), nil
}

func freeRx(q *C.struct_rt_rxq) {
	C.rt_rxq_free(q)
	C.free(unsafe.Pointer(q))
}

func newTx(t C.struct_rt_txq) (*C.struct_rt_txq, []C.struct_rt_slot, error) {
	q := (*C.struct_rt_txq)(C.calloc(1, C.sizeof_struct_rt_txq))
	*q = t
	if err := failure(C.rt_txq_init(q)); err != nil {
		freeTx(q)
		return nil, nil, err
	}
	return q, unsafe.Slice(q.slots, q.slots_n), nil
}

func freeTx(q *C.struct_rt_txq) {
	C.rt_txq_free(q)
	C.free(unsafe.Pointer(q))
}

// numbers is a list of slots in C memory.
func numbers(p *C.uint16_t, n int) []C.uint16_t { return unsafe.Slice(p, n) }

// view is the memory of a slot's buffer. It is DPDK's: the loan's end is the end of
// its use, and the pool that it comes from is freed after the last loan.
func view(s *C.struct_rt_slot) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(s.buf)), int(s.room))
}

// offset says where in a slot's buffer data begins. It panics if it is elsewhere.
func offset(s *C.struct_rt_slot, data []byte) int {
	at := int(s.room) - cap(data)
	if at < 0 || len(data) > 0 && &data[0] != (*byte)(unsafe.Add(unsafe.Pointer(s.buf), at)) {
		panic(fmt.Sprintf("dpdk: Tx of a frame that is not from Alloc of this half (%d bytes)", len(data)))
	}
	return at
}

// xstats reads the counters of a port by their names.
func xstats(port C.uint16_t) map[string]uint64 {
	var names *[64]C.char
	var values *C.uint64_t
	n := C.rt_port_xstats(port, &names, &values)
	defer C.free(unsafe.Pointer(names))
	defer C.free(unsafe.Pointer(values))
	m := make(map[string]uint64, max(n, 0))
	if n <= 0 {
		return m
	}
	vs := unsafe.Slice(values, n)
	for i, name := range unsafe.Slice(names, n) {
		m[C.GoString(&name[0])] = uint64(vs[i])
	}
	return m
}
