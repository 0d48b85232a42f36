package dhcp

import (
	"encoding/binary"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// The schedule of RFC 2131, sections 3.1, 4.1 and 4.4.5.
const (
	firstDelay   = 4 * time.Second  // between two messages, doubled each time
	longestDelay = 64 * time.Second // up to this
	dither       = time.Second      // added or taken away, at most
	maxRequests  = 4                // for one offer: about a minute
	afterDecline = 10 * time.Second
	leastRenewal = time.Minute // between two requests for more time
)

// delay returns how long to wait for an answer to the n-th message of a row, from 1
// on.
func (c *Client) delay(n int) time.Duration {
	d := longestDelay
	if n < 5 {
		d = firstDelay << (n - 1)
	}
	return d - dither + time.Duration(c.cfg.Rand())*(2*dither)>>32
}

func (c *Client) arm(at time.Time) { c.armed, c.at = true, at }

// restart goes back to the beginning: at once, but not again and again.
func (c *Client) restart(now time.Time, trouble string) {
	c.state, c.tries, c.trouble = Selecting, 0, trouble
	c.arm(now)
	if c.failures++; c.failures > 1 {
		c.arm(now.Add(c.delay(c.failures - 1)))
	}
}

// discover asks all servers for an address.
func (c *Client) discover(now time.Time) Step {
	switch c.tries++; c.tries {
	case 1:
		c.xid, c.began = c.exchange(), now
	case 3:
		c.trouble = "" // by now it is that nobody answers
	}
	m := c.question(dhcpv4.MessageTypeDiscover, now)
	m.SetBroadcast()
	if c.last.IsValid() {
		m.UpdateOption(dhcpv4.OptRequestedIPAddress(c.last.AsSlice()))
	}
	c.arm(now.Add(c.delay(c.tries)))
	return c.broadcast(m)
}

// request asks for what a server has offered. All servers hear it, so that the
// others can forget their offers.
func (c *Client) request(now time.Time) Step {
	c.tries++
	m := c.question(dhcpv4.MessageTypeRequest, now)
	m.SetBroadcast()
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(c.lease.Addr.Addr().AsSlice()))
	m.UpdateOption(dhcpv4.OptServerIdentifier(c.lease.Server.AsSlice()))
	c.arm(now.Add(c.delay(c.tries)))
	return c.broadcast(m)
}

// extend asks for more time: from T1 on the server of the lease, from T2 on any
// server, and from its end on it gives the lease up.
func (c *Client) extend(now time.Time) Step {
	next, until := Renewing, c.lease.Rebind
	if !now.Before(c.lease.Rebind) {
		next, until = Rebinding, c.lease.Expires
	}
	if !now.Before(c.lease.Expires) {
		c.restart(now, "the lease of "+c.lease.Addr.Addr().String()+" has expired: no DHCP server has answered")
		return Step{Event: Lost}
	}
	if c.state != next {
		c.state, c.tries = next, 0
		c.xid, c.began, c.asked = c.exchange(), now, now
	}
	c.tries++
	c.arm(c.again(now, until))
	m := c.question(dhcpv4.MessageTypeRequest, now)
	m.ClientIPAddr = c.lease.Addr.Addr().AsSlice()
	s := c.broadcast(m)
	s.From = c.lease.Addr.Addr()
	if c.state == Renewing {
		s.To = c.lease.Server
	}
	return s
}

// again returns when to ask again for more time: in half of what is left until
// the next stage. RFC 2131 has that be a minute at least, which would leave a
// lease of some minutes with a single try; so for these it is less.
func (c *Client) again(now, until time.Time) time.Time {
	least := max(min(leastRenewal, c.lease.Expires.Sub(c.lease.Obtained)/32), dither)
	at := now.Add(max(until.Sub(now)/2, least))
	if at.After(until) {
		return until
	}
	return at
}

// question is a message that asks a server for an answer.
func (c *Client) question(k dhcpv4.MessageType, now time.Time) *dhcpv4.DHCPv4 {
	m := c.message(k)
	m.NumSeconds = uint16(min(max(now.Sub(c.began)/time.Second, 0), 1<<16-1))
	// The classless routes come before the routers (RFC 3442).
	m.UpdateOption(dhcpv4.OptParameterRequestList(dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter,
		dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionInterfaceMTU,
		dhcpv4.OptionIPAddressLeaseTime, dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue))
	if c.cfg.HostName != "" {
		m.UpdateOption(dhcpv4.OptHostName(c.cfg.HostName))
	}
	return m
}

// message is made by hand: those that the library makes take numbers of exchanges
// from the system.
func (c *Client) message(k dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	c.sent[k]++
	return &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: iana.HWTypeEthernet, ClientHWAddr: c.cfg.MAC[:], TransactionID: c.xid,
		Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(k), dhcpv4.OptClientIdentifier(c.cfg.ID)),
	}
}

// exchange returns the number of a new exchange.
func (c *Client) exchange() (xid dhcpv4.TransactionID) {
	binary.BigEndian.PutUint32(xid[:], c.cfg.Rand())
	return xid
}

func (c *Client) broadcast(m *dhcpv4.DHCPv4) Step {
	return Step{Message: m.ToBytes(), From: unspecified, To: Broadcast}
}

// decline tells the server that its address is somebody else's.
func (c *Client) decline() []byte {
	c.xid = c.exchange()
	m := c.message(dhcpv4.MessageTypeDecline)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(c.lease.Addr.Addr().AsSlice()))
	m.UpdateOption(dhcpv4.OptServerIdentifier(c.lease.Server.AsSlice()))
	c.last = none
	return m.ToBytes()
}

// release gives the address back.
func (c *Client) release() []byte {
	c.xid = c.exchange()
	m := c.message(dhcpv4.MessageTypeRelease)
	m.ClientIPAddr = c.lease.Addr.Addr().AsSlice()
	m.UpdateOption(dhcpv4.OptServerIdentifier(c.lease.Server.AsSlice()))
	return m.ToBytes()
}
