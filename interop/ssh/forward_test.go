package ssh_test

import (
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"
)

// requests answers the client's requests to listen, until the connection ends.
func (s *server) requests(c *ssh.ServerConn, requests <-chan *ssh.Request) {
	var listeners []net.Listener
	for req := range requests {
		var at struct {
			Host string
			Port uint32
		}
		if req.Type != "tcpip-forward" || ssh.Unmarshal(req.Payload, &at) != nil {
			req.Reply(req.Type == "cancel-tcpip-forward", nil)
			continue
		}
		ln, err := s.end.Listen("tcp", net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))))
		if err != nil {
			req.Reply(false, nil)
			continue
		}
		listeners = append(listeners, ln)
		at.Port = uint32(ln.Addr().(*net.TCPAddr).Port)
		s.all.Go(func() { s.forward(c, ln, at.Host, at.Port) })
		req.Reply(true, ssh.Marshal(struct{ Port uint32 }{at.Port}))
	}
	for _, ln := range listeners {
		ln.Close()
	}
}

// forward brings what connects to a listener to the client.
func (s *server) forward(c *ssh.ServerConn, ln net.Listener, host string, port uint32) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		from := conn.RemoteAddr().(*net.TCPAddr)
		channel, requests, err := c.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}{host, port, from.IP.String(), uint32(from.Port)}))
		if err != nil {
			conn.Close()
			continue
		}
		go ssh.DiscardRequests(requests)
		s.all.Go(func() { join(channel, conn) })
	}
}
