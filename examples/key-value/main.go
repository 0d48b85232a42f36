// Command key-value is a key-value server. It speaks the inline form of the Redis
// protocol, which people can type:
//
//	key-value --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 &
//	printf 'SET colour green\nGET colour\nDEL colour\nQUIT\n' | nc 10.77.0.2 6379
//
// A command is a line, a value the rest of its line. Clients may send many commands
// before they read an answer.
//
// To look at: one goroutine and no lock, because all that can happen comes in one
// stream of completions; and no client can make it hold much. Each connection has
// one pop or one push in flight, stops executing while its answers are not taken,
// and is not accepted before there is a place for it. The data have a limit too.
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
		fmt.Fprintln(os.Stderr, "key-value:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("key-value", flag.ExitOnError)
	cfg := flags.Register(fs)
	var listen netip.AddrPort
	fs.TextVar(&listen, "listen", netip.MustParseAddrPort("[::]:6379"), "serve at this `address`")
	clients := fs.Int("clients", 1024, "how many clients are served at a time; others wait")
	memory := fs.Int("memory", 64<<20, "how many `bytes` of keys and values are kept")
	fs.Parse(args)
	if *clients < 1 || *memory < 1 {
		return fmt.Errorf("--clients %d --memory %d: want at least one of each", *clients, *memory)
	}
	host, err := flags.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer host.Close()
	s := server{lib: host.LibOS(), store: newStore(*memory), places: *clients}
	if err := s.open(listen); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready: listening on", listen)
	if err := s.serve(ctx); ctx.Err() == nil {
		return err
	}
	return nil // an interrupt is the usual end
}
