package dhcp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

var (
	start   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ourMAC  = [6]byte{2, 0, 0, 0, 0, 1}
	ourID   = []byte{255, 1, 2, 3, 4, 0, 4, 9, 9}
	server1 = netip.MustParseAddr("10.0.0.1")
	server2 = netip.MustParseAddr("10.0.0.2")
	given   = netip.MustParseAddr("10.0.0.50")
)

// The kinds of messages.
const (
	discover = dhcpv4.MessageTypeDiscover
	offer    = dhcpv4.MessageTypeOffer
	request  = dhcpv4.MessageTypeRequest
	decline  = dhcpv4.MessageTypeDecline
	ack      = dhcpv4.MessageTypeAck
	nak      = dhcpv4.MessageTypeNak
	release  = dhcpv4.MessageTypeRelease
)

// A rig is a client with its time, and what it has said last.
type rig struct {
	t    *testing.T
	c    *Client
	now  time.Time
	last *dhcpv4.DHCPv4 // the last one that was sent
	step Step
	sent int
}

func newRig(t *testing.T) *rig {
	dice := rand.New(rand.NewPCG(1, 2))
	return &rig{t: t, now: start, last: message(0), c: NewClient(Config{MAC: ourMAC, ID: ourID, HostName: "box", Rand: dice.Uint32}, start)}
}

// take notes what a step asks for.
func (r *rig) take(s Step) Step {
	r.t.Helper()
	r.step = s
	if s.Message == nil {
		return s
	}
	m, err := parse(s.Message)
	if err != nil {
		r.t.Fatalf("the client sends what cannot be parsed: %v", err)
	}
	if m.OpCode != dhcpv4.OpcodeBootRequest || string(m.ClientHWAddr) != string(ourMAC[:]) || string(m.GetOneOption(dhcpv4.OptionClientIdentifier)) != string(ourID) {
		r.t.Fatalf("the client sends %+v", m)
	}
	r.last = m
	r.sent++
	return s
}

// tick lets time pass to the deadline, and returns how long that was.
func (r *rig) tick() time.Duration {
	r.t.Helper()
	at, ok := r.c.Deadline()
	if !ok {
		r.t.Fatalf("the client, which is %v, waits for ever", r.c.State())
	}
	if s := r.c.Tick(at.Add(-1)); s.Message != nil || s.Event != None {
		r.t.Fatalf("before its deadline the client does %+v", s)
	}
	passed := at.Sub(r.now)
	r.now = at
	r.take(r.c.Tick(r.now))
	return passed
}

// reply is the answer of server1 to what was sent last.
func (r *rig) reply(k dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	m := message(k)
	m.TransactionID = r.last.TransactionID
	m.UpdateOption(dhcpv4.OptServerIdentifier(server1.AsSlice()))
	if k == nak {
		m.UpdateOption(dhcpv4.OptMessage("wrong network"))
		return m
	}
	m.YourIPAddr = given.AsSlice()
	set(m, dhcpv4.OptionClientIdentifier, ourID)
	set(m, dhcpv4.OptionSubnetMask, []byte{255, 255, 255, 0})
	set(m, dhcpv4.OptionIPAddressLeaseTime, seconds(3600))
	set(m, dhcpv4.OptionRouter, server1.AsSlice())
	set(m, dhcpv4.OptionDomainNameServer, append(server1.AsSlice(), server2.AsSlice()...))
	set(m, dhcpv4.OptionDomainName, []byte("lan"))
	set(m, dhcpv4.OptionInterfaceMTU, []byte{5, 0x78})
	return m
}

// message is one from a server to us, with no more than its kind.
func message(k dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	return &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: iana.HWTypeEthernet, ClientHWAddr: append([]byte(nil), ourMAC[:]...),
		Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(k)),
	}
}

// set gives an option any bytes as its value.
func set(m *dhcpv4.DHCPv4, o dhcpv4.OptionCode, v []byte) { m.UpdateOption(dhcpv4.OptGeneric(o, v)) }

