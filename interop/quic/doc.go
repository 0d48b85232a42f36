// Package quic is tests only: quic-go's server and client, over packet
// connections of Ringtail. One socket each is all it takes:
//
//	pc, err := host.Net().ListenPacket("udp", ":443")
//	transport := &quic.Transport{Conn: pc}
//	listener, err := transport.Listen(tlsConfig, quicConfig)
//
//	pc, err := host.Net().ListenPacket("udp", ":0")
//	transport := &quic.Transport{Conn: pc}
//	conn, err := transport.Dial(ctx, addr, tlsConfig, quicConfig)
//
// quic-go uses the kernel's batches, segmentation offload, ECN and path MTU
// discovery where a connection has a file descriptor. Ringtail's has none, so
// packets go one by one, and have 1280 bytes unless Config.InitialPacketSize says
// otherwise: on a host set it to what the link carries. It sets the sizes of the
// socket's buffers, is content with them, and warns of nothing: a test looks.
//
// The trap: quic.DialAddr and quic.ListenAddr open sockets of the kernel.
package quic
