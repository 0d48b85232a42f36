package proxy

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// serveSocks serves a client of SOCKS.
func (p *Proxy) serveSocks(s *stream) error {
	s.client.SetDeadline(p.deadline(p.cfg.Patience)) // fails only with the connection
	command, to, err := s.negotiate()
	if err != nil {
		return err
	}
	if err := s.client.SetDeadline(time.Time{}); err != nil {
		return err
	}
	switch command {
	case commandConnect:
		return s.connect(to)
	case commandAssociate:
		return s.associate(to)
	}
	return s.refuse(replyBadCommand, replyBadCommand)
}

// negotiate reads what a client has to say before it is served.
func (s *stream) negotiate() (command byte, to destination, err error) {
	cfg, method := &s.p.cfg, byte(methodNone)
	if cfg.User != "" {
		method = methodUser
	}
	offered, err := readGreeting(s.client, method)
	if err != nil {
		return 0, to, err
	}
	if !offered {
		s.client.Write([]byte{socksVersion, methodUnacceptable})
		return 0, to, told{errUnauthorized}
	}
	if _, err := s.client.Write([]byte{socksVersion, method}); err != nil {
		return 0, to, err
	}
	if method == methodUser {
		if err := s.authenticate(); err != nil {
			return 0, to, err
		}
	}
	command, to, err = readRequest(s.client)
	var r reply
	if errors.As(err, &r) {
		err = s.refuse(r, err)
	}
	return command, to, err
}

var errUnauthorized = errors.New("socks: the client has no right to be served")

// told is an error that the client has been told in words.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

func (s *stream) authenticate() error {
	user, password, err := readUser(s.client)
	if err != nil {
		return err
	}
	right := subtle.ConstantTimeCompare(user, []byte(s.p.cfg.User)) & subtle.ConstantTimeCompare(password, []byte(s.p.cfg.Password))
	_, err = s.client.Write([]byte{userVersion, byte(1 - right)})
	if right == 0 {
		return told{errUnauthorized}
	}
	return err
}

// refuse answers a request with a reason, and returns the error that it stands for.
func (s *stream) refuse(r reply, err error) error {
	if _, err := s.client.Write(appendReply(nil, r, netip.AddrPort{})); err != nil {
		return err
	}
	return told{err}
}

// connect serves CONNECT.
func (s *stream) connect(to destination) error {
	if err := s.dial(s.p.cfg.Host, to.String()); err != nil {
		return s.refuse(replyTo(err), err)
	}
	var local netip.AddrPort
	if a, ok := s.target.LocalAddr().(*net.TCPAddr); ok {
		local = a.AddrPort()
	}
	if _, err := s.client.Write(appendReply(nil, replyGranted, local)); err != nil {
		return err
	}
	return s.join()
}

// replyTo returns the reply that says what an error of a dial does.
func replyTo(err error) reply {
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return replyRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return replyNetworkUnreachable
	case errors.Is(err, syscall.EHOSTUNREACH), errors.As(err, &name), errors.As(err, &timeout) && timeout.Timeout():
		return replyHostUnreachable
	}
	return replyFailure
}
