package tls_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// serve handles every connection until the test ends.
func serve(r *rig.Rig, config *tls.Config, handle func(*tls.Conn)) string {
	r.Helper()
	ln := tls.NewListener(r.Listen(), config)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				handle(c.(*tls.Conn))
			})
		}
	})
	r.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

func echo(c *tls.Conn) { io.Copy(c, c) }

// dial connects and shakes hands.
func dial(r *rig.Rig, addr string, config *tls.Config) (*tls.Conn, error) {
	raw, err := r.Client.Dial(r.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	config.ServerName = r.Server.IP
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(r.Context()); err != nil {
		raw.Close()
		return nil, err
	}
	r.Cleanup(func() { c.Close() })
	return c, nil
}

func mustDial(r *rig.Rig, addr string, config *tls.Config) *tls.Conn {
	r.Helper()
	c, err := dial(r, addr, config)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// each runs a test with both versions that are in use.
func each(t *testing.T, test func(r *rig.Rig, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			rig.Each(t, func(r *rig.Rig) { test(r, version) })
		})
	}
}

func TestTransfer(t *testing.T) {
	ca := rig.NewAuthority()
	each(t, func(r *rig.Rig, version uint16) {
		addr := serve(r, ca.ServerTLS(r), echo)
		config := ca.ClientTLS()
		config.MaxVersion = version
		c := mustDial(r, addr, config)
		if v := c.ConnectionState().Version; v != version {
			r.Errorf("version %s", tls.VersionName(v))
		}
		sent := make([]byte, r.Size(8<<20))
		rand.NewChaCha8([32]byte{}).Read(sent)
		go func() {
			c.Write(sent)
			c.CloseWrite() // an alert, and nothing else: the other way stays
		}()
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
			r.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
		}
	})
}

// Each side sees the other's certificate, and a client without one is refused.
func TestClientCertificates(t *testing.T) {
	ca, other := rig.NewAuthority(), rig.NewAuthority()
	each(t, func(r *rig.Rig, version uint16) {
		config := ca.ServerTLS(r)
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool
		addr := serve(r, config, func(c *tls.Conn) {
			if c.HandshakeContext(r.Context()) == nil {
				fmt.Fprintf(c, "hello %s", c.ConnectionState().PeerCertificates[0].Subject.CommonName)
			}
		})
		hello := func(certs ...tls.Certificate) (string, error) {
			config := ca.ClientTLS()
			config.Certificates, config.MaxVersion = certs, version
			c, err := dial(r, addr, config)
			if err != nil { // version 1.2 refuses within the handshake
				return "", err
			}
			got, err := io.ReadAll(c)
			return string(got), err
		}
		if got, err := hello(ca.Certificate("alice")); got != "hello alice" || err != nil {
			r.Errorf("%q, %v", got, err)
		}
		for what, certs := range map[string][]tls.Certificate{
			"no certificate": nil, "one of another authority": {other.Certificate("mallory")},
		} {
			_, err := hello(certs...)
			var remote *net.OpError // as crypto/tls reports the peer's alert
			if !errors.As(err, &remote) || remote.Op != "remote error" {
				r.Errorf("%s: %v, want the server's alert", what, err)
			}
		}
		strict := &tls.Config{RootCAs: other.Pool, MaxVersion: version}
		_, err := dial(r, addr, strict)
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) {
			r.Errorf("a server of another authority: %v", err)
		}
	})
}

func TestResumption(t *testing.T) {
	ca := rig.NewAuthority()
	each(t, func(r *rig.Rig, version uint16) {
		addr := serve(r, ca.ServerTLS(r), echo)
		config := ca.ClientTLS()
		config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(8)
		for i := range 4 {
			c := mustDial(r, addr, config)
			io.WriteString(c, "x") // with the answer comes the ticket of version 1.3
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				r.Fatal(err)
			}
			if did := c.ConnectionState().DidResume; did != (i > 0) {
				r.Errorf("connection %d: resumed is %v", i, did)
			}
			c.Close()
		}
	})
}

// A handshake with a peer that says nothing ends with its context, or deadline.
func TestHandshakeEnds(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		ln := r.Listen()
		connect := func() *tls.Conn {
			c, err := r.Client.Dial(r.Context(), "tcp", ln.Addr().String())
			if err != nil {
				r.Fatal(err)
			}
			r.Cleanup(func() { c.Close() })
			return tls.Client(c, &tls.Config{ServerName: "silent"})
		}
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
		defer cancel()
		if err := connect().HandshakeContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("with a context: %v", err)
		}
		c := connect()
		c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		var timeout net.Error
		if err := c.Handshake(); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			r.Errorf("with a deadline: %v", err)
		}
	})
}
