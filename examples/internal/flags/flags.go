// Package flags gives every example the same flags for its host, which are those
// of package ringtail and of the command:
//
//	--hal tap:rt0?host=10.77.0.1/24   the device
//	--addr 10.77.0.2/24               an address of the host; repeatable
//	--gateway 10.77.0.1               a default router
//
// and those that [ringtail.Config.RegisterFlags] names beside them.
//
// The device is nothing that an example knows: one program, any device.
package flags

import (
	"context"
	"errors"
	"flag"

	"github.com/ringtail-net/ringtail"
)

// Register adds the flags of a host to fs and returns the Config that they fill.
func Register(fs *flag.FlagSet) *ringtail.Config {
	cfg := &ringtail.Config{Name: fs.Name()}
	cfg.RegisterFlags(fs)
	return cfg
}

// Open opens the host that the flags describe and waits until its addresses can
// be used. The host belongs to the caller.
func Open(ctx context.Context, cfg *ringtail.Config) (*ringtail.Host, error) {
	if cfg.HAL == "" {
		return nil, errors.New("which device? --hal is missing, as in --hal 'tap:rt0?host=10.77.0.1/24'")
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
