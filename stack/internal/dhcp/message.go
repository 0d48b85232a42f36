package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Ports of UDP (RFC 2131, section 4.1).
const (
	ServerPort = 67
	ClientPort = 68
)

// A Kind is what a message is about (RFC 2132, section 9.6).
type Kind uint8

// The kinds that this client knows.
const (
	Discover Kind = 1 + iota
	Offer
	Request
	Decline
	Ack
	Nak
	Release
	kinds // how many there are, and one
)

func (k Kind) String() string {
	names := [...]string{"", "discover", "offer", "request", "decline", "ack", "nak", "release"}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return names[k]
}

// A Message of DHCP. The fields of BOOTP that are of no use to a host of its own
// address (relay, boot file) are not kept.
type Message struct {
	Kind      Kind
	Reply     bool   // from a server
	XID       uint32 // the number of the exchange
	Secs      uint16 // since the client began
	Broadcast bool   // the client cannot receive unicast yet
	MAC       [6]byte
	Client    netip.Addr // the client's own address, if it has one (ciaddr)
	Yours     netip.Addr // the address that the server gives (yiaddr)
	Options   Options    // without the message type, which is Kind
}

// The layout of a message (RFC 2131, section 2).
const (
	atXID     = 4
	atSecs    = 8
	atFlags   = 10
	atClient  = 12
	atYours   = 16
	atMAC     = 28
	atServer  = 44  // the server's name: 64 bytes
	atFile    = 108 // the name of the boot file: 128 bytes
	atCookie  = 236
	atOptions = 240

	bootRequest, bootReply = 1, 2
	ethernet               = 1
	flagBroadcast          = 0x8000
	magic                  = 0x63825363

	// shortest is what BOOTP made every message have at least (RFC 951); there
	// are relays that drop shorter ones.
	shortest = 300
)

// ErrMalformed is wrapped by the errors of [Parse].
var ErrMalformed = errors.New("malformed DHCP message")

// Parse reads a message. It keeps nothing of b.
func Parse(b []byte) (Message, error) {
	if len(b) < atOptions {
		return Message{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	op, hardware, length := b[0], b[1], b[2]
	switch {
	case op != bootRequest && op != bootReply:
		return Message{}, fmt.Errorf("%w: operation %d", ErrMalformed, op)
	case hardware != ethernet || length != 6:
		return Message{}, fmt.Errorf("%w: hardware type %d with addresses of %d bytes", ErrMalformed, hardware, length)
	case binary.BigEndian.Uint32(b[atCookie:]) != magic:
		return Message{}, fmt.Errorf("%w: BOOTP without options", ErrMalformed)
	}
	m := Message{
		Reply:     op == bootReply,
		XID:       binary.BigEndian.Uint32(b[atXID:]),
		Secs:      binary.BigEndian.Uint16(b[atSecs:]),
		Broadcast: binary.BigEndian.Uint16(b[atFlags:])&flagBroadcast != 0,
		MAC:       [6]byte(b[atMAC:]),
		Client:    netip.AddrFrom4([4]byte(b[atClient:])),
		Yours:     netip.AddrFrom4([4]byte(b[atYours:])),
		Options:   Options{},
	}
	if err := m.Options.parseAll(b); err != nil {
		return Message{}, err
	}
	kind := m.Options[optKind]
	if len(kind) != 1 {
		return Message{}, fmt.Errorf("%w: no message type", ErrMalformed)
	}
	m.Kind = Kind(kind[0])
	delete(m.Options, optKind)
	return m, nil
}

// Append appends the message to b and returns the result. Addresses that are
// not of IPv4 become zero.
func (m *Message) Append(b []byte) []byte {
	var head [atOptions]byte
	head[0], head[1], head[2] = bootRequest, ethernet, 6
	if m.Reply {
		head[0] = bootReply
	}
	binary.BigEndian.PutUint32(head[atXID:], m.XID)
	binary.BigEndian.PutUint16(head[atSecs:], m.Secs)
	if m.Broadcast {
		binary.BigEndian.PutUint16(head[atFlags:], flagBroadcast)
	}
	putAddr(head[atClient:], m.Client)
	putAddr(head[atYours:], m.Yours)
	copy(head[atMAC:], m.MAC[:])
	binary.BigEndian.PutUint32(head[atCookie:], magic)
	start := len(b)
	b = append(b, head[:]...)
	b = append(b, optKind, 1, byte(m.Kind))
	for _, o := range slices.Sorted(maps.Keys(m.Options)) {
		b = appendOption(b, o, m.Options[o])
	}
	b = append(b, optEnd)
	for len(b)-start < shortest {
		b = append(b, optPad)
	}
	return b
}

func putAddr(b []byte, a netip.Addr) {
	if a.Is4() {
		copy(b, a.AsSlice())
	}
}
