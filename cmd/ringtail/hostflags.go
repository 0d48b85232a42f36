package main

import (
	"context"
	"errors"
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

// hostFlags are the options of every command that runs a host.
type hostFlags struct {
	cfg     ringtail.Config
	verbose bool
}

func (h *hostFlags) register(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&h.cfg.HAL, "hal", "", "the device, by a `spec` driver:target?key=value&… (see ringtail drivers)")
	fs.Var(&list[netip.Prefix]{&h.cfg.Addrs, netip.ParsePrefix, "10.77.0.2/24 or fd00::2/64"}, "addr",
		"an `address` of the host with the prefix length of its link; repeatable")
	fs.Var(&list[netip.Addr]{&h.cfg.Gateways, netip.ParseAddr, "10.77.0.1 or fd00::1"}, "gateway",
		"a default `router`; one for each of IPv4 and IPv6")
	fs.IntVar(&h.cfg.MTU, "mtu", 0, "longest IP packet in `bytes` (default: the device's)")
	fs.StringVar(&h.cfg.Faults, "faults", "", "damage frames on purpose, by a `list` such as drop=1%,delay=5ms,jitter=1ms,dup=1%,reorder=1%,corrupt=1%,rate=10mbit")
	fs.Uint64Var(&h.cfg.Seed, "seed", 0, "`seed` of the faults' random choices")
	fs.StringVar(&h.cfg.Pcap, "pcap", "", "write all frames to a pcapng `file`; - is standard output")
	fs.BoolVar(&h.verbose, "verbose", false, "log to standard error what the host does")
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

// logger returns what --verbose asks for: nil without it.
func (h *hostFlags) logger(con console) *slog.Logger {
	if !h.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(con.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// open opens the host that the flags describe and waits until it can answer. It
// returns nil, nil if ctx ends before.
func (h *hostFlags) open(ctx context.Context, con console) (*ringtail.Host, error) {
	switch {
	case h.cfg.HAL == "":
		return nil, usageError("which device? --hal is missing, as in --hal tap:rt0?host=10.77.0.1/24 (see ringtail drivers)")
	case len(h.cfg.Addrs) == 0:
		return nil, usageError("which address? --addr is missing, as in --addr 10.77.0.2/24 or fd00::2/64")
	}
	h.cfg.Logger = h.logger(con)
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
