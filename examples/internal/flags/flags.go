// Package flags gives every example the same flags for its host, which are those
// of the command ringtail:
//
//	--hal tap:rt0?host=10.77.0.1/24   the device
//	--addr 10.77.0.2/24               an address of the host; repeatable
//	--gateway 10.77.0.1               a default router
//	--mtu, --faults, --seed, --pcap, --verbose
//
// The device is nothing that an example knows: one program, any device.
package flags

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"os"

	"github.com/ringtail-net/ringtail"
)

// Register adds the flags of a host to fs and returns the Config that they fill.
func Register(fs *flag.FlagSet) *ringtail.Config {
	cfg := &ringtail.Config{Name: fs.Name()}
	fs.StringVar(&cfg.HAL, "hal", "", "the device, by a `spec` driver:target?key=value&…")
	fs.Func("addr", "an `address` of the host with the prefix length of its link, as in 10.77.0.2/24; repeatable", func(text string) error {
		p, err := netip.ParsePrefix(text)
		cfg.Addrs = append(cfg.Addrs, p)
		return err
	})
	fs.Func("gateway", "a default `router`; one for each of IPv4 and IPv6", func(text string) error {
		a, err := netip.ParseAddr(text)
		cfg.Gateways = append(cfg.Gateways, a)
		return err
	})
	fs.IntVar(&cfg.MTU, "mtu", 0, "longest IP packet in `bytes` (default: the device's)")
	fs.StringVar(&cfg.Faults, "faults", "", "damage frames on purpose, by a `list` such as drop=1%,delay=5ms")
	fs.Uint64Var(&cfg.Seed, "seed", 0, "`seed` of the faults' random choices")
	fs.StringVar(&cfg.Pcap, "pcap", "", "write all frames to a pcapng `file`")
	fs.BoolFunc("verbose", "log to standard error what the host does", func(string) error {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		return nil
	})
	return cfg
}

// Open opens the host that the flags describe and waits until its addresses can
// be used. The host belongs to the caller.
func Open(ctx context.Context, cfg *ringtail.Config) (*ringtail.Host, error) {
	switch {
	case cfg.HAL == "":
		return nil, errors.New("which device? --hal is missing, as in --hal 'tap:rt0?host=10.77.0.1/24'")
	case len(cfg.Addrs) == 0:
		return nil, errors.New("which address? --addr is missing, as in --addr 10.77.0.2/24")
	}
	host, err := ringtail.Open(*cfg)
	if err != nil {
		return nil, err
	}
	if err := host.Ready(ctx); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return host, nil
}
