package dns

import (
	"errors"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// ErrNoName says that there is no such name. It is an answer: no other server
// needs to be asked.
var ErrNoName = errors.New("no such host")

// A ServerError is a reply that answers nothing. Another server may do better.
type ServerError string

// Errors of servers. The one of them that passes is ServFail. NoReply is for
// those who hold the connection.
const (
	ServFail  ServerError = "the server answered SERVFAIL"
	Malformed ServerError = "the server sent a malformed reply"
	NoReply   ServerError = "the server ended the connection without a reply"
	Referral  ServerError = "the server does not answer, it refers to others"
)

func (e ServerError) Error() string { return string(e) }

// Temporary reports whether the same server may do better later.
func (e ServerError) Temporary() bool { return e == ServFail }

// refusals are the names of the other codes, as tools show them.
var refusals = map[dnsmessage.RCode]ServerError{
	dnsmessage.RCodeFormatError:    "the server answered FORMERR",
	dnsmessage.RCodeServerFailure:  ServFail,
	dnsmessage.RCodeNotImplemented: "the server answered NOTIMP",
	dnsmessage.RCodeRefused:        "the server answered REFUSED",
}

// Addrs returns the addresses in a reply: none if the name has none of this
// type, or if the question was about something else. It fails with [ErrNoName]
// or a [ServerError].
//
// All addresses count, whatever record they belong to: whoever was asked for
// recursion has followed the aliases, and put them in front (RFC 1034, 4.3.1).
func (m Message) Addrs() ([]netip.Addr, error) {
	var p dnsmessage.Parser
	h, err := p.Start(m)
	if err != nil || p.SkipAllQuestions() != nil {
		return nil, Malformed
	}
	switch h.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return nil, ErrNoName
	default:
		if e, ok := refusals[h.RCode]; ok {
			return nil, e
		}
		return nil, ServerError("the server answered with an error")
	}
	var addrs []netip.Addr
	for n := 0; ; n++ {
		rh, err := p.AnswerHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone) && n == 0 && !h.Authoritative && !h.RecursionAvailable:
			return nil, Referral
		case errors.Is(err, dnsmessage.ErrSectionDone):
			return addrs, nil
		case err != nil:
			return nil, Malformed
		}
		addr, err := address(&p, rh.Type)
		if err != nil {
			return nil, Malformed
		}
		if addr.IsValid() {
			addrs = append(addrs, addr)
		}
	}
}

// address takes the next record of an answer: an address, or nothing.
func address(p *dnsmessage.Parser, t Type) (netip.Addr, error) {
	switch t {
	case A:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A), err
	case AAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA).Unmap(), err
	}
	return netip.Addr{}, p.SkipAnswer()
}