func seconds(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// hear brings the client a message.
func (r *rig) hear(m *dhcpv4.DHCPv4) Step {
	r.t.Helper()
	return r.take(r.c.Receive(r.now, m.ToBytes()))
}

func (r *rig) want(s State, e Event, k dhcpv4.MessageType) {
	r.t.Helper()
	if r.c.State() != s || r.step.Event != e || (r.step.Message != nil) != (k != 0) || k != 0 && r.last.MessageType() != k {
		r.t.Fatalf("the client is %v with event %d and message %v (%d bytes); want %v, %d, %v",
			r.c.State(), r.step.Event, r.last, len(r.step.Message), s, e, k)
	}
}

// bind takes the client to its lease.
func (r *rig) bind() {
	r.t.Helper()
	r.tick()
	r.want(Selecting, None, discover)
	r.hear(r.reply(offer))
	r.want(Requesting, None, request)
	r.hear(r.reply(ack))
	r.want(Checking, Check, 0)
	r.take(r.c.Checked(r.now, true))
	r.want(Bound, Leased, 0)
}

func TestLease(t *testing.T) {
	r := newRig(t)
	r.bind()
	l := r.c.Lease()
	want := Lease{
		Addr: netip.MustParsePrefix("10.0.0.50/24"), Server: server1, Routers: []netip.Addr{server1},
		Routes: []Route{{netip.MustParsePrefix("0.0.0.0/0"), server1}}, DNS: []netip.Addr{server1, server2}, Domain: "lan", MTU: 1400,
	}
	if !l.Equal(&want) || len(l.Routers) != 1 || l.Obtained != start || l.Expires != start.Add(time.Hour) ||
		l.Renew != start.Add(30*time.Minute) || l.Rebind != start.Add(3150*time.Second) {
		t.Errorf("lease: %+v", l)
	}
	if r.c.Waiting() || r.c.Trouble() != "" {
		t.Errorf("a bound client waits (%v) and is troubled (%q)", r.c.Waiting(), r.c.Trouble())
	}
	n := r.c.Counters()
	if n.Sent["discover"] != 1 || n.Sent["request"] != 1 || n.Received["offer"] != 1 || n.Received["ack"] != 1 {
		t.Errorf("counters: %+v", n)
	}
}

// TestQuestions holds what is asked to tables 4 and 5 of RFC 2131.
func TestQuestions(t *testing.T) {
	r := newRig(t)
	const (
		requested, server    = dhcpv4.OptionRequestedIPAddress, dhcpv4.OptionServerIdentifier
		hostName, parameters = dhcpv4.OptionHostName, dhcpv4.OptionParameterRequestList
	)
	check := func(what string, from, to netip.Addr, broadcast bool, client netip.Addr, options ...dhcpv4.OptionCode) {
		t.Helper()
		if r.step.From != from || r.step.To != to || r.last.IsBroadcast() != broadcast || addrOf(r.last.ClientIPAddr) != client {
			t.Errorf("%s: from %v to %v, broadcast %v, client %v", what, r.step.From, r.step.To, r.last.IsBroadcast(), r.last.ClientIPAddr)
		}
		for _, o := range []dhcpv4.OptionCode{requested, server, hostName, parameters} {
			got := r.last.Options.Has(o)
			want := false
			for _, w := range options {
				want = want || w == o
			}
			if got != want {
				t.Errorf("%s: option %v: %v, want %v", what, o, got, want)
			}
		}
		if len(r.step.Message) < 300 { // RFC 951; there are relays that drop shorter ones
			t.Errorf("%s has %d bytes", what, len(r.step.Message))
		}
	}
	r.tick()
	check("discover", unspecified, Broadcast, true, unspecified, hostName, parameters)
	if wants := string(r.last.GetOneOption(parameters)); wants != "\x01\x79\x03\x06\x0f\x1a\x33\x3a\x3b" {
		t.Errorf("the client wants to know % x; RFC 3442 has 121 before 3", wants)
	}
	if !r.c.Waiting() {
		t.Error("the client does not wait for an offer")
	}
	r.hear(r.reply(offer))
	check("request", unspecified, Broadcast, true, unspecified, requested, server, hostName, parameters)
	r.hear(r.reply(ack))
	r.take(r.c.Checked(r.now, true))
	xid := r.last.TransactionID
	r.tick()
	check("renewal", given, server1, false, given, hostName, parameters)
	if r.last.TransactionID == xid {
		t.Error("the number of an exchange was used again")
	}
	for r.c.State() == Renewing {
		r.tick()
	}
	check("rebinding", given, Broadcast, false, given, hostName, parameters)
	r.take(r.c.Stop())
	r.want(Stopped, Lost, release)
	check("release", given, server1, false, given, server)
	if _, ok := r.c.Deadline(); ok || r.c.Waiting() {
		t.Error("a stopped client goes on")
	}
}

// TestSameDice: with the same random numbers a client says the same bytes.
func TestSameDice(t *testing.T) {
	said := func() (all []byte) {
		r := newRig(t)
		for range 3 {
			r.tick()
			all = append(all, r.step.Message...)
		}
		r.hear(r.reply(offer))
		return append(all, r.step.Message...)
	}
	first := said()
	for range 20 { // options are kept in a map
		if again := said(); !bytes.Equal(first, again) {
			t.Fatalf("the client said\n% x and\n% x", first, again)
		}
	}
}

// TestBackOff: 4, 8, 16, 32, 64, 64, … seconds, one more or less.
func TestBackOff(t *testing.T) {
	r := newRig(t)
	r.tick()
	for i, want := range []time.Duration{4, 8, 16, 32, 64, 64, 64} {
		got := r.tick()
		r.want(Selecting, None, discover)
		if d := got - want*time.Second; d < -time.Second || d > time.Second || d == 0 {
			t.Errorf("delay %d is %v, want %v s and a second of dither", i, got, int(want))
		}
	}
	if s := int(r.last.NumSeconds); s < 252-7 || s > 252+7 {
		t.Errorf("the client says that it has asked for %d s", s)
	}
	if got := r.c.Trouble(); got != "no DHCP server has answered (8 requests)" {
		t.Errorf("trouble: %q", got)
	}
	r.hear(r.reply(offer)) // late, and welcome
	r.want(Requesting, None, request)
}

// TestLostAck: the request is repeated about a minute long, and then all begins
// again.
func TestLostAck(t *testing.T) {
	r := newRig(t)
	r.tick()
	r.hear(r.reply(offer))
	asked := r.now
	for range maxRequests - 1 {
		r.tick()
		r.want(Requesting, None, request)
	}
	if got := r.c.Trouble(); !strings.Contains(got, "10.0.0.1 has offered 10.0.0.50 and not confirmed it") {
		t.Errorf("trouble: %q", got)
	}
	late := r.reply(ack)
	r.tick()
	r.want(Selecting, None, discover)
	if d := r.now.Sub(asked); d < 56*time.Second || d > 64*time.Second {
		t.Errorf("the client gave up after %v", d)
	}
	r.hear(late)
	r.want(Selecting, None, 0)
	if n := r.c.Counters().Ignored["other-client"]; n != 1 {
		t.Errorf("the answer to the last exchange was not ignored: %+v", r.c.Counters())
	}

	// An ACK to a repeated request counts from the first: the server may have
	// meant that one.
	r = newRig(t)
	r.tick()
	r.hear(r.reply(offer))
	asked = r.now
	r.tick()
	r.hear(r.reply(ack))
	if got := r.c.Lease().Obtained; got != asked {
		t.Errorf("the lease counts from %v, not from %v", got, asked)
	}
}

func TestNak(t *testing.T) {
	r := newRig(t)
	r.tick()
	r.hear(r.reply(offer))
	other := r.reply(nak)
	set(other, dhcpv4.OptionServerIdentifier, server2.AsSlice())
	r.hear(other)
	r.want(Requesting, None, 0) // not the server that was asked
	r.hear(r.reply(nak))
	r.want(Selecting, None, 0)
	if got := r.c.Trouble(); got != `DHCP server 10.0.0.1 refused 10.0.0.50: "wrong network"` {
		t.Errorf("trouble: %q", got)
	}
	if d := r.tick(); d != 0 {
		t.Errorf("after the first refusal the client waits %v", d)
	}
	for i, want := range []time.Duration{4, 8, 16} {
		r.want(Selecting, None, discover)
		r.hear(r.reply(offer))
		r.hear(r.reply(nak))
		if d := r.tick() - want*time.Second; d < -time.Second || d > time.Second {
			t.Errorf("after refusal %d the client waits %v too long", i+2, d)
		}
	}
}

// TestNakOfALease: what was bound is lost, and not asked for again.
func TestNakOfALease(t *testing.T) {
	r := newRig(t)
	r.bind()
	r.tick()
	r.want(Renewing, None, request)
	r.hear(r.reply(nak))
	r.want(Selecting, Lost, 0)
	r.tick()
	r.want(Selecting, None, discover)
	if r.last.Options.Has(dhcpv4.OptionRequestedIPAddress) {
		t.Errorf("the client asks for %v again", r.last.RequestedIPAddress())
	}
}

func TestRenew(t *testing.T) {
	r := newRig(t)
	r.bind()
	for range 10 {
		before := r.c.Lease()
		d := r.tick()
		if d > 30*time.Minute || d < 28*time.Minute {
			t.Errorf("renewed after %v", d)
		}
		r.want(Renewing, None, request)
		if !r.c.Waiting() {
			t.Error("the client does not wait for an answer")
		}
		asked := r.now
		r.now = r.now.Add(time.Second)
		r.hear(r.reply(ack))
		r.want(Bound, Leased, 0)
		if l := r.c.Lease(); l.Obtained != asked || !l.Expires.After(before.Expires) || !l.Equal(&before) {
			t.Errorf("lease: %+v, before: %+v", l, before)
		}
		r.now = asked
	}
	// What the lease says may change; the address may not.
	r.tick()
	m := r.reply(ack)
	m.YourIPAddr[3]++
	r.hear(m)
	r.want(Renewing, None, 0)
	m = r.reply(ack)
	set(m, dhcpv4.OptionDomainName, []byte("elsewhere.example"))
	r.hear(m)
	r.want(Bound, Leased, 0)
	if got := r.c.Lease().Domain; got != "elsewhere.example" {
		t.Errorf("domain %q", got)
	}
}

// TestRebindAndExpiry: the server is gone. It is asked until T2, then any server
// is, and in the end the lease is given up.
func TestRebindAndExpiry(t *testing.T) {
	for _, lease := range []uint32{3600, 120, 30, 1} {
		r := newRig(t)
		r.tick()
		m := r.reply(offer)
		set(m, dhcpv4.OptionIPAddressLeaseTime, seconds(lease))
		r.hear(m)
		m = r.reply(ack)
		set(m, dhcpv4.OptionIPAddressLeaseTime, seconds(lease))
		r.hear(m)
		r.take(r.c.Checked(r.now, true))
		tries := map[State]int{}
		for {
			r.tick()
			if r.step.Event == Lost {
				break
			}
			tries[r.c.State()]++
			unicast := r.step.To == server1
			if unicast != (r.c.State() == Renewing) || r.now.Before(r.c.Lease().Rebind) != unicast {
				t.Fatalf("%d s: %v, to %v, at %v of %+v", lease, r.c.State(), r.step.To, r.now.Sub(start), r.c.Lease())
			}
		}
		if d := r.now.Sub(start); d != time.Duration(lease)*time.Second {
			t.Errorf("a lease of %d s expires after %v", lease, d)
		}
		if lease >= 30 && (tries[Renewing] < 3 || tries[Rebinding] < 2 || tries[Renewing] > 10 || tries[Rebinding] > 6) {
			t.Errorf("%d s: tries %v", lease, tries)
		}
		if got := r.c.Trouble(); !strings.Contains(got, "10.0.0.50 has expired") {
			t.Errorf("trouble: %q", got)
		}
		r.tick()
		r.want(Selecting, None, discover)
		if string(r.last.GetOneOption(dhcpv4.OptionRequestedIPAddress)) != string(given.AsSlice()) {
			t.Error("the client does not ask for its address again")
		}
	}
}

func TestRebindByAnotherServer(t *testing.T) {
	r := newRig(t)
	r.bind()
	for r.c.State() != Rebinding {
		r.tick()
	}
	m := r.reply(ack)
	set(m, dhcpv4.OptionServerIdentifier, server2.AsSlice())
	r.hear(m)
	r.want(Bound, Leased, 0)
	if got := r.c.Lease().Server; got != server2 {
		t.Errorf("the lease is of server %v", got)
	}
	r.tick()
	if r.step.To != server2 {
		t.Errorf("renewed at %v", r.step.To)
	}
}

// TestTwoServers: the first offer counts; the other server learns that it was
// not chosen, and cannot confirm or refuse.
func TestTwoServers(t *testing.T) {
	r := newRig(t)
	r.tick()
	second := r.reply(offer)
	set(second, dhcpv4.OptionServerIdentifier, server2.AsSlice())
	second.YourIPAddr[3] = 99
	r.hear(r.reply(offer))
	if string(r.last.GetOneOption(dhcpv4.OptionServerIdentifier)) != string(server1.AsSlice()) || string(r.last.GetOneOption(dhcpv4.OptionRequestedIPAddress)) != string(given.AsSlice()) {
		t.Errorf("requested: %+v", r.last.Options)
	}
	r.hear(second)
	r.want(Requesting, None, 0)
	second.UpdateOption(dhcpv4.OptMessageType(ack))
	r.hear(second)
	r.want(Requesting, None, 0)
	r.hear(r.reply(ack))
	r.want(Checking, Check, 0)
	if n := r.c.Counters(); n.Ignored["unexpected"] != 2 {
		t.Errorf("counters: %+v", n)
	}
}

func TestConflict(t *testing.T) {
	r := newRig(t)
	r.tick()
	r.hear(r.reply(offer))
	r.hear(r.reply(ack))
	r.take(r.c.Checked(r.now, false))
	r.want(Selecting, None, decline)
	if string(r.last.GetOneOption(dhcpv4.OptionRequestedIPAddress)) != string(given.AsSlice()) || string(r.last.GetOneOption(dhcpv4.OptionServerIdentifier)) != string(server1.AsSlice()) ||
		r.step.From != unspecified || r.step.To != Broadcast {
		t.Errorf("declined: %+v", r.last)
	}
	if r.c.Waiting() {
		t.Error("nothing was asked, and the client waits")
	}
	if got := r.c.Trouble(); !strings.Contains(got, "10.0.0.50 of DHCP server 10.0.0.1 is used by another station") {
		t.Errorf("trouble: %q", got)
	}
	if d := r.tick(); d < afterDecline {
		t.Errorf("asked again after %v", d)
	}
	r.want(Selecting, None, discover)
	r.take(r.c.Checked(r.now, true)) // of nothing
	r.want(Selecting, None, 0)
}

func TestStop(t *testing.T) {
	r := newRig(t)
	r.tick()
	r.take(r.c.Stop())
	r.want(Stopped, None, 0)
	r.hear(r.reply(offer))
	r.want(Stopped, None, 0)

	r = newRig(t)
	r.tick()
	r.hear(r.reply(offer))
	r.hear(r.reply(ack))
	r.take(r.c.Stop()) // while it is checked, the server counts the address as given
	r.want(Stopped, None, release)
	r.take(r.c.Stop())
	r.want(Stopped, None, 0)
}

func TestLeaseForEver(t *testing.T) {
	r := newRig(t)
	r.tick()
	for _, k := range []dhcpv4.MessageType{offer, ack} {
		m := r.reply(k)
		set(m, dhcpv4.OptionIPAddressLeaseTime, seconds(1<<32-1))
		r.hear(m)
	}
	r.take(r.c.Checked(r.now, true))
	r.want(Bound, Leased, 0)
	if at, ok := r.c.Deadline(); ok || !r.c.Lease().Expires.IsZero() {
		t.Errorf("deadline %v of %+v", at, r.c.Lease())
	}
}

// TestTimeJumps: a host that was stopped for longer than its lease does not go
// on using it.
func TestTimeJumps(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		state State
		event Event
		kind  dhcpv4.MessageType
	}{
		{55 * time.Minute, Rebinding, None, request},
		{time.Hour, Selecting, Lost, 0},
		{240 * time.Hour, Selecting, Lost, 0},
	} {
		r := newRig(t)
		r.bind()
		r.take(r.c.Tick(start.Add(c.after)))
		r.want(c.state, c.event, c.kind)
	}
}

