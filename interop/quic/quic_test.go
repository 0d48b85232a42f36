package quic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// echo answers every stream, and every datagram.
func echo(conn *quic.Conn) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		for {
			d, err := conn.ReceiveDatagram(conn.Context())
			if err != nil {
				return
			}
			conn.SendDatagram(d)
		}
	})
	for {
		stream, err := conn.AcceptStream(conn.Context())
		if err != nil {
			return
		}
		all.Go(func() {
			io.Copy(stream, stream)
			stream.Close()
		})
	}
}

var datagrams = &quic.Config{EnableDatagrams: true, MaxIdleTimeout: rig.Patience}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// exchange sends bytes on a stream of their own and wants them back.
func exchange(conn *quic.Conn, sent []byte) error {
	stream, err := conn.OpenStreamSync(conn.Context())
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() {
		_, err := stream.Write(sent)
		written <- errors.Join(err, stream.Close())
	}()
	got, err := io.ReadAll(stream)
	if err == nil && !bytes.Equal(got, sent) {
		err = fmt.Errorf("%d bytes of %d came back", len(got), len(sent))
	}
	return errors.Join(err, <-written)
}

// A large stream each way; 10 MB of it where 2 of 100 packets are lost.
func TestTransfer(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		if err := exchange(serve(r, datagrams, echo).dial(), random(2<<20)); err != nil {
			r.Error(err)
		}
	})
	t.Run("2 % loss", func(t *testing.T) {
		rig.Wire(t, "drop=2%,delay=1ms", func(r *rig.Rig) {
			if err := exchange(serve(r, datagrams, echo).dial(), random(10<<20)); err != nil {
				r.Error(err)
			}
		})
	})
}

// More streams at once than a connection may have open, so that some wait.
func TestStreams(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		conn := serve(r, datagrams, echo).dial()
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				if err := exchange(conn, random(i*10)); err != nil {
					r.Errorf("stream %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
}

// Datagrams may be lost: they are sent until the answers have been seen.
func TestDatagrams(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		conn := serve(r, datagrams, echo).dial()
		ctx, cancel := context.WithTimeout(r.Context(), rig.Patience)
		defer cancel()
		for _, size := range []int{1, 100, 1000} {
			sent := random(size)
			for {
				if err := conn.SendDatagram(sent); err != nil {
					r.Fatalf("a datagram of %d bytes: %v", size, err)
				}
				again, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				got, err := conn.ReceiveDatagram(again)
				cancel()
				if err == nil && bytes.Equal(got, sent) {
					break
				}
				if ctx.Err() != nil {
					r.Fatalf("a datagram of %d bytes never came back", size)
				}
			}
		}
	})
}

// Many clients of one socket, each with a socket of its own.
func TestManyClients(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		w := serve(r, datagrams, echo)
		var all sync.WaitGroup
		for range 20 {
			one := *w
			one.client = transport(r, r.Client)
			all.Go(func() {
				conn, err := one.client.Dial(r.Context(), one.addr, one.clientTLS, one.config)
				if err != nil {
					r.Error(err)
					return
				}
				defer conn.CloseWithError(0, "done")
				if err := exchange(conn, random(100_000)); err != nil {
					r.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// A close with a reason reaches the peer.
func TestClose(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		conn := serve(r, datagrams, func(conn *quic.Conn) {
			conn.AcceptStream(conn.Context())
			conn.CloseWithError(42, "enough")
		}).dial()
		err := exchange(conn, random(1000))
		var app *quic.ApplicationError
		if !errors.As(err, &app) || app.ErrorCode != 42 || !app.Remote || app.ErrorMessage != "enough" {
			r.Errorf("the stream of a closed connection: %v", err)
		}
	})
}

// Nobody listens: UDP's refusal is nothing that QUIC believes, so the handshake
// ends by its own time.
func TestNobody(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		w := serve(r, &quic.Config{HandshakeIdleTimeout: 200 * time.Millisecond}, echo)
		w.addr = &net.UDPAddr{IP: net.ParseIP(r.Server.IP), Port: 9}
		_, err := w.client.Dial(r.Context(), w.addr, w.clientTLS, w.config)
		var timeout net.Error // of one of two kinds
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			r.Errorf("Dial: %v, want that nobody answered", err)
		}
	})
}

// quic-go warns, once in a process, of a socket that it cannot tune; so the test
// looks at a process of its own.
func TestNoWarning(t *testing.T) {
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoWarning$")
		cmd.Env = append(os.Environ(), alone+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "PASS" {
			t.Errorf("quic-go warns, or fails (%v):\n%s", err, out)
		}
		return
	}
	rig.Wire(t, "", func(r *rig.Rig) {
		w := serve(r, datagrams, echo)
		if err := exchange(w.dial(), []byte("x")); err != nil {
			r.Error(err)
		}
		// Half of what quic-go looks for would be worse than nothing: it would
		// ask for the file descriptor.
		if _, ok := w.client.Conn.(quic.OOBCapablePacketConn); ok {
			r.Error("the connection claims to have a file descriptor")
		}
		size, err := w.client.Conn.(*api.PacketConn).Option(api.ReadBuffer(0))
		if err != nil || size.(api.ReadBuffer) < 7<<20 {
			r.Errorf("quic-go asked for a receive buffer of 7 MiB, and got %d bytes, %v", size, err)
		}
	})
}

const alone = "RINGTAIL_INTEROP_ALONE"
