package api

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// An Error is what calls and completions of the queue face fail with. Err is a
// [syscall.Errno] of a name that Linux, macOS, FreeBSD and Windows all have
// (so that errors.Is(err, syscall.ECONNREFUSED) works everywhere), the cause
// given to a cancel, or [net.ErrClosed] after [LibOS.Exit]. When the last device
// of a host has failed it is ENETDOWN, with the device's own error beside it. Which
// call fails with which is in docs/misuse.md.
type Error struct {
	Op   string         // "pop", "bind", …
	QD   QD             // 0 if there is none
	Addr netip.AddrPort // the address of the call, if it has one
	Err  error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.QD != 0 {
		b.WriteString(" QD ")
		b.WriteString(strconv.Itoa(int(e.QD)))
	}
	if e.Addr.IsValid() {
		b.WriteString(" ")
		b.WriteString(e.Addr.String())
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the error is a timeout.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// fail makes an Error of the leaf of a call, and nil of nil. To a call whose
// descriptor was closed meanwhile the descriptor is bad.
func (l *LibOS) fail(op string, qd QD, addr netip.AddrPort, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, net.ErrClosed) && !l.gone() {
		err = syscall.EBADF
	}
	return &Error{Op: op, QD: qd, Addr: addr, Err: err}
}

func (l *LibOS) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}
