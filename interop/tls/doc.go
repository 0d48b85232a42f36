// Package tls is tests only: crypto/tls by itself, over a connection of
// Ringtail. It wraps what the net face returns, as it wraps package net's:
//
//	ln, err := host.Net().Listen("tcp", ":443")
//	secure := tls.NewListener(ln, config)
//
//	conn, err := host.Net().DialContext(ctx, "tcp", "10.0.0.1:443")
//	client := tls.Client(conn, config)
//
// The trap: [tls.Dial] dials by the kernel. Dial with the host, and wrap.
package tls
