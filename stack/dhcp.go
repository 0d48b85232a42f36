package stack

import (
	"bytes"
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/stack/internal/bridge"
	"github.com/ringtail-net/ringtail/stack/internal/dhcp"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// client is the DHCP client of an interface. It takes the steps of the protocol's
// state machine within turns, and does what each asks for.
//
// Without an address there is no socket to ask from. So questions go as frames
// made by the link, and answers are taken there before gVisor sees them, while
// one is awaited. Only a request for more time is sent by a socket: it is for one
// server, which may be behind a router.
type client struct {
	h       *Host
	i       *iface
	machine *dhcp.Client
	timer   *timer
	open    bool        // answers are awaited
	station hal.MAC     // of the link, that the lease came from
	bound   *dhcp.Lease // nil: none
	added   bool        // its address was, by us: it was not configured as well
	// candidate is the address that is being checked, in the check of this
	// number. Invalid: none.
	candidate netip.Addr
	check     uint64
	unsent    uint64
}

// probes is how an address is checked before it is used. RFC 5227 has three probes
// and five seconds or so; this takes the second that it takes over IPv6.
var probes = stack.DADConfigurations{DupAddrDetectTransmits: 2, RetransmitTimer: 500 * time.Millisecond}

// lease returns the lease of DHCP that is in force, or nil.
func (i *iface) lease() *dhcp.Lease {
	if i.dhcp == nil {
		return nil
	}
	return i.dhcp.bound
}

func (h *Host) newClient(i *iface, cfg Config, secret []byte) *client {
	c := &client{h: h, i: i}
	id := dhcp.Config{MAC: i.dev.Info().MAC, ID: clientID(secret, i.name)}
	if cfg.Name != defaultName && dhcp.IsHostName(cfg.Name) {
		id.HostName = cfg.Name
	}
	rng := h.st.SecureRNG()
	id.Rand = rng.Uint32
	c.machine = dhcp.NewClient(id, h.Now())
	c.timer = h.clock.afterFunc(0, c.tick)
	return c
}

// clientID is by what DHCP servers know an interface of a host (RFC 4361): one
// and the same after a restart, and another than that of everybody else who may
// have the same link address. It is made of the names of host and interfaces and
// the link addresses together.
func clientID(secret []byte, name string) []byte {
	host := sha256.Sum256(append([]byte("ringtail DHCP "), secret...))
	uuid := host[:16]
	uuid[6], uuid[8] = uuid[6]&0x0f|0x80, uuid[8]&0x3f|0x80 // RFC 9562, version 8
	link := sha256.Sum256([]byte(name))
	id := append([]byte{255}, link[:4]...)
	return append(append(id, 0, 4), uuid...) // a DUID by UUID (RFC 6355)
}

func (c *client) tick() {
	if c.i.failed == nil {
		c.do(c.machine.Tick(c.h.Now()))
	}
}

// receive is given what comes to the client's port.
func (c *client) receive(d bridge.Datagram) {
	s := c.machine.Receive(c.h.Now(), d.Payload)
	if s.Event == dhcp.Check || s.Event == dhcp.Leased {
		c.station = d.Station
	}
	c.do(s)
}

// do does what a step asks for. Answers are taken before the question is sent.
func (c *client) do(s dhcp.Step) {
	if waiting := c.machine.Waiting(); waiting != c.open {
		c.open = waiting
		if waiting {
			c.i.link.Take(dhcp.ClientPort, c.receive)
		} else {
			c.i.link.Take(0, nil)
		}
		c.h.resteer(c.i)
	}
	if s.Message != nil {
		c.send(s)
	}
	switch s.Event {
	case dhcp.Check:
		c.probe()
	case dhcp.Leased:
		c.use(c.machine.Lease())
	case dhcp.Lost:
		c.lose()
	}
	if at, ok := c.machine.Deadline(); ok {
		c.timer.Reset(at.Sub(c.h.Now()))
	} else {
		c.timer.Stop()
	}
}

func (c *client) send(s dhcp.Step) {
	if s.To == dhcp.Broadcast {
		c.frame(hal.Broadcast, s)
	} else if err := c.unicast(s); err != nil {
		c.unsent++
		c.h.log.Warn("DHCP: the request for more time cannot be sent", "host", c.h.name, "interface", c.i.name, "server", s.To, "err", errno(err))
	}
}

// frame sends a message by the link alone.
func (c *client) frame(to hal.MAC, s dhcp.Step) {
	c.i.link.Send(bridge.Datagram{
		Station: to, Payload: s.Message,
		From: netip.AddrPortFrom(s.From, dhcp.ClientPort), To: netip.AddrPortFrom(s.To, dhcp.ServerPort),
	})
}

// unicast sends a message by the stack. The answer comes to the link.
func (c *client) unicast(s dhcp.Step) tcpip.Error {
	if !c.h.neighbors.mayResolve(s.To) {
		return &tcpip.ErrHostUnreachable{}
	}
	ep, err := c.h.st.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, new(waiter.Queue))
	if err != nil {
		return err
	}
	defer ep.Close()
	if err := ep.Bind(tcpip.FullAddress{NIC: c.i.id, Addr: address(s.From), Port: dhcp.ClientPort}); err != nil {
		return err
	}
	to := tcpip.FullAddress{NIC: c.i.id, Addr: address(s.To), Port: dhcp.ServerPort}
	_, err = ep.Write(bytes.NewReader(s.Message), tcpip.WriteOptions{To: &to})
	return err
}

