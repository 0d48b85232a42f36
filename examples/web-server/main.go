// Command web-server is a service as others write them, with a host of its own in
// the place of the kernel's network: net/http does not notice. What that takes is
// the beginning of run, up to its listener, and one line at the end.
//
//	web-server --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 &
//	curl http://10.77.0.2/
//
// To look at: the device is nothing that the program knows, but its operator, by
// flags or by the environment (RINGTAIL_HAL). An interrupt lets requests end, and
// then connections: a client that is slow gets all of its answer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/ringtail-net/ringtail"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "web-server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("web-server", flag.ExitOnError)
	var cfg ringtail.Config
	if err := cfg.FromEnv(os.LookupEnv); err != nil {
		return err
	}
	cfg.RegisterFlags(fs)
	fs.Parse(args)
	host, err := ringtail.Open(cfg)
	if err != nil {
		return err
	}
	defer host.Close()
	ln, err := host.Net().Listen("tcp", ":80")
	if err != nil {
		return err
	}
	if err := host.Ready(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready:", host.Addrs())

	server := &http.Server{Handler: site()}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(limit), host.Shutdown(limit))
}

// site is what the service is about.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", r.RemoteAddr)
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body) // fails only with the client
	})
	return mux
}
