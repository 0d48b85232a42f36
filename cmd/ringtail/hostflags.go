package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ringtail-net/ringtail"
)

// hostFlags are the options of every command that runs a host.
type hostFlags struct {
	cfg     ringtail.Config
	verbose bool
}

func (h *hostFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&h.cfg.HAL, "hal", "", "the device, as `driver:target?key=value&…` (see ringtail drivers)")
	fs.Var(&list[netip.Prefix]{&h.cfg.Addrs, netip.ParsePrefix, "10.77.0.2/24 or fd00::2/64"}, "addr",
		"an `address` of the host with the prefix length of its link; repeatable")
	fs.Var(&list[netip.Addr]{&h.cfg.Gateways, netip.ParseAddr, "10.77.0.1 or fd00::1"}, "gateway",
		"a default `router`; one for each of IPv4 and IPv6")
	fs.IntVar(&h.cfg.MTU, "mtu", 0, "longest IP packet in `bytes` (default: the device's)")
	fs.StringVar(&h.cfg.Faults, "faults", "", "damage frames on purpose, as in `drop=1%,delay=5ms,dup=1%,reorder=1%,corrupt=1%`")
	fs.Uint64Var(&h.cfg.Seed, "seed", 0, "`seed` of the faults' random choices")
	fs.StringVar(&h.cfg.Pcap, "pcap", "", "write all frames to a pcapng `file`; - is standard output")
	fs.BoolVar(&h.verbose, "verbose", false, "log to standard error what the host does")
}

// logger returns what --verbose asks for: nil without it.
func (h *hostFlags) logger(con console) *slog.Logger {
	if !h.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(con.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A list is a flag that may stand more than once, or hold several values between
// commas.
type list[T fmt.Stringer] struct {
	values  *[]T
	parse   func(string) (T, error)
	example string
}

func (l *list[T]) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		v, err := l.parse(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("want %s", l.example)
		}
		*l.values = append(*l.values, v)
	}
	return nil
}

func (l *list[T]) String() string {
	if l.values == nil {
		return ""
	}
	var texts []string
	for _, v := range *l.values {
		texts = append(texts, v.String())
	}
	return strings.Join(texts, ",")
}

func (l *list[T]) Type() string { return "list" }
