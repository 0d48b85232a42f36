// Package door lets package gvisorlink into the hosts of package stack, whose
// exported names show no type of gVisor:
//
//	err := door.Enter(host, func(st *stack.Stack) { … }) // in a turn
package door

import "gvisor.dev/gvisor/pkg/tcpip/stack"

// Enter calls f with the stack of a host, a *Host of Ringtail's package stack,
// within a turn of that host. It fails with net.ErrClosed, without calling f, if
// the host is closed. Package stack sets it when it is initialised.
var Enter func(host any, f func(*stack.Stack)) error
