package ssh_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// A world is a server, and keys that it knows.
type world struct {
	r      *rig.Rig
	addr   string
	host   ssh.PublicKey
	signer ssh.Signer
}

// serve runs a server until the test ends.
func serve(r *rig.Rig) *world {
	r.Helper()
	_, host := newKey()
	_, signer := newKey()
	ln := r.Listen()
	s := newServer(r.Server, host, signer.PublicKey())
	var served sync.WaitGroup
	served.Go(func() { s.serve(ln) })
	r.Cleanup(func() {
		ln.Close()
		served.Wait()
	})
	return &world{r, ln.Addr().String(), host.PublicKey(), signer}
}

// dial connects and authenticates, with a key.
func (w *world) dial(signer ssh.Signer) (*ssh.Client, error) {
	conn, err := w.r.Client.Dial(w.r.Context(), "tcp", w.addr)
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, w.addr, &ssh.ClientConfig{
		User: "me", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(w.host),
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// client is dial until the test ends.
func (w *world) client() *ssh.Client {
	w.r.Helper()
	c, err := w.dial(w.signer)
	if err != nil {
		w.r.Fatal(err)
	}
	w.r.Cleanup(func() { c.Close() })
	return c
}

func TestExec(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		w := serve(r)
		c := w.client()
		run := func(command string, in []byte) (out []byte, err error) {
			session, err := c.NewSession()
			if err != nil {
				r.Fatal(err)
			}
			defer session.Close()
			session.Stdin = bytes.NewReader(in)
			return session.Output(command)
		}
		big := random(r.Size(16 << 20))
		if out, err := run("cat", big); err != nil || !bytes.Equal(out, big) {
			r.Errorf("cat: %d bytes of %d, %v", len(out), len(big), err)
		}
		if out, err := run("discard", big[:12345]); err != nil || string(out) != "12345" {
			r.Errorf("discard: %q, %v", out, err)
		}
		var exit *ssh.ExitError
		if _, err := run("nonsense", nil); !errors.As(err, &exit) || exit.ExitStatus() != 127 {
			r.Errorf("an unknown command: %v", err)
		}
		_, stranger := newKey()
		if _, err := w.dial(stranger); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
			r.Errorf("an unknown key: %v", err)
		}
	})
}

// Many sessions share one connection.
func TestSessions(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		c := serve(r).client()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				session, err := c.NewSession()
				if err != nil {
					r.Error(err)
					return
				}
				defer session.Close()
				in := random(1000 * i)
				session.Stdin = bytes.NewReader(in)
				if out, err := session.Output("cat"); err != nil || !bytes.Equal(out, in) {
					r.Errorf("session %d: %d bytes of %d, %v", i, len(out), len(in), err)
				}
			})
		}
		all.Wait()
	})
}

// Ports are forwarded: to an echo beside the server, and from a port there to the
// client.
func TestForward(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		c := serve(r).client()
		echo := echoServer(r)
		conn, err := c.Dial("tcp", echo)
		if err != nil {
			r.Fatal(err)
		}
		through(r, conn.(duplex), random(r.Size(4<<20)))

		if _, err := c.Dial("tcp", net.JoinHostPort(r.Server.IP, "9")); err == nil || !strings.Contains(err.Error(), "refused") {
			r.Errorf("where nobody listens: %v", err)
		}

		ln, err := c.Listen("tcp", net.JoinHostPort(r.Server.IP, "0"))
		if err != nil {
			r.Fatal(err)
		}
		var served sync.WaitGroup
		served.Go(func() {
			conn, err := ln.Accept()
			if err != nil {
				r.Error(err)
				return
			}
			io.Copy(conn, conn)
			conn.Close()
		})
		out, err := r.Client.Dial(r.Context(), "tcp", ln.Addr().String())
		if err != nil {
			r.Fatal(err)
		}
		through(r, out.(duplex), random(r.Size(4<<20)))
		served.Wait()
		ln.Close()
	})
}

// echoServer runs an echo at the server's end.
func echoServer(r *rig.Rig) (addr string) {
	ln := r.Listen()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				io.Copy(c, c)
				c.Close()
			})
		}
	})
	r.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

// through sends bytes through an echo, and wants them back.
func through(r *rig.Rig, c duplex, sent []byte) {
	r.Helper()
	defer c.Close()
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		r.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
	}
}
