package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail/api"
)

// netcat is one run of nc.
type netcat struct {
	con       console
	listen    bool
	udp       bool
	halfClose bool
	wait      time.Duration
	address   string
}

func newNC(con console) *cobra.Command {
	var host hostFlags
	n := netcat{con: con}
	c := &cobra.Command{
		Use:   "nc {HOST PORT | -l PORT} --hal SPEC --addr CIDR",
		Short: "Join standard input and output to a connection",
		Long: `Nc connects to HOST, a literal address, or with -l waits for one connection, and
sends there what comes on standard input, and what arrives to standard output.
With -u it is datagrams: one for each read of standard input; with -l they go to
whoever sent the first.

It ends when both directions have ended; with -l, when the other side has.`,
		Example: `  printf 'GET / HTTP/1.0\r\n\r\n' | ringtail nc -N 10.77.0.1 80 --hal tap:rt0 --addr 10.77.0.2/24
  ringtail nc -l 5000 --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24 >received`,
		Args: nArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := n.parse(args); err != nil {
				return err
			}
			if host.cfg.Pcap == "-" {
				return usageError("--pcap -: standard output is for what arrives; name a file")
			}
			return n.run(c.Context(), &host)
		},
	}
	host.register(c)
	c.Flags().BoolVarP(&n.listen, "listen", "l", false, "wait for a connection to PORT")
	c.Flags().BoolVarP(&n.udp, "udp", "u", false, "datagrams instead of a stream")
	c.Flags().BoolVarP(&n.halfClose, "half-close", "N", false, "end our direction with standard input")
	c.Flags().DurationVarP(&n.wait, "wait", "w", 0, "give up after this `time` without a byte (default: never)")
	return c
}

// parse reads the words of the command line.
func (n *netcat) parse(args []string) error {
	switch {
	case n.listen && len(args) != 1:
		return usageError("with -l there is a PORT and no HOST")
	case !n.listen && len(args) != 2:
		return usageError("which port? use: ringtail nc HOST PORT")
	case n.wait < 0:
		return usageError("--wait %v: must not be negative", n.wait)
	}
	host, port := "", args[len(args)-1]
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return usageError("PORT must be a number from 1 to 65535, not %q", port)
	}
	if !n.listen {
		host = args[0]
		if net.ParseIP(host) == nil {
			return usageError("HOST must be a literal address, not %q", host)
		}
	}
	n.address = net.JoinHostPort(host, port)
	return nil
}

func (n *netcat) run(ctx context.Context, flags *hostFlags) error {
	host, err := flags.open(ctx, n.con)
	if err != nil || host == nil {
		return err
	}
	err = n.talk(ctx, host.Net())
	if ctx.Err() != nil {
		err = nil // an interrupt is the usual end
	}
	return errors.Join(err, closeHost(n.con, host))
}

func (n *netcat) talk(ctx context.Context, face *api.Net) error {
	conn, err := n.open(ctx, face)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return n.relay(&idleConn{Conn: conn, wait: n.wait})
}

// open connects, or waits until somebody does.
func (n *netcat) open(ctx context.Context, face *api.Net) (net.Conn, error) {
	network := "tcp"
	if n.udp {
		network = "udp"
	}
	if !n.listen {
		d := api.Dialer{Net: face, Timeout: n.wait}
		return d.DialContext(ctx, network, n.address)
	}
	if n.udp {
		pc, err := face.ListenPacket(network, n.address)
		if err != nil {
			return nil, busyPort(err)
		}
		defer context.AfterFunc(ctx, func() { pc.Close() })()
		n.sayListening(pc.LocalAddr())
		return acceptPeer(pc)
	}
	ln, err := face.Listen(network, n.address)
	if err != nil {
		return nil, busyPort(err)
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	n.sayListening(ln.Addr())
	return ln.Accept()
}

func (n *netcat) sayListening(a net.Addr) { fmt.Fprintf(n.con.err, "ready: listening on %v\n", a) }

// busyPort makes a port that is taken the user's mistake.
func busyPort(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return asUsage(err)
	}
	return err
}

// relay carries bytes both ways. The reader of standard input cannot be stopped:
// it ends with its next byte, or the process.
func (n *netcat) relay(conn net.Conn) error {
	up, down := make(chan error, 1), make(chan error, 1)
	go func() { up <- n.send(conn) }()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{n.con.out}, struct{ io.Reader }{conn}, make([]byte, 64<<10))
		down <- err
	}()
	for range 2 {
		select {
		case err := <-up:
			if err != nil {
				return ended(err)
			}
		case err := <-down:
			if err != nil || n.listen {
				return ended(err)
			}
		}
	}
	return nil
}

// send sends standard input.
func (n *netcat) send(conn net.Conn) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{n.con.in}, make([]byte, n.pieces()))
	if err == nil && n.halfClose {
		if c, ok := conn.(*idleConn).Conn.(interface{ CloseWrite() error }); ok {
			err = c.CloseWrite()
		}
	}
	return err
}

// pieces is how many bytes of standard input are sent at a time: a datagram has
// to fit a frame of any link.
func (n *netcat) pieces() int {
	if n.udp {
		return 1200
	}
	return 64 << 10
}

// ended is the error of a direction. That nothing came for a while is what -w
// asked for.
func ended(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// An idleConn is a connection that times out when nothing passes for a while.
type idleConn struct {
	net.Conn
	wait time.Duration // 0: never
}

func (c *idleConn) Read(b []byte) (int, error) {
	c.extend()
	return c.Conn.Read(b)
}

func (c *idleConn) Write(b []byte) (int, error) {
	c.extend()
	return c.Conn.Write(b)
}

func (c *idleConn) extend() {
	if c.wait > 0 {
		c.SetDeadline(time.Now().Add(c.wait)) // fails only once it is closed, as the call behind does
	}
}
