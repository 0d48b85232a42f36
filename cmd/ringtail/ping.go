package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail/api"
)

// maxPing is the most data an echo request can carry over IPv4: what is left of
// 65535 bytes after both headers.
const maxPing = 65535 - 20 - echoHeader

// echoHeader is the length of the header of an ICMP echo message (RFC 792).
const echoHeader = 8

// pinger is one run of ping.
type pinger struct {
	con      console
	target   netip.Addr
	count    int // 0: no end
	interval time.Duration
	wait     time.Duration
	size     int
	asJSON   bool

	sentAt map[uint16]time.Time // requests without a reply yet
	result pingResult
}

// pingResult is what --json prints.
type pingResult struct {
	Host     string          `json:"host"`
	Sent     int             `json:"sent"`
	Received int             `json:"received"`
	RTTs     []time.Duration `json:"rtt_ns"`
}

func newPing(con console) *cobra.Command {
	var host hostFlags
	p := pinger{con: con}
	c := &cobra.Command{
		Use:   "ping HOST --hal SPEC --addr CIDR",
		Short: "Send ICMP echo requests from a host of our own",
		Long: `Ping asks HOST, a literal address, for echoes (ICMP or ICMPv6). The exit code is
0 if at least one came back.`,
		Example: `  ringtail ping 10.77.0.1 --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 -c 3
  ringtail ping fd00::1 -s 65000 -i 100ms --hal tap:rt0 --addr fd00::2/64 --json`,
		Args: nArgs(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if p.target, err = netip.ParseAddr(args[0]); err != nil {
				return usageError("HOST must be a literal address, not %q", args[0])
			}
			if err := p.validate(); err != nil {
				return err
			}
			return p.run(c.Context(), &host)
		},
	}
	host.register(c)
	c.Flags().IntVarP(&p.count, "count", "c", 0, "stop after `N` requests (default: at an interrupt)")
	c.Flags().DurationVarP(&p.interval, "interval", "i", time.Second, "`time` between requests")
	c.Flags().IntVarP(&p.size, "size", "s", 56, "`bytes` of data in a request")
	c.Flags().DurationVarP(&p.wait, "wait", "W", 5*time.Second, "`time` to wait for the last replies")
	jsonFlag(c, &p.asJSON)
	return c
}

func (p *pinger) validate() error {
	switch {
	case p.size < 0 || p.size > maxPing:
		return usageError("--size %d: must be from 0 to %d", p.size, maxPing)
	case p.count < 0:
		return usageError("--count %d: must not be negative", p.count)
	case p.interval < time.Millisecond:
		return usageError("--interval %v: must be at least 1ms", p.interval)
	case p.wait < 0:
		return usageError("--wait %v: must not be negative", p.wait)
	}
	return nil
}

func (p *pinger) run(ctx context.Context, flags *hostFlags) error {
	p.con = beside(flags.cfg.Pcap, p.con)
	host, err := flags.open(ctx, p.con)
	if err != nil || host == nil {
		return err
	}
	err = p.ping(ctx, host.Net())
	return errors.Join(err, closeHost(p.con, host))
}

// ping sends requests and takes replies, until ctx ends or all is done.
func (p *pinger) ping(ctx context.Context, n *api.Net) error {
	network := "icmp4"
	if p.target.Is6() {
		network = "icmp6"
	}
	conn, err := n.DialContext(ctx, network, p.target.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	p.sentAt = map[uint16]time.Time{}
	p.result = pingResult{Host: p.target.String(), RTTs: []time.Duration{}}
	p.sayf("PING %v: %d data bytes\n", p.target, p.size)
	next := time.Now()
	for ctx.Err() == nil && (p.count == 0 || p.result.Sent < p.count) {
		p.send(conn)
		next = next.Add(p.interval)
		until := next
		if last := p.result.Sent == p.count; last {
			until = time.Now().Add(p.wait)
		}
		p.receive(conn, until)
	}
	return p.report()
}

func (p *pinger) sayf(format string, args ...any) {
	if !p.asJSON {
		fmt.Fprintf(p.con.out, format, args...)
	}
}

// send sends the next request.
func (p *pinger) send(conn net.Conn) {
	p.result.Sent++
	seq := uint16(p.result.Sent)
	m := make([]byte, echoHeader+p.size)
	m[0] = 8 // echo request, RFC 792
	if p.target.Is6() {
		m[0] = 128 // echo request, RFC 4443
	}
	binary.BigEndian.PutUint16(m[6:], seq)
	for i := range m[echoHeader:] {
		m[echoHeader+i] = byte(i)
	}
	p.sentAt[seq] = time.Now()
	if _, err := conn.Write(m); err != nil && !errors.Is(err, net.ErrClosed) {
		p.sayf("icmp_seq=%d: %s\n", seq, oneLine(err))
	}
}

// receive takes replies until a time, or, behind the last request, until there is
// none to wait for.
func (p *pinger) receive(conn net.Conn, until time.Time) {
	conn.SetReadDeadline(until) // fails only once conn is closed, as Read does then
	b := make([]byte, echoHeader+maxPing)
	for p.result.Sent != p.count || len(p.sentAt) > 0 {
		n, err := conn.Read(b)
		switch {
		case err == nil:
			p.reply(b[:n])
		case errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded):
			return
		default: // such as an ICMP error about a request
			p.sayf("icmp_seq=%d: %s\n", p.result.Sent, oneLine(err))
		}
	}
}

// reply takes a reply; one that nobody waits for, such as a duplicate, only shows.
func (p *pinger) reply(m []byte) {
	if len(m) < echoHeader {
		return
	}
	seq := binary.BigEndian.Uint16(m[6:])
	at, ok := p.sentAt[seq]
	if !ok {
		p.sayf("%d bytes from %v: icmp_seq=%d (duplicate)\n", len(m), p.target, seq)
		return
	}
	delete(p.sentAt, seq)
	rtt := time.Since(at)
	p.result.Received++
	p.result.RTTs = append(p.result.RTTs, rtt)
	p.sayf("%d bytes from %v: icmp_seq=%d time=%.3f ms\n", len(m), p.target, seq, milliseconds(rtt))
}

// report prints the result, and fails if there was no reply at all.
func (p *pinger) report() error {
	r := p.result
	if p.asJSON {
		if err := writeJSON(p.con.out, r); err != nil {
			return err
		}
	}
	loss := 0.0
	if r.Sent > 0 {
		loss = 100 * float64(r.Sent-r.Received) / float64(r.Sent)
	}
	p.sayf("%d sent, %d received, %.1f%% lost\n", r.Sent, r.Received, loss)
	if r.Received == 0 && r.Sent > 0 {
		return fmt.Errorf("no reply from %v", p.target)
	}
	if s := summarize(r.RTTs); len(r.RTTs) > 0 {
		p.sayf("round trip min/median/max = %.3f/%.3f/%.3f ms\n", milliseconds(s.Min), milliseconds(s.Median), milliseconds(s.Max))
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
