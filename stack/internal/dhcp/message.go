package dhcp

import (
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Ports of UDP (RFC 2131, section 4.1).
const (
	ServerPort = dhcpv4.ServerPort
	ClientPort = dhcpv4.ClientPort
)

// kinds is how many kinds of messages this client knows, and one: they count from 1.
const kinds = dhcpv4.MessageTypeRelease + 1

// Where the fields for names are (RFC 2131, section 2).
const (
	atServer = 44  // the server's name: 64 bytes
	atFile   = 108 // the name of the boot file: 128 bytes
	atCookie = 236 // what comes behind
)

// parse reads a message of DHCP over Ethernet. It keeps nothing of b.
func parse(b []byte) (*dhcpv4.DHCPv4, error) {
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		return nil, err
	}
	if m.OpCode != dhcpv4.OpcodeBootRequest && m.OpCode != dhcpv4.OpcodeBootReply {
		return nil, fmt.Errorf("operation %d", m.OpCode)
	}
	if m.HWType != iana.HWTypeEthernet || len(m.ClientHWAddr) != 6 {
		return nil, fmt.Errorf("hardware type %d with addresses of %d bytes", m.HWType, len(m.ClientHWAddr))
	}
	if err := parseOverloaded(m.Options, b); err != nil {
		return nil, err
	}
	if m.MessageType() == dhcpv4.MessageTypeNone {
		return nil, fmt.Errorf("no message type")
	}
	return m, nil
}

// parseOverloaded reads into o the options of a message that go on in the fields for
// names (option 52), which the library takes for names. What stands in several
// places is one value, in this order (RFC 3396).
func parseOverloaded(o dhcpv4.Options, b []byte) error {
	if !o.Has(dhcpv4.OptionOptionOverload) {
		return nil
	}
	v := o.Get(dhcpv4.OptionOptionOverload)
	if len(v) != 1 || v[0] < 1 || v[0] > 3 {
		return fmt.Errorf("option overload is % x", v)
	}
	if v[0]&1 != 0 {
		if err := o.FromBytes(b[atFile:atCookie]); err != nil {
			return err
		}
	}
	if v[0]&2 != 0 {
		if err := o.FromBytes(b[atServer:atFile]); err != nil {
			return err
		}
	}
	o.Del(dhcpv4.OptionOptionOverload) // inside of itself it means nothing
	return nil
}
