package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap"
)

// hostFlags are the options of every command that runs a host: those of package
// ringtail.
type hostFlags struct{ cfg ringtail.Config }

func (h *hostFlags) register(c *cobra.Command) {
	fs := flag.NewFlagSet(c.Name(), flag.ContinueOnError)
	h.cfg.RegisterFlags(fs)
	c.Flags().AddGoFlagSet(fs)
	var drivers []string
	for _, d := range hal.Drivers() {
		drivers = append(drivers, cobra.CompletionWithDesc(d.Name+":", d.Summary))
	}
	completeChoice(c, "hal", drivers, cobra.ShellCompDirectiveNoSpace)
}

// beside returns con with its output on standard error if a capture takes the
// standard output.
func beside(pcap string, con console) console {
	if pcap == "-" {
		con.out = con.err
	}
	return con
}

// open opens the host that the flags describe and waits until it can answer. It
// returns nil, nil if ctx ends before.
func (h *hostFlags) open(ctx context.Context, con console) (*ringtail.Host, error) {
	if h.cfg.HAL == "" {
		return nil, usageError("which device? --hal is missing, as in --hal tap:rt0?host=10.77.0.1/24 (see ringtail drivers)")
	}
	if h.cfg.Verbose {
		h.cfg.Logger = slog.New(slog.NewTextHandler(con.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	host, err := ringtail.Open(h.cfg)
	if err != nil {
		return nil, err
	}
	if err := host.Ready(ctx); err != nil {
		if closed := closeHost(con, host); ctx.Err() != nil {
			return nil, closed
		}
		return nil, err
	}
	return host, nil
}

// closeHost closes a host. That the reader of its capture has gone, or was too
// slow, is worth a word and no more.
func closeHost(con console, host *ringtail.Host) error {
	err := host.Close()
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, wrap.ErrBehind) || errors.Is(err, os.ErrClosed) {
		fmt.Fprintf(con.err, "ringtail: the capture is incomplete: %s\n", oneLine(err))
		return nil
	}
	return err
}

func join(addrs []netip.Prefix) string {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}
