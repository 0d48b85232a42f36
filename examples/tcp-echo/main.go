// Command tcp-echo is an echo server in one goroutine, and its client.
//
//	tcp-echo --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 &
//	nc 10.77.0.2 7
//
// With --connect it sends its standard input, and prints what comes back:
//
//	socat TCP-LISTEN:7,fork EXEC:cat &
//	echo hello | tcp-echo --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 --connect 10.77.0.1:7
//
// To look at: the server pushes the very memory that was popped, and has one pop
// or one push of each connection in flight. So a client that sends and does not
// read is stopped by TCP's own window, and costs no memory.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/examples/internal/flags"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tcp-echo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet("tcp-echo", flag.ExitOnError)
	cfg := flags.Register(fs)
	var listen, connect netip.AddrPort
	fs.TextVar(&listen, "listen", netip.MustParseAddrPort("[::]:7"), "serve at this `address`")
	fs.TextVar(&connect, "connect", netip.AddrPort{}, "be the client of the server at this `address`")
	fs.Parse(args)
	host, err := flags.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer host.Close()
	if connect.IsValid() {
		return client(ctx, host.LibOS(), connect, in, out)
	}
	err = serve(ctx, host.LibOS(), listen, out)
	if ctx.Err() != nil {
		return nil // an interrupt is the usual end
	}
	return err
}

// serve is the whole server.
func serve(ctx context.Context, lib *api.LibOS, addr netip.AddrPort, out io.Writer) error {
	ln, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	if err := lib.Bind(ln, addr); err != nil {
		return err
	}
	if err := lib.Listen(ln, 128); err != nil {
		return err
	}
	if _, err := lib.Accept(ln); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready: listening on", addr)
	for c, err := range lib.Completions(ctx) {
		switch {
		case err != nil:
			return err
		case c.Op == api.OpAccept && c.Err != nil:
			return c.Err
		case c.Op == api.OpAccept:
			lib.Pop(c.New)
			lib.Accept(ln)
		case c.Err != nil || c.EOF:
			c.SGA.Free()
			lib.Close(c.QD)
		case c.Op == api.OpPop:
			lib.Push(c.QD, c.SGA) // what was popped, as it is
		case c.Op == api.OpPush:
			c.SGA.Free()
			lib.Pop(c.QD)
		}
	}
	return nil
}
