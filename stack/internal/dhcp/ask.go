package dhcp

import "time"

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
		c.xid, c.began = c.cfg.Rand(), now
	case 3:
		c.trouble = "" // by now it is that nobody answers
	}
	m := c.question(Discover, now)
	m.Broadcast = true
	if c.last.IsValid() {
		m.Options[OptAddress] = c.last.AsSlice()
	}
	c.arm(now.Add(c.delay(c.tries)))
	return c.broadcast(&m)
}

// request asks for what a server has offered. All servers hear it, so that the
// others can forget their offers.
func (c *Client) request(now time.Time) Step {
	c.tries++
	m := c.question(Request, now)
	m.Broadcast = true
	m.Options[OptAddress] = c.lease.Addr.Addr().AsSlice()
	m.Options[OptServer] = c.lease.Server.AsSlice()
	c.arm(now.Add(c.delay(c.tries)))
	return c.broadcast(&m)
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
		c.xid, c.began, c.asked = c.cfg.Rand(), now, now
	}
	c.tries++
	c.arm(c.again(now, until))
	m := c.question(Request, now)
	m.Client = c.lease.Addr.Addr()
	s := c.broadcast(&m)
	s.From = m.Client
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
func (c *Client) question(k Kind, now time.Time) Message {
	m := c.message(k)
	m.Secs = uint16(min(max(now.Sub(c.began)/time.Second, 0), 1<<16-1))
	// The classless routes come before the routers (RFC 3442).
	m.Options[OptParameters] = []byte{OptMask, OptClassRoutes, OptRouters, OptDNS, OptDomain, OptMTU, OptLeaseTime, OptRenewTime, OptRebindTime}
	if c.cfg.HostName != "" {
		m.Options[OptHostName] = []byte(c.cfg.HostName)
	}
	return m
}

func (c *Client) message(k Kind) Message {
	c.sent[k]++
	return Message{Kind: k, XID: c.xid, MAC: c.cfg.MAC, Options: Options{OptID: c.cfg.ID}}
}

func (c *Client) broadcast(m *Message) Step {
	return Step{Message: m.Append(nil), From: unspecified, To: Broadcast}
}

// decline tells the server that its address is somebody else's.
func (c *Client) decline() []byte {
	c.xid = c.cfg.Rand()
	m := c.message(Decline)
	m.Options[OptAddress] = c.lease.Addr.Addr().AsSlice()
	m.Options[OptServer] = c.lease.Server.AsSlice()
	c.last = none
	return m.Append(nil)
}

// release gives the address back.
func (c *Client) release() []byte {
	c.xid = c.cfg.Rand()
	m := c.message(Release)
	m.Client = c.lease.Addr.Addr()
	m.Options[OptServer] = c.lease.Server.AsSlice()
	return m.Append(nil)
}
