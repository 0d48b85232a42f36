// Package ssh is tests only: the server and the client of golang.org/x/crypto/ssh
// on a host of Ringtail, and OpenSSH's client over a TAP. Both take connections
// that somebody else made:
//
//	ln, err := host.Net().Listen("tcp", ":22")
//	conn, err := ln.Accept()
//	server, channels, requests, err := ssh.NewServerConn(conn, serverConfig)
//
//	conn, err := host.Net().Dial("tcp", "10.0.0.1:22")
//	c, channels, requests, err := ssh.NewClientConn(conn, "10.0.0.1:22", clientConfig)
//	client := ssh.NewClient(c, channels, requests)
//
// The trap: ssh.Dial dials by the kernel.
package ssh
