package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/internal/services"
	"github.com/ringtail-net/ringtail/stack"
)

// What the demonstration does.
const (
	demoFaults = "drop=1%,delay=5ms"
	demoBytes  = 2 << 20
	demoEchoes = 150
	demoLimit  = 14 * time.Second
)

var (
	demoServer = netip.MustParsePrefix("10.77.0.1/24")
	demoClient = netip.MustParsePrefix("10.77.0.2/24")
)

// demo is one run of the demonstration.
type demo struct {
	con    console
	seed   uint64
	pcap   string
	asJSON bool

	server, client *ringtail.Host
	progress       *progress
	result         demoResult
}

// demoResult is what --json prints.
type demoResult struct {
	Seed    uint64       `json:"seed"`
	Faults  string       `json:"faults"`
	Bulk    bulkResult   `json:"bulk"`
	Echo    summary      `json:"echo_rtt"`
	Hosts   []hostResult `json:"hosts"`
	Seconds float64      `json:"seconds"`
}

// bulkResult is of the download.
type bulkResult struct {
	Bytes   int64   `json:"bytes"`
	SHA256  string  `json:"sha256"`
	Matches bool    `json:"matches"`
	Seconds float64 `json:"seconds"`
}

// hostResult is what happened at a host.
type hostResult struct {
	Name        string `json:"name"`
	Addr        string `json:"addr"`
	RxBytes     uint64 `json:"rx_bytes"`
	TxBytes     uint64 `json:"tx_bytes"`
	Retransmits uint64 `json:"retransmits"`
	Timeouts    uint64 `json:"timeouts"`
	Drops       uint64 `json:"drops"`
}

func newDemo(con console) *cobra.Command {
	d := demo{con: con}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Two hosts in this process over a bad link: no root, no device",
		Long: `Demo runs two hosts of this process on a wire in memory that loses 1 % of all
frames and takes 5 ms each way. Over the net face one of them downloads from the
other with Go's own HTTP client and server and checks the SHA-256; over the queue
face it sends echoes and takes the times. A table at the end says what that took.

The same seed gives the same losses for the same frames; which frames there are
still depends on the clock.`,
		Example: `  ringtail demo
  ringtail demo --seed 7 --pcap demo.pcapng && tshark -r demo.pcapng -z io,phs -q`,
		Args: nArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return d.run(c.Context()) },
	}
	c.Flags().Uint64Var(&d.seed, "seed", 1, "`seed` of the losses")
	c.Flags().StringVar(&d.pcap, "pcap", "", "write the frames of the server to a pcapng `file`; - is standard output")
	jsonFlag(c, &d.asJSON)
	return c
}

func (d *demo) run(ctx context.Context) error {
	d.con = beside(d.pcap, d.con)
	limited, cancel := context.WithTimeoutCause(ctx, demoLimit, fmt.Errorf("it took longer than %v", demoLimit))
	defer cancel()
	d.progress = newProgress(d.con)
	defer d.progress.end()
	if err := d.open(); err != nil {
		return err
	}
	begin := time.Now()
	err := d.play(limited)
	d.result.Seconds = time.Since(begin).Seconds()
	if limited.Err() != nil {
		err = context.Cause(limited)
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
	}
	d.result.Hosts = []hostResult{hostStats(d.server, demoServer), hostStats(d.client, demoClient)}
	err = errors.Join(err, closeHost(d.con, d.client), closeHost(d.con, d.server))
	d.progress.end()
	if err != nil {
		return err
	}
	return d.print()
}

// open makes the two hosts. The faults are at one end of the wire, for both
// directions.
func (d *demo) open() (err error) {
	wire := fmt.Sprintf("loopback:demo-%d", os.Getpid())
	d.server, err = ringtail.Open(ringtail.Config{
		HAL: wire, Name: "server", Addrs: []netip.Prefix{demoServer},
		Faults: demoFaults, Seed: d.seed, Pcap: d.pcap,
	})
	if err != nil {
		return err
	}
	d.client, err = ringtail.Open(ringtail.Config{HAL: wire, Name: "client", Addrs: []netip.Prefix{demoClient}})
	if err != nil {
		return errors.Join(err, d.server.Close())
	}
	d.result.Seed, d.result.Faults = d.seed, demoFaults
	return nil
}

// play runs the services of one host on both faces, one after the other, and the
// other host as their client.
func (d *demo) play(ctx context.Context) error {
	s := services.New(services.Config{Stats: d.server.Stats})
	serveNet := func(ctx context.Context, ready func()) error { return s.ServeNet(ctx, d.server.Net(), ready) }
	serveQueues := func(ctx context.Context, ready func()) error { return s.ServeQueues(ctx, d.server.LibOS(), ready) }
	for _, h := range []*ringtail.Host{d.server, d.client} {
		if err := h.Ready(ctx); err != nil {
			return err
		}
	}
	if err := during(ctx, serveNet, d.download); err != nil {
		return fmt.Errorf("HTTP on the net face: %w", err)
	}
	if err := during(ctx, serveQueues, d.echo); err != nil {
		return fmt.Errorf("echo on the queue face: %w", err)
	}
	return nil
}

// during runs f while a server serves.
func during(ctx context.Context, serve func(context.Context, func()) error, f func(context.Context) error) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- serve(serving, func() { close(ready) }) }()
	select {
	case err := <-served:
		return err
	case <-ready:
	}
	err := f(ctx)
	stop()
	return errors.Join(err, <-served)
}

func hostStats(h *ringtail.Host, addr netip.Prefix) hostResult {
	s := h.Stats()
	r := hostResult{Name: s.Host, Addr: addr.String(), Retransmits: s.TCP.Retransmits, Timeouts: s.TCP.Timeouts}
	for _, i := range s.Interfaces {
		r.add(i)
	}
	return r
}

func (r *hostResult) add(i stack.InterfaceStats) {
	r.RxBytes += i.RxBytes
	r.TxBytes += i.TxBytes
	for _, n := range i.Drops {
		r.Drops += n
	}
}
