package dhcp

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	none        netip.Addr
	unspecified = netip.IPv4Unspecified()
)

// Receive brings the client the payload of a datagram that came to ClientPort. It
// keeps nothing of it.
func (c *Client) Receive(now time.Time, payload []byte) Step {
	m, err := parse(payload)
	switch {
	case err != nil:
		return c.ignore(malformed)
	case !c.isAnswered(m):
		return c.ignore(others)
	}
	kind, waits := m.MessageType(), c.Waiting() && c.state != Selecting
	switch {
	case kind == dhcpv4.MessageTypeOffer && c.state == Selecting && c.tries > 0:
		return c.choose(now, m)
	case kind == dhcpv4.MessageTypeAck && waits:
		return c.acknowledged(m)
	case kind == dhcpv4.MessageTypeNak && waits:
		return c.refused(now, m)
	}
	return c.ignore(unexpected)
}

// isAnswered reports whether m answers this client. Other clients may have the
// same link address. Servers older than RFC 6842 do not repeat the identifier.
func (c *Client) isAnswered(m *dhcpv4.DHCPv4) bool {
	identified := m.Options.Has(dhcpv4.OptionClientIdentifier)
	return m.OpCode == dhcpv4.OpcodeBootReply && m.TransactionID == c.xid && bytes.Equal(m.ClientHWAddr, c.cfg.MAC[:]) &&
		(!identified || bytes.Equal(m.GetOneOption(dhcpv4.OptionClientIdentifier), c.cfg.ID))
}

// choose takes the first offer that can be used.
func (c *Client) choose(now time.Time, m *dhcpv4.DHCPv4) Step {
	var l Lease
	if err := l.read(m, now); err != nil {
		c.trouble = fmt.Sprintf("the offer of DHCP server %v cannot be used: %v", nameOf(m), err)
		return c.ignore(unusable)
	}
	c.received[dhcpv4.MessageTypeOffer]++
	c.lease, c.state, c.tries, c.asked, c.trouble = l, Requesting, 0, now, ""
	return c.request(now)
}

// acknowledged takes what a server has confirmed, if it is what was asked for.
func (c *Client) acknowledged(m *dhcpv4.DHCPv4) Step {
	var l Lease
	if err := l.read(m, c.asked); err != nil {
		c.trouble = fmt.Sprintf("what DHCP server %v confirms cannot be used: %v", nameOf(m), err)
		return c.ignore(unusable)
	}
	if l.Addr.Addr() != c.lease.Addr.Addr() || c.state == Requesting && l.Server != c.lease.Server {
		return c.ignore(unexpected)
	}
	c.received[dhcpv4.MessageTypeAck]++
	c.lease = l
	if c.state == Requesting {
		c.state, c.armed = Checking, false
		return Step{Event: Check}
	}
	return c.bind()
}

// bind begins to use the lease. Renewal is spread over a sixteenth of its time,
// so that hosts that began together do not go on together.
func (c *Client) bind() Step {
	l := &c.lease
	c.state, c.tries, c.failures, c.trouble, c.last = Bound, 0, 0, "", l.Addr.Addr()
	c.armed = false
	if !l.Expires.IsZero() {
		spread := l.Renew.Sub(l.Obtained) / 16
		c.arm(l.Renew.Add(-(spread >> 16 * time.Duration(c.cfg.Rand()>>16))))
	}
	return Step{Event: Leased}
}

// refused gives up what a server says is not ours. While only one server is asked
// only that one can.
func (c *Client) refused(now time.Time, m *dhcpv4.DHCPv4) Step {
	server, ok := serverOf(m)
	if !ok || c.state != Rebinding && server != c.lease.Server {
		return c.ignore(unexpected)
	}
	c.received[dhcpv4.MessageTypeNak]++
	s := Step{Event: Lost}
	if c.state == Requesting {
		s.Event = None
	}
	trouble := fmt.Sprintf("DHCP server %v refused %v", server, c.lease.Addr.Addr())
	if why := m.Message(); len(why) > 0 {
		trouble += fmt.Sprintf(": %q", why[:min(len(why), longestReason)])
	}
	c.last = none
	c.restart(now, trouble)
	return s
}

// longestReason is how much of a server's words is repeated, in bytes.
const longestReason = 80

func nameOf(m *dhcpv4.DHCPv4) string {
	if a, ok := serverOf(m); ok {
		return a.String()
	}
	return "without an address"
}

// A reason to ignore a message.
type reason uint8

const (
	malformed  reason = iota // not a message of DHCP
	others                   // to another client, or to no question of ours
	unexpected               // not an answer to the present question
	unusable                 // a lease that a host cannot live with
	reasons
)

var reasonNames = [reasons]string{"malformed", "other-client", "unexpected", "unusable"}

func (c *Client) ignore(r reason) Step {
	c.ignored[r]++
	return Step{}
}

// Counters are those of a client since it was made.
type Counters struct {
	Sent, Received map[string]uint64 // by the kind of message
	Ignored        map[string]uint64 // received ones, by the reason
}

// Counters returns all counters, also those that are zero.
func (c *Client) Counters() Counters {
	n := Counters{map[string]uint64{}, map[string]uint64{}, map[string]uint64{}}
	for _, k := range []dhcpv4.MessageType{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeRelease} {
		n.Sent[strings.ToLower(k.String())] = c.sent[k]
	}
	for _, k := range []dhcpv4.MessageType{dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak} {
		n.Received[strings.ToLower(k.String())] = c.received[k]
	}
	for r, name := range reasonNames {
		n.Ignored[name] = c.ignored[r]
	}
	return n
}
