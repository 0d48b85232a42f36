package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/rawbench"
)

// benchLoop is one measurement: the hidden command "bench loop", in a process of
// its own. It prints a line with the MAC address when it is ready, and then its
// result as JSON.
type benchLoop struct {
	con     console
	spec    string
	plain   string // interface of a packet socket instead
	receive bool
	size    int
	time    time.Duration
	to      string
}

func newBenchLoop(con console) *cobra.Command {
	l := benchLoop{con: con}
	c := &cobra.Command{
		Use: "loop", Hidden: true, Short: "One loop of bench raw, in the current namespace",
		Args: nArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return l.run(c.Context()) },
	}
	c.Flags().StringVar(&l.spec, "hal", "", "device")
	c.Flags().StringVar(&l.plain, "plain", "", "interface of a packet socket, instead of a device")
	c.Flags().BoolVar(&l.receive, "receive", false, "receive, not send")
	c.Flags().IntVar(&l.size, "size", 64, "of a frame")
	c.Flags().DurationVar(&l.time, "time", time.Second, "how long")
	c.Flags().StringVar(&l.to, "to", "02:00:00:00:00:fe", "MAC address that frames go to")
	return c
}

func (l *benchLoop) run(ctx context.Context) (err error) {
	to, err := net.ParseMAC(l.to)
	if err != nil || len(to) != len(hal.MAC{}) {
		return usageError("--to %q is no MAC address", l.to)
	}
	loop, mac, done, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	fmt.Fprintln(l.con.out, mac)
	r, err := loop(rawbench.Frame(mac, hal.MAC(to), l.size))
	if err != nil {
		return err
	}
	return json.NewEncoder(l.con.out).Encode(r)
}

// open opens what is measured, and returns the loop over it.
func (l *benchLoop) open(ctx context.Context) (loop func(frame []byte) (rawbench.Result, error), mac hal.MAC, done func() error, err error) {
	if l.plain != "" {
		p, err := rawbench.OpenPlain(l.plain)
		if err != nil {
			return nil, mac, nil, err
		}
		return func(frame []byte) (rawbench.Result, error) {
			if l.receive {
				return p.Receive(ctx, l.time)
			}
			return p.Send(ctx, frame, l.time)
		}, p.MAC(), p.Close, nil
	}
	dev, err := hal.Open(l.spec)
	if err != nil {
		return nil, mac, nil, err
	}
	info := dev.Info()
	return func(frame []byte) (r rawbench.Result, err error) {
		ctx, cancel := context.WithCancel(ctx)
		far, err := l.startFar(ctx, frame)
		defer func() {
			cancel()
			far()
		}()
		if err != nil {
			return r, err
		}
		if l.receive {
			r, err = rawbench.Receive(ctx, dev, l.time)
		} else {
			r, err = rawbench.Send(ctx, dev, frame, l.time)
		}
		r.Mode = info.Mode
		return r, err
	}, info.MAC, dev.Close, nil
}

// startFar starts the other end of a wire in memory, which no other process can
// reach, and returns a function that waits for its end.
func (l *benchLoop) startFar(ctx context.Context, frame []byte) (wait func(), err error) {
	if !strings.HasPrefix(l.spec, "loopback:") {
		return func() {}, nil
	}
	far, err := hal.Open(l.spec)
	if err != nil {
		return func() {}, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer far.Close()
		if l.receive {
			_, _ = rawbench.Send(ctx, far, frame, time.Hour) // until the receiver has enough
		} else {
			_, _ = rawbench.Receive(ctx, far, time.Hour)
		}
	}()
	return func() { <-ended }, nil
}
