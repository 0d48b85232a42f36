package ssh_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// newKey makes a pair of keys.
func newKey() (ed25519.PrivateKey, ssh.Signer) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		panic(err)
	}
	return private, signer
}

// A server lets one key in, runs the commands "cat", "discard" and "fail", and
// forwards ports both ways: to what it dials itself, and from where it listens.
type server struct {
	config *ssh.ServerConfig
	end    rig.End
	all    sync.WaitGroup
}

func newServer(end rig.End, host ssh.Signer, user ssh.PublicKey) *server {
	s := &server{end: end, config: &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), user.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}}
	s.config.AddHostKey(host)
	return s
}

// serve serves until the listener is closed and all connections have ended.
func (s *server) serve(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			break
		}
		s.all.Go(func() {
			defer conn.Close()
			s.connection(conn)
		})
	}
	s.all.Wait()
}

func (s *server) connection(conn net.Conn) {
	c, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	defer c.Close()
	s.all.Go(func() { s.requests(c, requests) })
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			s.all.Go(func() { session(ch) })
		case "direct-tcpip":
			s.all.Go(func() { s.direct(ch) })
		default:
			ch.Reject(ssh.UnknownChannelType, ch.ChannelType())
		}
	}
}

// session runs one command.
func session(ch ssh.NewChannel) {
	channel, requests, err := ch.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for req := range requests {
		var command struct{ Line string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &command) != nil {
			req.Reply(false, nil)
			continue
		}
		req.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		status := struct{ Code uint32 }{run(command.Line, channel)}
		channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

func run(command string, channel ssh.Channel) (status uint32) {
	var err error
	switch command {
	case "cat":
		_, err = io.Copy(channel, channel)
	case "discard":
		var n int64
		n, err = io.Copy(io.Discard, channel)
		fmt.Fprint(channel, n)
	default:
		err = fmt.Errorf("%s: command not found", command)
	}
	if err != nil {
		fmt.Fprintln(channel.Stderr(), err)
		return 127
	}
	return 0
}

// direct connects a channel to where the client asks.
func (s *server) direct(ch ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(ch.ExtraData(), &to); err != nil {
		ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	conn, err := s.end.Dial(context.Background(), "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := ch.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	join(channel, conn)
}

// duplex is what can end one direction, and then the other.
type duplex interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// join copies both ways until both have ended.
func join(a duplex, conn net.Conn) {
	b := conn.(duplex)
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(a, b)
		a.CloseWrite()
	})
	both.Go(func() {
		io.Copy(b, a)
		b.CloseWrite()
	})
	both.Wait()
	a.Close()
	b.Close()
}
