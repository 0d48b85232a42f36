//go:build !linux

package rawbench

import (
	"context"
	"fmt"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// Plain is the yardstick; it exists on Linux only.
type Plain struct{}

var errLinux = fmt.Errorf("packet sockets exist on Linux only: %w", hal.ErrNotSupported)

// OpenPlain fails.
func OpenPlain(string) (*Plain, error) { return nil, errLinux }

// MAC returns no address.
func (p *Plain) MAC() hal.MAC { return hal.MAC{} }

// Close does nothing.
func (p *Plain) Close() error { return nil }

// Send fails.
func (p *Plain) Send(context.Context, []byte, time.Duration) (Result, error) {
	return Result{}, errLinux
}

// Receive fails.
func (p *Plain) Receive(context.Context, time.Duration) (Result, error) { return Result{}, errLinux }
