package sql_test

import (
	"bufio"
	"fmt"
	"net"
	"sync"
)

// A server answers lines. It can be stopped and started again.
type server struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	total int   // connections so far
	last  error // that a connection has ended with
	all   sync.WaitGroup
	ln    net.Listener
}

func start(ln net.Listener) *server {
	s := &server{conns: map[net.Conn]bool{}, ln: ln}
	s.all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.total++
			s.conns[c] = true
			number := s.total
			s.mu.Unlock()
			s.all.Go(func() { s.answer(c, number) })
		}
	})
	return s
}

// answer sends every line back, behind the number of the connection. To "slow" it
// says nothing.
func (s *server) answer(c net.Conn, number int) {
	in := bufio.NewScanner(c)
	for in.Scan() {
		if in.Text() != "slow" {
			fmt.Fprintln(c, number, in.Text())
		}
	}
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.last = in.Err()
}

// state returns how many connections there are, and were, and how the last of
// those that ended did.
func (s *server) state() (open, total int, last error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), s.total, s.last
}

// stop ends the listener and all connections.
func (s *server) stop() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}
