package stack

import (
	"log/slog"
	"net/netip"

	"github.com/ringtail-net/ringtail/hal"
)

// Config describes a host. The zero value is a host without an interface, which
// talks to itself only.
type Config struct {
	// Name appears in errors, logs and statistics. Empty: "host".
	Name string

	// Interfaces are the devices of the host, which owns them from New on:
	// its Close closes them.
	Interfaces []Interface

	// Routes are used beside the interfaces' own prefixes, the longest prefix
	// first. A default gateway is a route to 0.0.0.0/0 or ::/0.
	Routes []Route

	// Limits bound what peers can make the host hold.
	Limits Limits

	// Forward passes packets on between the interfaces, as a router does. The
	// limits count what ends here, not what passes. Off by default: a host
	// drops what is not for it.
	Forward bool

	// RACK turns on RFC 8985 loss detection. Off by default: on this stack it
	// takes reordering by its own timing for loss (docs/decisions).
	RACK bool

	// Acked lets sockets have the option [api.Acked]. It costs a copy of a
	// connection's state, about 1.4 KB of garbage, for every TCP segment that
	// the host receives. With Foreign it does nothing.
	Acked bool

	// ReadBuffer and WriteBuffer are the sizes, in bytes, of a new TCP
	// socket's buffers. Zero: 1 MiB each.
	ReadBuffer, WriteBuffer int

	// Logger gets what an operator may want to know. Nil: silence.
	Logger *slog.Logger

	// Foreign opens the host for code that calls gVisor's stack from its own
	// goroutines: see package gvisorlink. It costs the inline processing of
	// TCP, and with it speed and determinism.
	Foreign bool

	// Barrier processes TCP by gVisor's Pause and Resume instead of inline:
	// slower, and exact as well. It is what an unknown version of gVisor
	// falls back to.
	Barrier bool

	// Sim, if set, replaces time and randomness. It is for simulations only:
	// sequence numbers, ports and secrets become predictable.
	Sim *Sim
}

// Interface is a device with its addresses.
type Interface struct {
	// Name of the interface. Empty: the device's driver and target.
	Name   string
	Device hal.Device
	// Addrs are the addresses of the interface, each with the prefix length of
	// its link.
	Addrs []netip.Prefix
	// DHCP asks the link's servers for an address of IPv4, beside those in
	// Addrs, and for routes, name servers and the MTU. They know the host by
	// its Name, the interface's name and the device's MAC together: hosts that
	// share a MAC must have different names. A Name that was given is told to
	// servers as the host's. When the host is closed the address is given back.
	DHCP bool
	// SLAAC listens to the link's routers: an address under every prefix that
	// they advertise for that (RFC 4862), routes, name servers. The addresses
	// are stable for a host and device, not the kernel's, and do not show the
	// MAC (RFC 7217), though who suspects one can try it: there is no secret.
	// Here too, hosts that share a MAC must have different names.
	SLAAC bool
	// MTU lowers the device's. Zero: the device's own. A DHCP server can lower
	// it further.
	MTU int
	// Neighbors are stations of the link whose link address is known: they are
	// not asked for, and nobody can claim their addresses.
	Neighbors []Neighbor
}

// Neighbor is a station on an interface's link.
type Neighbor struct {
	Addr netip.Addr
	MAC  hal.MAC
}

// Route says where packets to a prefix go.
type Route struct {
	To netip.Prefix
	// Via is the next router, on the link of one of the interfaces. Invalid
	// (the zero Addr): To is on the link itself.
	Via netip.Addr
	// Interface is the name of the interface. Empty: the one whose prefix
	// contains Via, or the first.
	Interface string
}

// Limits bound what the outside can make a host hold. Zero fields have defaults.
type Limits struct {
	// Conns is the most TCP connections; at so many no peer may open another.
	// Zero: 65536.
	Conns int
	// ConnsPerPeer is the most connections that one address may have opened
	// and we have accepted, until their last byte is sent. Zero: 4096.
	ConnsPerPeer int
	// Backlog is the most bytes that wait for a full device. Zero: 8 MiB.
	Backlog int
}
