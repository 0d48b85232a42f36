// Command tcp-ping-pong sends one message after the other to an echo server, each
// when the answer to the last has come, and prints how long they took.
//
//	tcp-ping-pong                 # both ends in this process, on a wire in memory
//	tcp-ping-pong --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 --connect 10.77.0.1:7
//	tcp-ping-pong --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 --listen '[::]:7'
//
// To look at: the client waits for its ops by name, the server takes whatever is
// complete. The figures are about the whole way there and back, and about how
// busy the machine is: compare them within one run, never across two.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/examples/internal/flags"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tcp-ping-pong:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("tcp-ping-pong", flag.ExitOnError)
	cfg := flags.Register(fs)
	var listen, connect netip.AddrPort
	fs.TextVar(&listen, "listen", netip.AddrPort{}, "be the server at this `address`")
	fs.TextVar(&connect, "connect", netip.AddrPort{}, "be the client of the echo server at this `address`")
	requests := fs.Int("requests", 10_000, "how many messages the client sends")
	size := fs.Int("size", 64, "the length of a message in `bytes`, at most 65536")
	fs.Parse(args)
	switch {
	case *requests < 1 || *size < 1 || *size > 65536:
		return fmt.Errorf("--requests %d --size %d: want at least one of each, and at most 65536 bytes", *requests, *size)
	case cfg.HAL == "":
		return both(ctx, *requests, *size, out)
	case listen.IsValid() == connect.IsValid():
		return fmt.Errorf("either --listen, as in --listen '[::]:7', or --connect, as in --connect 10.77.0.1:7")
	}
	host, err := flags.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer host.Close()
	if connect.IsValid() {
		return client(ctx, host.LibOS(), connect, *requests, *size, out)
	}
	ready := func() { fmt.Fprintln(out, "ready: listening on", listen) }
	if err := serve(ctx, host.LibOS(), listen, ready); ctx.Err() == nil {
		return err
	}
	return nil // an interrupt is the usual end
}

// both runs the server and the client, each on a host of its own.
func both(ctx context.Context, requests, size int, out io.Writer) error {
	var hosts [2]*ringtail.Host
	for i, addr := range []string{"10.0.0.1/24", "10.0.0.2/24"} {
		cfg := ringtail.Config{HAL: "loopback:ping-pong", Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
		host, err := flags.Open(ctx, &cfg)
		if err != nil {
			return err
		}
		defer host.Close()
		hosts[i] = host
	}
	addr := netip.MustParseAddrPort("10.0.0.1:7")
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- serve(ctx, hosts[0].LibOS(), addr, func() { close(ready) }) }()
	select {
	case err := <-served:
		return err
	case <-ready:
		return client(ctx, hosts[1].LibOS(), addr, requests, size, out)
	}
}
