package main

import (
	"context"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

// A server is the state of one goroutine; nothing in it is locked.
type server struct {
	lib      *api.LibOS
	store    *store
	listener api.QD
	sessions map[api.QD]*session
	places   int // for clients, the one being accepted included
}

// open listens, and begins to accept.
func (s *server) open(addr netip.AddrPort) (err error) {
	s.sessions = map[api.QD]*session{}
	if s.listener, err = s.lib.Socket(api.TCP); err != nil {
		return err
	}
	if err := s.lib.Bind(s.listener, addr); err != nil {
		return err
	}
	if err := s.lib.Listen(s.listener, 128); err != nil {
		return err
	}
	return s.accept()
}

// accept asks for the next client. It takes a place.
func (s *server) accept() error {
	s.places--
	_, err := s.lib.Accept(s.listener)
	return err
}

// serve serves until ctx ends. What fails on a connection ends the connection; an
// op that could not even begin ends the server.
func (s *server) serve(ctx context.Context) error {
	for c, err := range s.lib.Completions(ctx) {
		switch {
		case err != nil:
		case c.Op == api.OpAccept && c.Err != nil:
			err = c.Err
		case c.Op == api.OpAccept:
			err = s.welcome(c.New)
		case c.Err != nil || c.EOF:
			c.SGA.Free()
			err = s.part(c.QD)
		default:
			err = s.continues(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *server) welcome(qd api.QD) error {
	s.sessions[qd] = &session{store: s.store}
	if _, err := s.lib.PopN(qd, longestLine); err != nil {
		return err
	}
	if s.places > 0 {
		return s.accept()
	}
	return nil // the next one waits in the listener's backlog
}

// part closes a connection, and gives its place to the next.
func (s *server) part(qd api.QD) error {
	s.lib.Close(qd)
	delete(s.sessions, qd)
	if s.places++; s.places == 1 {
		return s.accept()
	}
	return nil
}

// continues lets a session take the next step: answer if there is something to
// answer, listen if there is not.
func (s *server) continues(c api.Completion) error {
	at := s.sessions[c.QD]
	if c.Op == api.OpPop {
		for _, seg := range c.SGA.Segs {
			at.feed(seg)
		}
		c.SGA.Free()
	}
	answers, done := at.execute()
	var err error
	switch {
	case len(answers) > 0: // borrowed until the push is complete; then comes the next step
		_, err = s.lib.Push(c.QD, api.SGAOf(answers))
	case done:
		err = s.part(c.QD)
	default:
		_, err = s.lib.PopN(c.QD, longestLine)
	}
	return err
}
