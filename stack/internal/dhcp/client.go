package dhcp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Config of a client.
type Config struct {
	MAC [6]byte
	// ID is the client identifier (option 61), by which servers tell clients
	// apart. No other client of the link may have it, not even one with the
	// same link address.
	ID []byte
	// HostName is told to servers. Empty: it is not.
	HostName string
	// Rand is where the numbers of exchanges and the dither of delays come
	// from. Whoever can guess them can answer in the place of a server.
	Rand func() uint32
}

// A State is where a client stands, in the words of RFC 2131, section 4.4.
type State uint8

// The states.
const (
	Selecting  State = iota // it asks for an address
	Requesting              // it has chosen an offer
	Checking                // its owner looks whether the address is free
	Bound
	Renewing  // it asks the server of its lease for more time
	Rebinding // it asks any server
	Stopped
)

func (s State) String() string {
	return [...]string{"selecting", "requesting", "checking", "bound", "renewing", "rebinding", "stopped"}[s%7]
}

// An Event is what has become of a lease.
type Event uint8

// The events.
const (
	None   Event = iota
	Check        // look whether anybody uses the address of Lease, then call Checked
	Leased       // Lease may be used: it is new, has more time, or says something new
	Lost         // what was leased must not be used any more
)

// A Step is what a client wants done: first what is to be sent, then the event.
type Step struct {
	// Message is the payload of a datagram from ClientPort to ServerPort; nil:
	// none. It comes from the address From, which is unspecified as long as
	// there is no lease, and goes to To, which may be the broadcast address.
	Message  []byte
	From, To netip.Addr

	Event Event
}

// Broadcast is the address of all stations of a link.
var Broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// A Client asks for one lease and keeps it. It is not safe for concurrent use.
type Client struct {
	cfg   Config
	state State
	armed bool      // it goes on by itself
	at    time.Time // when

	xid      dhcpv4.TransactionID
	began    time.Time  // when this exchange did
	asked    time.Time  // when its present question was sent for the first time
	tries    int        // how often it was
	failures int        // attempts that came to nothing since there was a lease
	trouble  string     // with the last of them
	lease    Lease      // chosen, being checked, or bound
	last     netip.Addr // what was leased before, to be asked for again

	sent, received [kinds]uint64
	ignored        [reasons]uint64
}

// NewClient makes a client that begins with the first Tick.
func NewClient(cfg Config, now time.Time) *Client {
	return &Client{cfg: cfg, armed: true, at: now}
}

// State returns where the client stands.
func (c *Client) State() State { return c.state }

// Lease returns the lease that is bound, or that is being checked.
func (c *Client) Lease() Lease { return c.lease }

// Deadline returns when Tick has something to do, if it ever has.
func (c *Client) Deadline() (at time.Time, ok bool) { return c.at, c.armed }

// Waiting reports whether an answer may come: whether the client has to be given
// what is sent to ClientPort. It is so before the step that asks is sent.
func (c *Client) Waiting() bool {
	switch c.state {
	case Selecting:
		return c.tries > 0
	case Requesting, Renewing, Rebinding:
		return true
	}
	return false
}

// Trouble says what keeps the client from having a lease, as part of a sentence,
// or nothing if it has one.
func (c *Client) Trouble() string {
	switch {
	case c.state == Checking:
		return fmt.Sprintf("address %v is being checked for other users", c.lease.Addr.Addr())
	case c.state > Checking:
		return ""
	case c.trouble != "":
		return c.trouble
	case c.state == Requesting:
		return fmt.Sprintf("DHCP server %v has offered %v and not confirmed it (%d requests)", c.lease.Server, c.lease.Addr.Addr(), c.tries)
	}
	return fmt.Sprintf("no DHCP server has answered (%d requests)", c.tries)
}

// Tick tells the client that time has come to now.
func (c *Client) Tick(now time.Time) Step {
	if !c.armed || now.Before(c.at) {
		return Step{}
	}
	switch c.state {
	case Selecting:
		return c.discover(now)
	case Requesting:
		if c.tries < maxRequests {
			return c.request(now)
		}
		c.restart(now, c.Trouble())
		return c.Tick(now)
	}
	return c.extend(now)
}

// Checked tells the client whether the address of its lease is free. It is the
// answer to the event Check.
func (c *Client) Checked(now time.Time, free bool) Step {
	if c.state != Checking {
		return Step{}
	}
	if free {
		return c.bind()
	}
	s := Step{Message: c.decline(), From: unspecified, To: Broadcast}
	c.restart(now, fmt.Sprintf("address %v of DHCP server %v is used by another station", c.lease.Addr.Addr(), c.lease.Server))
	if soonest := now.Add(afterDecline); c.at.Before(soonest) {
		c.at = soonest
	}
	return s
}

// Stop ends the client and gives the lease back.
func (c *Client) Stop() (s Step) {
	switch c.state {
	case Bound, Renewing, Rebinding:
		s.Event = Lost
		fallthrough
	case Checking: // the server counts it as ours
		s.Message, s.From, s.To = c.release(), c.lease.Addr.Addr(), c.lease.Server
	}
	c.state, c.armed = Stopped, false
	return s
}
