package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

// client sends in, a piece at a time, and writes to out what comes back. It has
// one thing to do at a time, so it waits for each op by name.
func client(ctx context.Context, lib *api.LibOS, addr netip.AddrPort, in io.Reader, out io.Writer) error {
	qd, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	defer lib.Close(qd)
	t, err := lib.Connect(qd, addr)
	if _, err := wait(ctx, lib, t, err); err != nil {
		return err
	}
	buf := make([]byte, 32<<10) // fits the buffers on the way: the push waits for nobody
	for {
		n, eof := in.Read(buf)
		if n > 0 {
			if err := exchange(ctx, lib, qd, buf[:n], out); err != nil {
				return err
			}
		}
		if eof == io.EOF {
			return nil
		}
		if eof != nil {
			return eof
		}
	}
}

// exchange sends p and waits until as much has come back.
func exchange(ctx context.Context, lib *api.LibOS, qd api.QD, p []byte, out io.Writer) error {
	t, err := lib.Push(qd, api.SGAOf(p))
	if _, err := wait(ctx, lib, t, err); err != nil {
		return err
	}
	for n := len(p); n > 0; {
		t, err := lib.Pop(qd)
		c, err := wait(ctx, lib, t, err)
		if err != nil {
			return err
		}
		if c.EOF {
			return fmt.Errorf("the server has closed the connection: %w", io.ErrUnexpectedEOF)
		}
		for _, seg := range c.SGA.Segs {
			out.Write(seg)
		}
		c.SGA.Free()
		n -= c.N
	}
	return nil
}

// wait waits for an op by name. That the op could not be begun, that waiting
// failed, or that the op did: to this program it is all the same.
func wait(ctx context.Context, lib *api.LibOS, t api.Token, err error) (api.Completion, error) {
	if err != nil {
		return api.Completion{}, err
	}
	c, err := lib.Wait(ctx, t)
	if err == nil {
		err = c.Err
	}
	return c, err
}
