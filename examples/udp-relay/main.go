// Command udp-relay passes datagrams on to a server, and the answers back to
// whoever asked. Towards the server every client has a port of its own, as behind
// an address translator.
//
//	udp-relay --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 --listen '[::]:5300' --to 10.77.0.1:53
//	dig @10.77.0.2 -p 5300 example.org
//
// To look at: one goroutine serves a thousand queues, and nobody can make it hold
// more than it wants to. A fixed number of datagrams is under way towards the
// server, one for each client on the way back, and a new client beyond --clients
// takes the place of the one that was silent for longest.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"

	"github.com/ringtail-net/ringtail/examples/internal/flags"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "udp-relay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("udp-relay", flag.ExitOnError)
	cfg := flags.Register(fs)
	var listen, to netip.AddrPort
	fs.TextVar(&listen, "listen", netip.MustParseAddrPort("[::]:5300"), "the `address` that clients send to")
	fs.TextVar(&to, "to", netip.AddrPort{}, "the server's `address`")
	clients := fs.Int("clients", 1024, "how many clients are remembered")
	fs.Parse(args)
	switch {
	case !to.IsValid():
		return fmt.Errorf("to whom? --to is missing, as in --to 10.77.0.1:53")
	case *clients < 1:
		return fmt.Errorf("--clients %d: want at least one", *clients)
	}
	host, err := flags.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer host.Close()
	r := newRelay(host.LibOS(), to, *clients)
	if err := r.open(listen); err != nil {
		return err
	}
	fmt.Fprintf(out, "ready: %v relays to %v\n", listen, to)
	if err := r.serve(ctx); ctx.Err() == nil {
		return err
	}
	return nil // an interrupt is the usual end
}