// probe asks the link whether somebody has the address already.
func (c *client) probe() {
	l := c.machine.Lease()
	c.candidate = l.Addr.Addr()
	c.check++
	n := c.check
	c.h.resteer(c.i)
	_, err := c.h.st.CheckDuplicateAddress(c.i.id, ipv4.ProtocolNumber, address(c.candidate), func(r stack.DADResult) {
		_, taken := r.(*stack.DADDupAddrDetected)
		// gVisor holds its lock: the next step has to wait.
		c.h.clock.afterFunc(0, func() { c.probed(n, !taken) })
	})
	if err != nil {
		c.h.clock.afterFunc(0, func() { c.probed(n, true) })
	}
}

func (c *client) probed(n uint64, free bool) {
	if n != c.check || c.h.closed {
		return
	}
	c.candidate = netip.Addr{}
	if !free {
		c.h.log.Warn("DHCP: an address is used by another station", "host", c.h.name, "interface", c.i.name, "addr", c.machine.Lease().Addr)
		c.h.resteer(c.i)
	}
	c.do(c.machine.Checked(c.h.Now(), free))
}

// use brings a lease into force, or what is new in it.
func (c *client) use(l dhcp.Lease) {
	old := c.bound
	c.bound = &l
	if old != nil && old.Addr != l.Addr {
		c.remove(old)
	}
	if old == nil || old.Addr != l.Addr {
		c.h.resteer(c.i) // before the address answers
		err := c.h.st.AddProtocolAddress(c.i.id, protocolAddress(l.Addr), stack.AddressProperties{})
		if c.added = err == nil; !c.added {
			c.h.log.Error("DHCP: the address cannot be used", "host", c.h.name, "interface", c.i.name, "addr", l.Addr, "err", errno(err))
		}
		c.i.link.Announce(l.Addr.Addr())
		c.h.log.Info("DHCP: lease", "host", c.h.name, "interface", c.i.name, "addr", l.Addr, "server", l.Server, "expires", l.Expires)
	}
	c.setMTU(l.MTU)
	c.h.changed.Store(true)
}

// lose ends the use of the lease.
func (c *client) lose() {
	l := c.bound
	c.bound = nil
	c.remove(l)
	c.h.resteer(c.i)
	c.setMTU(0)
	c.h.changed.Store(true)
	c.h.log.Warn("DHCP: the lease is lost", "host", c.h.name, "interface", c.i.name, "addr", l.Addr, "why", c.machine.Trouble())
}

func (c *client) remove(l *dhcp.Lease) {
	if !c.added {
		return
	}
	if err := c.h.st.RemoveAddress(c.i.id, address(l.Addr.Addr())); err != nil {
		c.h.log.Error("DHCP: the address cannot be removed", "host", c.h.name, "interface", c.i.name, "addr", l.Addr, "err", errno(err))
	}
}

// setMTU makes the interface's MTU what the lease says, within what was
// configured. An MTU that IPv4 (RFC 791: every host takes 576 bytes) or IPv6
// cannot do with is nonsense, or an attempt to make us slow.
func (c *client) setMTU(mtu int) {
	least := 576
	if c.i.has6 {
		least = header.IPv6MinimumMTU
	}
	if mtu < least || mtu > c.i.mtu {
		mtu = c.i.mtu
	}
	if int(c.i.link.MTU()) != mtu {
		c.h.st.SetNICMTU(c.i.id, uint32(mtu))
	}
}

// stop gives the lease back. There is no time any more to find out the server's
// link address: the message goes where the lease came from.
func (c *client) stop() {
	if s := c.machine.Stop(); s.Message != nil && c.i.failed == nil {
		c.frame(c.station, s)
	}
	c.i.link.Take(0, nil)
	c.timer.Stop()
}

// DHCPStats are those of an interface's DHCP client.
type DHCPStats struct {
	// State is in the words of RFC 2131, section 4.4, or "checking" or "stopped".
	State string `json:"state"`
	// Trouble says what is wrong while there is no lease.
	Trouble string `json:"trouble,omitempty"`
	// Sent and Received count messages by kind, in lower case. Ignored counts
	// received ones by the reason: those of other clients among them. Unsent
	// counts requests for more time for which there was no way.
	Sent     map[string]uint64 `json:"sent"`
	Received map[string]uint64 `json:"received"`
	Ignored  map[string]uint64 `json:"ignored"`
	Unsent   uint64            `json:"unsent"`
}

func (c *client) stats() *DHCPStats {
	n := c.machine.Counters()
	return &DHCPStats{
		State: c.machine.State().String(), Trouble: c.machine.Trouble(),
		Sent: n.Sent, Received: n.Received, Ignored: n.Ignored, Unsent: c.unsent,
	}
}
