// Package proxy joins two networks, such as the kernel's and that of a host of
// ours, for programs that cannot be rebuilt to use the host themselves: it
// forwards ports in either direction, TCP and UDP, and is a SOCKS server (RFC
// 1928).
//
//	p, err := proxy.New(proxy.Config{
//		Host:    host.Net(),
//		Forward: []proxy.Route{{Network: "tcp", Listen: "127.0.0.1:8080", Target: "10.77.0.1:80"}}, // kernel → host
//		Publish: []proxy.Route{{Network: "tcp", Listen: ":80", Target: "127.0.0.1:8000"}},          // host → kernel
//		Socks:   []string{"127.0.0.1:1080"},
//	})
//	if err != nil { … }
//	err = p.Serve(ctx)                    // until ctx ends
//	err = errors.Join(err, p.Shutdown(…)) // lets connections end
//
// A connection is passed on as it is: the end of each direction by itself, and a
// reset as a reset, so that nobody takes a part for the whole. Datagrams of one
// client to one target are a flow, which ends when it has been silent for a while.
//
// The trap: who reaches a listener of the proxy reaches what the other network
// reaches. On the kernel's side it therefore listens on loopback addresses only,
// unless Config.Public says otherwise. And two things do not pass: ICMP errors, and
// the address of a client, in whose place the target sees the proxy's.
package proxy
