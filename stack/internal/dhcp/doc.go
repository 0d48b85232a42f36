// Package dhcp is a DHCPv4 client (RFC 2131) as a state machine. It has no
// socket, no clock, no dice and no goroutine: its owner, the turn of a host, tells
// it the time, brings it messages, and does what each step asks for.
//
//	c := dhcp.NewClient(dhcp.Config{MAC: mac, ID: id, Rand: rand})
//	step := c.Tick(now)                // asks for a DHCPDISCOVER to be sent
//	step = c.Receive(now, payload)     // an offer: asks for a DHCPREQUEST
//	step = c.Receive(now, payload)     // an ACK: Event is Check
//	step = c.Checked(now, true)        // nobody else has the address: Bound
//	at, ok := c.Deadline()             // when to call Tick if nothing comes
//
// Messages are bytes of UDP. What a server sends is believed only as far as it
// was asked for: a reply has the number of the exchange, the link address and,
// if it has one, the identifier of this client.
//
// The trap: [Client.Lease] may be used from the event Bound to the event Lost,
// and not before: while an address is being checked it is only a candidate.
package dhcp