// TestOthersAreIgnored: answers that are not to this client, or not to what it
// asked.
func TestOthersAreIgnored(t *testing.T) {
	for name, change := range map[string]func(*dhcpv4.DHCPv4){
		"other exchange":      func(m *dhcpv4.DHCPv4) { m.TransactionID[3]++ },
		"other link address":  func(m *dhcpv4.DHCPv4) { m.ClientHWAddr[5]++ },
		"other identifier":    func(m *dhcpv4.DHCPv4) { set(m, dhcpv4.OptionClientIdentifier, append([]byte(nil), ourMAC[:]...)) },
		"empty identifier":    func(m *dhcpv4.DHCPv4) { set(m, dhcpv4.OptionClientIdentifier, nil) },
		"a client's":          func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootRequest },
		"ack to a discover":   func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(ack)) },
		"nak to a discover":   func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(nak)) },
		"discover":            func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(discover)) },
		"unknown kind":        func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(99)) },
		"no server":           func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionServerIdentifier) },
		"server 0.0.0.0":      func(m *dhcpv4.DHCPv4) { set(m, dhcpv4.OptionServerIdentifier, make([]byte, 4)) },
		"no address":          func(m *dhcpv4.DHCPv4) { m.YourIPAddr = nil },
		"a group":             func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IP{224, 0, 0, 1} },
		"loopback":            func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IP{127, 0, 0, 1} },
		"the network":         func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IP{10, 0, 0, 0} },
		"all of the network":  func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IP{10, 0, 0, 255} },
		"mask with holes":     func(m *dhcpv4.DHCPv4) { set(m, dhcpv4.OptionSubnetMask, []byte{255, 0, 255, 0}) },
		"mask of nothing":     func(m *dhcpv4.DHCPv4) { set(m, dhcpv4.OptionSubnetMask, make([]byte, 4)) },
		"mask of three bytes": func(m *dhcpv4.DHCPv4) { set(m, dhcpv4.OptionSubnetMask, make([]byte, 3)) },
		"no lease time":       func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionIPAddressLeaseTime) },
		"lease of 0 s":        func(m *dhcpv4.DHCPv4) { set(m, dhcpv4.OptionIPAddressLeaseTime, seconds(0)) },
	} {
		r := newRig(t)
		r.tick()
		m := r.reply(offer)
		change(m)
		r.hear(m)
		if n := r.c.Counters(); r.c.State() != Selecting || r.step.Message != nil || n.Received["offer"] != 0 ||
			n.Ignored["other-client"]+n.Ignored["unexpected"]+n.Ignored["unusable"] != 1 {
			t.Errorf("%s: the client is %v, counters %+v", name, r.c.State(), n)
		}
		r.hear(r.reply(offer)) // the real one is heard all the same
		r.want(Requesting, None, request)
	}
	r := newRig(t)
	r.tick()
	r.take(r.c.Receive(r.now, []byte("garbage")))
	if n := r.c.Counters().Ignored["malformed"]; n != 1 {
		t.Errorf("counters: %+v", r.c.Counters())
	}
	old := r.reply(offer)
	old.DeleteOption(dhcpv4.OptionClientIdentifier) // of before RFC 6842
	r.hear(old)
	r.want(Requesting, None, request)
}

// TestUnusableIsExplained: whoever waits learns what is wrong with the server.
func TestUnusableIsExplained(t *testing.T) {
	r := newRig(t)
	r.tick()
	m := r.reply(offer)
	m.DeleteOption(dhcpv4.OptionIPAddressLeaseTime)
	r.hear(m)
	if got := r.c.Trouble(); got != "the offer of DHCP server 10.0.0.1 cannot be used: no lease time" {
		t.Errorf("trouble: %q", got)
	}
}
