package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// The numbers of RFC 1928 and RFC 1929.
const (
	socksVersion = 5
	userVersion  = 1

	methodNone         = 0
	methodUser         = 2
	methodUnacceptable = 0xff

	commandConnect   = 1
	commandAssociate = 3

	addressIPv4 = 1
	addressName = 3
	addressIPv6 = 4
)

// A reply is the second byte of the answer to a request; as an error it is the
// reason to refuse.
type reply byte

const (
	replyGranted reply = iota
	replyFailure
	replyForbidden
	replyNetworkUnreachable
	replyHostUnreachable
	replyRefused
	replyExpired
	replyBadCommand
	replyBadAddress
)

var replyTexts = [...]string{"granted", "general failure", "not allowed", "network unreachable", "host unreachable",
	"connection refused", "time to live expired", "only CONNECT and UDP ASSOCIATE are supported", "unknown type of address"}

func (r reply) Error() string {
	if int(r) < len(replyTexts) {
		return "socks: " + replyTexts[r]
	}
	return fmt.Sprintf("socks: reply %d", byte(r))
}

// A destination is an address in a request: an IP address or a name.
type destination struct {
	ip   netip.Addr
	name string // if ip is invalid
	port uint16
}

func (d destination) String() string {
	host := d.name
	if d.ip.IsValid() {
		host = d.ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(d.port)))
}

// readGreeting reads the first message of a client and reports whether it offers a
// method.
func readGreeting(r io.Reader, method byte) (offered bool, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, err
	}
	if head[0] != socksVersion {
		return false, fmt.Errorf("socks: the client speaks version %d, and only 5 is served", head[0])
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return false, err
	}
	for _, m := range methods {
		offered = offered || m == method
	}
	return offered, nil
}

// readUser reads a user and a password (RFC 1929).
func readUser(r io.Reader) (user, password []byte, err error) {
	var version [1]byte
	if _, err = io.ReadFull(r, version[:]); err != nil {
		return nil, nil, err
	}
	if version[0] != userVersion {
		return nil, nil, errors.New("socks: the client's user message has an unknown version")
	}
	if user, err = readShort(r); err != nil {
		return nil, nil, err
	}
	password, err = readShort(r)
	return user, password, err
}

// readShort reads a byte and as many bytes as it says.
func readShort(r io.Reader) ([]byte, error) {
	var length [1]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, length[0])
	_, err := io.ReadFull(r, b)
	return b, err
}

// readRequest reads a request. Its errors of type reply are to be answered.
func readRequest(r io.Reader) (command byte, to destination, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, destination{}, err
	}
	if head[0] != socksVersion {
		return 0, destination{}, fmt.Errorf("socks: a request of version %d", head[0])
	}
	to, err = readDestination(r, head[3])
	return head[1], to, err
}

func readDestination(r io.Reader, kind byte) (d destination, err error) {
	switch kind {
	case addressIPv4:
		var b [4]byte
		_, err = io.ReadFull(r, b[:])
		d.ip = netip.AddrFrom4(b)
	case addressIPv6:
		var b [16]byte
		_, err = io.ReadFull(r, b[:])
		d.ip = netip.AddrFrom16(b).Unmap()
	case addressName:
		var b []byte
		b, err = readShort(r)
		d.name = string(b)
	default:
		return d, replyBadAddress
	}
	if err != nil {
		return d, err
	}
	var port [2]byte
	if _, err := io.ReadFull(r, port[:]); err != nil {
		return d, err
	}
	d.port = binary.BigEndian.Uint16(port[:])
	if !d.ip.IsValid() && d.name == "" {
		return d, replyBadAddress
	}
	return d, nil
}

// appendReply appends the answer to a request, with the address that is ours in
// what was granted.
func appendReply(b []byte, r reply, bound netip.AddrPort) []byte {
	return appendAddress(append(b, socksVersion, byte(r), 0), bound)
}

// appendAddress appends an address with its type; the invalid one is 0.0.0.0.
func appendAddress(b []byte, a netip.AddrPort) []byte {
	switch ip := a.Addr().Unmap(); {
	case ip.Is6():
		b = append(b, addressIPv6)
		b = append(b, ip.AsSlice()...)
	case ip.Is4():
		b = append(b, addressIPv4)
		b = append(b, ip.AsSlice()...)
	default:
		b = append(b, addressIPv4, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}
