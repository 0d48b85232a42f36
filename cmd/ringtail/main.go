// Command ringtail runs hosts of package ringtail from the command line: a
// demonstration that needs nothing, a server for the classic small services, and
// the tools to talk to it.
//
//	ringtail demo
//	ringtail serve --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24
//	ringtail ping 10.77.0.1 --hal tap:rt0 --addr 10.77.0.3/24
//
// It exits with 0 when all went well, 1 when something failed, and 2 when what it
// was asked for cannot be: a wrong option, a device that is not there, a
// capability that is missing. One line on standard error then says what and,
// where there is one, the remedy. Every option can also come from the environment
// (--hal is RINGTAIL_HAL) or from a JSON file named by --config; a flag beats the
// environment, and that beats the file.
//
// The trap: what a host does not answer, nobody answers. It shares nothing with
// the kernel's own network stack, neither addresses nor names nor firewall.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	code := run(ctx, os.Args[1:], console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		getenv: os.LookupEnv, terminal: isTerminal(os.Stderr),
	})
	stop()
	os.Exit(code)
}

// isTerminal reports whether lines on f may be redrawn.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
