package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail/internal/services"
)

func newServe(con console) *cobra.Command {
	var host hostFlags
	face := choice{value: "queue", of: []string{"queue", "net"}}
	c := &cobra.Command{
		Use:   "serve --hal SPEC --addr CIDR",
		Short: "Serve echo, discard, chargen and HTTP on a device",
		Long: `Serve runs a host on a device, with the classic small services: echo on TCP and
UDP port 7, discard on TCP port 9, chargen on TCP port 19, and HTTP on port 80:

  GET  /         "Hello, world" and a line feed
  GET  /bytes/N  N bytes; byte i is i modulo 251
  POST /sum      the SHA-256 of the body, in hex
  GET  /stats    all counters, as JSON
  GET  /metrics  all counters, as Prometheus text

With --face queue all of them run on the queue face, in one goroutine; with
--face net on the net face, HTTP by Go's own server. When the host can answer, a
line on standard error says "ready" and its addresses. SIGINT and SIGTERM end it;
nothing is left behind.`,
		Example: `  # the kernel is 10.77.0.1, the host 10.77.0.2
  ringtail serve --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24
  curl http://10.77.0.2/
  curl -T - -X POST http://10.77.0.2/sum <file

  # over a bad link, captured
  ringtail serve --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 \
    --faults drop=2%,delay=2ms --seed 7 --pcap serve.pcapng`,
		Args: nArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			return serve(c.Context(), con, &host, face.value)
		},
	}
	host.register(c)
	c.Flags().Var(&face, "face", "serve on the `face`: queue or net")
	completeChoice(c, "face", face.of, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// serve serves until ctx ends.
func serve(ctx context.Context, con console, flags *hostFlags, face string) error {
	host, err := flags.open(ctx, con)
	if err != nil || host == nil {
		return err
	}
	s := services.New(services.Config{Stats: host.Stats, Logger: flags.cfg.Logger})
	ready := func() { fmt.Fprintf(con.err, "ready: %s, %s face\n", join(host.Addrs()), face) }
	if face == "net" {
		err = s.ServeNet(ctx, host.Net(), ready)
	} else {
		err = s.ServeQueues(ctx, host.LibOS(), ready)
	}
	return errors.Join(busyPort(err), closeHost(con, host))
}
