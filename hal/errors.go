package hal

import (
	"errors"
	"fmt"
)

// Errors of this package, to be asked for with [errors.Is].
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("hal: the device is closed")

	// ErrShortBurst is returned by Rx when there is no room for a chain.
	ErrShortBurst = errors.New("hal: the burst is shorter than Info.MaxChain")

	// ErrTooLong is returned by Alloc for a packet that the device can never send.
	ErrTooLong = errors.New("hal: packet longer than the device can send")

	// ErrSpec is wrapped by every complaint about the text of a spec.
	ErrSpec = errors.New("bad device spec")

	// ErrNotSupported is wrapped when the system, the build or the device
	// lacks something; the text around it says what, and how to get it.
	ErrNotSupported = fmt.Errorf("not supported here: %w", errors.ErrUnsupported)
)
