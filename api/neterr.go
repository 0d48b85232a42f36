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
// the same leaf. call is the name of the system call there, unless err says one
// itself. nil and io.EOF stay what they are.
func opError(op, call, network string, source, addr net.Addr, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	plain, ok := err.(asItIs)
	switch {
	case ok:
		err = plain.error
	case errors.As(err, new(*os.SyscallError)):
	case errors.As(err, new(syscall.Errno)):
		err = callError(call, err)
	case errors.Is(err, context.Canceled):
		err = canceled{}
	case errors.Is(err, context.DeadlineExceeded):
		err = timedOut{}
	}
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

// callError says which system call a leaf is from. Leaves without a number have
// none.
func callError(call string, err error) error {
	if !errors.As(err, new(syscall.Errno)) || errors.As(err, new(*os.SyscallError)) {
		return err
	}
	return os.NewSyscallError(call, err)
}

// asItIs is an error that is from no system call, and nothing to be added to.
type asItIs struct{ error }

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
