package api

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// opError makes the error of the net face: what package net would have said for
// the same leaf. call is the name of the system call there. nil and io.EOF stay
// what they are.
func opError(op, call, network string, source, addr net.Addr, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		err = os.NewSyscallError(call, err)
	case errors.Is(err, context.Canceled):
		err = canceled{}
	case errors.Is(err, context.DeadlineExceeded):
		err = timedOut{}
	}
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

// canceled and timedOut are the ends of contexts, worded as in package net.
type (
	canceled struct{}
	timedOut struct{}
)

func (canceled) Error() string        { return "operation was canceled" }
func (canceled) Is(target error) bool { return target == context.Canceled }

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }
func (timedOut) Is(target error) bool {
	return target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded
}
