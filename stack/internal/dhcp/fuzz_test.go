package dhcp

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// FuzzParse: no bytes make the library panic, and what it has understood it says
// again in the same words. It does not so with the names of server and file: one
// that fills its field loses its last byte. Nobody here reads them.
func FuzzParse(f *testing.F) {
	r := newRig(&testing.T{})
	for _, k := range []dhcpv4.MessageType{offer, ack, nak} {
		m := r.reply(k)
		f.Add(m.ToBytes())
	}
	m := r.reply(ack)
	set(m, dhcpv4.OptionMessage, make([]byte, 700))
	set(m, dhcpv4.OptionClasslessStaticRoute, []byte{24, 192, 0, 2, 10, 0, 0, 7, 0, 10, 0, 0, 8})
	f.Add(m.ToBytes())
	m = message(ack)
	set(m, dhcpv4.OptionOptionOverload, []byte{3})
	f.Add(m.ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		m.ServerHostName, m.BootFileName = "", ""
		again, err := parse(m.ToBytes())
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
		var l Lease
		if err := l.read(m, start); err == nil {
			check(t, &l)
		}
	})
}

// check holds a lease to what its owner relies on.
func check(t *testing.T, l *Lease) {
	t.Helper()
	if !isStation(l.Addr.Addr()) || !isStation(l.Server) || l.Addr.Bits() < 1 || isEdge(l.Addr) {
		t.Errorf("lease: %+v", l)
	}
	if forEver := l.Expires.IsZero(); !forEver && (l.Renew.Before(l.Obtained) || l.Rebind.Before(l.Renew) || !l.Expires.After(l.Rebind)) {
		t.Errorf("times: %+v", l)
	}
	for _, r := range l.Routes {
		if r.To != r.To.Masked() || r.Via.IsValid() && !isStation(r.Via) {
			t.Errorf("route: %+v", r)
		}
	}
}

// FuzzClient plays a server that says anything, and a clock that goes any way.
// Each byte of the script is a move; the rest of a message is made of the bytes
// that follow it.
func FuzzClient(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 2, 0, 0, 0, 6})
	f.Add([]byte{0, 1, 4, 0, 1, 2, 3, 0, 4})
	f.Add([]byte{0, 1, 2, 5, 0, 1, 1, 2, 7, 200, 3, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		dice := rand.New(rand.NewPCG(3, 4))
		c := NewClient(Config{MAC: ourMAC, ID: ourID, Rand: dice.Uint32}, start)
		now, bound, last := start, false, &dhcpv4.DHCPv4{}
		take := func(s Step) {
			if s.Message != nil {
				var err error
				if last, err = parse(s.Message); err != nil || last.OpCode != dhcpv4.OpcodeBootRequest || !s.From.IsValid() || !s.To.IsValid() {
					t.Fatalf("sent %+v: %v", s, err)
				}
			}
			switch s.Event {
			case Leased:
				bound = true
				l := c.Lease()
				check(t, &l)
			case Lost:
				if !bound {
					t.Fatal("what was never leased is lost")
				}
				bound = false
			}
			if bound != (c.State() == Bound || c.State() == Renewing || c.State() == Rebinding) {
				t.Fatalf("leased: %v, and the client is %v", bound, c.State())
			}
			if at, ok := c.Deadline(); !ok && c.State() != Checking && c.State() != Stopped && !(c.State() == Bound && c.Lease().Expires.IsZero()) {
				t.Fatalf("a client that is %v waits for ever (%v)", c.State(), at)
			}
		}
		for len(script) > 0 {
			move := script[0]
			script = script[1:]
			r := rig{last: last}
			switch move % 8 {
			case 0:
				if at, ok := c.Deadline(); ok && at.After(now) {
					now = at
				}
				take(c.Tick(now))
			case 1, 2, 4:
				m := r.reply(map[byte]dhcpv4.MessageType{1: offer, 2: ack, 4: nak}[move%8])
				for range move / 64 { // some options are replaced
					if len(script) > 2 {
						n := min(int(script[1]), len(script)-2)
						m.Options[script[0]] = script[2 : 2+n]
						script = script[2+n:]
					}
				}
				take(c.Receive(now, m.ToBytes()))
			case 3, 5:
				take(c.Checked(now, move%8 == 3))
			case 6:
				take(c.Stop())
			case 7:
				now = now.Add(time.Duration(move) * time.Minute)
			}
		}
	})
}
