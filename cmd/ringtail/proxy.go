package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/internal/proxy"
)

// proxyRun is one run of the proxy.
type proxyRun struct {
	con                     console
	forward, publish, socks []string
	user                    string
	cfg                     proxy.Config
	drain, report           time.Duration
	asJSON                  bool
}

func newProxy(con console) *cobra.Command {
	var host hostFlags
	p := proxyRun{con: con}
	c := &cobra.Command{
		Use:   "proxy --hal SPEC --addr CIDR {--forward|--publish|--socks} …",
		Short: "Let the kernel's programs use a host, by forwarded ports and SOCKS",
		Long: `Proxy runs a host on a device, for programs that know the kernel's network only:

  --forward 8080=10.77.0.1:80   the kernel listens at 127.0.0.1:8080, the host dials 10.77.0.1:80
  --publish 80=127.0.0.1:8000   the host listens at port 80, the kernel dials 127.0.0.1:8000
  --socks 1080                  SOCKS 5 at 127.0.0.1:1080: CONNECT and UDP ASSOCIATE by the host

In front of a port may stand an address of the side that listens, as in
127.0.0.1:8080, and in front of that udp/, for datagrams. Targets may be names,
which the side that dials resolves.

The kernel's side listens on loopback addresses only, unless --public is given. A
connection is passed on as it is: each direction ends by itself, a reset stays a
reset. Datagrams of one client are a flow, which ends with --udp-idle.

When all listens, a line on standard error says "ready". SIGINT and SIGTERM end
it: nothing new begins, and what there is may end for as long as --drain says; a
second signal kills. With --json each line of standard output is an object, whose
"event" is "ready", "report" (every --report) or "end", with the counters of every
listener.`,
		Example: `  # a web server of the kernel, at an address of the host
  ringtail proxy --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 --publish 80=127.0.0.1:8000

  # the kernel's clients, out by the host
  ringtail proxy --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 --socks 1080 --forward udp/5353=10.77.0.1:53
  curl --socks5-hostname 127.0.0.1:1080 http://10.77.0.1/`,
		Args: nArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.parse(&host); err != nil {
				return asUsage(err)
			}
			return p.run(c.Context(), &host)
		},
	}
	host.register(c)
	fs := c.Flags()
	fs.StringSliceVar(&p.forward, "forward", nil, "a `route` [udp/]LISTEN=TARGET from the kernel to the host's network; repeatable")
	fs.StringSliceVar(&p.publish, "publish", nil, "a `route` [udp/]LISTEN=TARGET from the host to the kernel's network; repeatable")
	fs.StringSliceVar(&p.socks, "socks", nil, "serve SOCKS 5 at this `address`, or port of 127.0.0.1; repeatable")
	fs.StringVar(&p.user, "socks-user", "", "ask SOCKS clients for `user:password` (in the clear; better given as "+ringtail.EnvName("socks-user")+")")
	fs.BoolVar(&p.cfg.Public, "public", false, "let others than this machine use the kernel's side")
	fs.IntVar(&p.cfg.MaxFlows, "max-flows", 1024, "serve `N` connections and UDP flows at a time, of all ports together; others wait")
	fs.DurationVar(&p.cfg.Idle, "udp-idle", time.Minute, "end a UDP flow after this `time` of silence")
	fs.DurationVar(&p.drain, "drain", 10*time.Second, "`time` that connections have to end, before they are reset")
	fs.DurationVar(&p.report, "report", 0, "write the counters every so much `time` (default: at the end)")
	jsonFlag(c, &p.asJSON)
	return c
}

