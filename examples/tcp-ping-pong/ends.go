package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// serve sends everything back, for any number of clients, in one goroutine. It
// calls ready once it listens.
func serve(ctx context.Context, lib *api.LibOS, addr netip.AddrPort, ready func()) error {
	ln, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	if err := lib.Bind(ln, addr); err != nil {
		return err
	}
	if err := lib.Listen(ln, 128); err != nil {
		return err
	}
	if _, err := lib.Accept(ln); err != nil {
		return err
	}
	ready()
	for c, err := range lib.Completions(ctx) {
		switch {
		case err != nil:
			return err
		case c.Op == api.OpAccept && c.Err != nil:
			return c.Err
		case c.Op == api.OpAccept:
			lib.Pop(c.New)
			lib.Accept(ln)
		case c.Err != nil || c.EOF:
			c.SGA.Free()
			lib.Close(c.QD)
		case c.Op == api.OpPop:
			lib.Push(c.QD, c.SGA)
		case c.Op == api.OpPush:
			c.SGA.Free()
			lib.Pop(c.QD)
		}
	}
	return nil
}

// client sends the messages and prints what they took.
func client(ctx context.Context, lib *api.LibOS, addr netip.AddrPort, requests, size int, out io.Writer) error {
	qd, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	defer lib.Close(qd)
	t, err := lib.Connect(qd, addr)
	if _, err := wait(ctx, lib, t, err); err != nil {
		return err
	}
	took := make([]time.Duration, 0, requests)
	message, answer := make([]byte, size), make([]byte, 0, size)
	for i := range requests {
		for j := range message {
			message[j] = byte(i + j)
		}
		start := time.Now()
		if answer, err = exchange(ctx, lib, qd, message, answer[:0]); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		took = append(took, time.Since(start))
		if !bytes.Equal(message, answer) {
			return fmt.Errorf("message %d came back as another", i)
		}
	}
	slices.Sort(took)
	_, err = fmt.Fprintf(out, "requests %d, p50 %v, p99 %v\n", requests, took[requests/2], took[requests*99/100])
	return err
}

// exchange sends a message, and appends to answer what comes back, until that is
// as long.
func exchange(ctx context.Context, lib *api.LibOS, qd api.QD, message, answer []byte) ([]byte, error) {
	t, err := lib.Push(qd, api.SGAOf(message))
	if _, err := wait(ctx, lib, t, err); err != nil {
		return nil, err
	}
	for len(answer) < len(message) {
		t, err := lib.Pop(qd)
		c, err := wait(ctx, lib, t, err)
		if err != nil {
			return nil, err
		}
		if c.EOF {
			return nil, io.ErrUnexpectedEOF
		}
		answer = c.SGA.Append(answer)
		c.SGA.Free()
	}
	return answer, nil
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
