package quic_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// configs are TLS configurations for a server and its clients. QUIC needs the
// name of a protocol.
func configs(server string) (*tls.Config, *tls.Config) {
	ca := rig.NewAuthority()
	s := &tls.Config{Certificates: []tls.Certificate{ca.Certificate("server", server)}, NextProtos: []string{"interop"}}
	c := ca.ClientTLS()
	c.NextProtos, c.ServerName = s.NextProtos, "server"
	return s, c
}

// transport opens a socket at an end until the test ends.
func transport(r *rig.Rig, end rig.End) *quic.Transport {
	r.Helper()
	pc, err := end.ListenPacket("udp", net.JoinHostPort(end.IP, "0"))
	if err != nil {
		r.Fatal(err)
	}
	tr := &quic.Transport{Conn: pc}
	r.Cleanup(func() {
		if err := tr.Close(); err != nil {
			r.Errorf("closing the transport: %v", err)
		}
		if err := pc.Close(); err != nil {
			r.Errorf("closing the socket: %v", err)
		}
	})
	return tr
}

// A world is a server and a client that know each other.
type world struct {
	r         *rig.Rig
	clientTLS *tls.Config
	client    *quic.Transport
	addr      net.Addr
	config    *quic.Config
}

// serve runs a server until the test ends.
func serve(r *rig.Rig, config *quic.Config, handle func(*quic.Conn)) *world {
	r.Helper()
	serverTLS, clientTLS := configs(r.Server.IP)
	tr := transport(r, r.Server)
	ln, err := tr.Listen(serverTLS, config)
	if err != nil {
		r.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			all.Go(func() { handle(conn) })
		}
	})
	r.Cleanup(all.Wait)
	r.Cleanup(func() { ln.Close() })
	return &world{r, clientTLS, transport(r, r.Client), tr.Conn.LocalAddr(), config}
}

// dial connects, until the test ends.
func (w *world) dial() *quic.Conn {
	w.r.Helper()
	conn, err := w.client.Dial(w.r.Context(), w.addr, w.clientTLS, w.config)
	if err != nil {
		w.r.Fatal(err)
	}
	w.r.Cleanup(func() { conn.CloseWithError(0, "the test has ended") })
	return conn
}