// parse reads what the flags hold.
func (p *proxyRun) parse(host *hostFlags) (err error) {
	if p.cfg.Forward, err = routes("forward", p.forward, proxy.ParseForward); err != nil {
		return err
	}
	if p.cfg.Publish, err = routes("publish", p.publish, proxy.ParsePublish); err != nil {
		return err
	}
	for _, text := range p.socks {
		address, err := proxy.ParseListen(text)
		if err != nil {
			return fmt.Errorf("--socks: %w", err)
		}
		p.cfg.Socks = append(p.cfg.Socks, address)
	}
	if p.user != "" {
		var ok bool
		if p.cfg.User, p.cfg.Password, ok = strings.Cut(p.user, ":"); !ok || p.cfg.User == "" {
			return errors.New("--socks-user: want user:password")
		}
	}
	switch {
	case len(p.forward)+len(p.publish)+len(p.socks) == 0:
		return errors.New("what for? name one at least of --forward, --publish and --socks (see ringtail help proxy)")
	case p.cfg.MaxFlows < 1:
		return fmt.Errorf("--max-flows %d: must be at least 1", p.cfg.MaxFlows)
	case p.cfg.Idle <= 0:
		return fmt.Errorf("--udp-idle %v: must be more than nothing", p.cfg.Idle)
	case p.drain < 0 || p.report < 0:
		return errors.New("--drain and --report must not be negative")
	case p.asJSON && host.cfg.Pcap == "-":
		return errors.New("--json and --pcap -: standard output can be for one of them; name a file")
	}
	return nil
}

func routes(flag string, texts []string, parse func(string) (proxy.Route, error)) (list []proxy.Route, err error) {
	for _, text := range texts {
		r, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		list = append(list, r)
	}
	return list, nil
}

func (p *proxyRun) run(ctx context.Context, flags *hostFlags) error {
	p.con = beside(flags.cfg.Pcap, p.con)
	host, err := flags.open(ctx, p.con)
	if err != nil || host == nil {
		return err
	}
	p.cfg.Host, p.cfg.Logger = host.Net(), flags.cfg.Logger
	px, err := proxy.New(p.cfg)
	if err != nil {
		if errors.Is(err, proxy.ErrConfig) {
			err = asUsage(err)
		}
		return errors.Join(busyPort(err), closeHost(p.con, host))
	}
	p.sayReady(px, host)
	err = p.serve(ctx, px)
	return errors.Join(err, p.stop(px, host))
}

// serve serves until ctx ends, and reports meanwhile.
func (p *proxyRun) serve(ctx context.Context, px *proxy.Proxy) error {
	ended := make(chan error, 1)
	go func() { ended <- px.Serve(ctx) }()
	var tick <-chan time.Time
	if p.report > 0 {
		t := time.NewTicker(p.report)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-tick:
			p.write("report", px)
		}
	}
}

// stop lets connections end, and reports.
func (p *proxyRun) stop(px *proxy.Proxy, host *ringtail.Host) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.drain)
	defer cancel()
	err := errors.Join(px.Shutdown(ctx), host.Shutdown(ctx))
	if errors.Is(err, context.DeadlineExceeded) {
		fmt.Fprintf(p.con.err, "ringtail: --drain %v is over: %s\n", p.drain, oneLine(err))
		err = nil // this is what it is for
	}
	return errors.Join(err, p.write("end", px), closeHost(p.con, host))
}

func (p *proxyRun) sayReady(px *proxy.Proxy, host *ringtail.Host) {
	if p.asJSON {
		p.write("ready", px)
	}
	for _, s := range px.Stats() {
		target := s.Target
		if s.Kind == "socks" {
			target = "the host's network"
		}
		fmt.Fprintf(p.con.err, "%s: %s/%s to %s\n", s.Kind, s.Network, s.Listen, target)
	}
	fmt.Fprintf(p.con.err, "ready: %s, proxy\n", join(host.Addrs()))
}

// proxyEvent is a line of --json.
type proxyEvent struct {
	Event     string        `json:"event"`
	Listeners []proxy.Stats `json:"listeners"`
}

// write writes the counters: an object, or a table.
func (p *proxyRun) write(event string, px *proxy.Proxy) error {
	if p.asJSON {
		return json.NewEncoder(p.con.out).Encode(proxyEvent{event, px.Stats()})
	}
	return writeFlows(p.con.out, px.Stats())
}

func writeFlows(w io.Writer, list []proxy.Stats) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tLISTENS AT\tTARGET\tOPEN\tTOTAL\tFAILED\tDROPPED\tTO TARGET\tTO CLIENT")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s/%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", s.Kind, s.Network, s.Listen, s.Target,
			s.Open, s.Total, s.Failed, s.Dropped, s.ToTarget, s.ToClient)
	}
	return t.Flush()
}
