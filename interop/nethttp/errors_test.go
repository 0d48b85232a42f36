package nethttp_test

import (
	"errors"
	"syscall"
)

// isReset reports whether the peer has ended a connection with data unread.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
