// Package dns makes and reads messages of the Domain Name System (RFC 1035), as
// far as a host needs them that asks servers for addresses:
//
//	query, err := dns.Query("www.example.com", dns.A)
//	query.SetID(id) // a random one
//	… send query, receive reply …
//	if reply.Answers(query) && !reply.Truncated() {
//		addrs, err := reply.Addrs()
//	}
//
// It is pure: no sockets, clocks or dice. What is on the wire is parsed by
// golang.org/x/net/dns/dnsmessage, which is also what package net uses.
//
// The trap: a reply is whatever somebody has sent. Nothing of it counts before
// Answers has said that it is about the query.
package dns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// A Type is what a question is about.
type Type = dnsmessage.Type

// The types of questions about addresses.
const (
	A    = dnsmessage.TypeA
	AAAA = dnsmessage.TypeAAAA
)

// MaxUDP is how many bytes a reply by UDP may have; queries say so (RFC 6891). It
// fits into one packet on every usual path.
const MaxUDP = 1232

// A Message is a query or a reply, as it is on the wire.
type Message []byte

// IsName reports whether s is a name to ask for: labels of letters, digits,
// hyphens and underscores, and not digits alone, which would be an address gone
// wrong. A final dot is allowed.
func IsName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 || strings.Trim(s, ".0123456789") == "" {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			letter := 'a' <= c|0x20 && c|0x20 <= 'z'
			if !letter && !('0' <= c && c <= '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Query asks for the records of a name, which is complete, with or without the
// final dot. The message has the ID 0.
func Query(name string, t Type) (Message, error) {
	n, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return nil, err
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{RecursionDesired: true})
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(MaxUDP, dnsmessage.RCodeSuccess, false); err != nil {
		return nil, err
	}
	q := dnsmessage.Question{Name: n, Type: t, Class: dnsmessage.ClassINET}
	err = errors.Join(b.StartQuestions(), b.Question(q), b.StartAdditionals(), b.OPTResource(opt, dnsmessage.OPTResource{}))
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// Reply answers a query for addresses with those of its type.
func Reply(query Message, addrs []netip.Addr) (Message, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	h.Response, h.Authoritative, h.RecursionAvailable = true, true, true
	b := dnsmessage.NewBuilder(nil, h)
	err = errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers())
	rh := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}
	for _, a := range addrs {
		switch {
		case q.Type == A && a.Is4():
			err = errors.Join(err, b.AResource(rh, dnsmessage.AResource{A: a.As4()}))
		case q.Type == AAAA && a.Is6():
			err = errors.Join(err, b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// ID returns the number by which a reply is matched with its query.
func (m Message) ID() uint16 {
	if len(m) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(m)
}

// SetID sets the ID. A message that is too short to have one stays as it is.
func (m Message) SetID(id uint16) {
	if len(m) >= 2 {
		binary.BigEndian.PutUint16(m, id)
	}
}

// Question returns what the message is about; the name has a final dot. ok is
// false if it is no message, or asks for nothing.
func (m Message) Question() (name string, t Type, ok bool) {
	var p dnsmessage.Parser
	if _, err := p.Start(m); err != nil {
		return "", 0, false
	}
	q, err := p.Question()
	return q.Name.String(), q.Type, err == nil
}

// Answers reports whether m is a reply to query: it has the same ID and the same
// question.
func (m Message) Answers(query Message) bool {
	var p, asked dnsmessage.Parser
	h, err := p.Start(m)
	if err != nil || !h.Response || m.ID() != query.ID() {
		return false
	}
	got, err := p.Question()
	if err != nil {
		return false
	}
	if _, err := asked.Start(query); err != nil {
		return false
	}
	want, err := asked.Question()
	return err == nil && got.Type == want.Type && got.Class == want.Class && lower(got.Name) == lower(want.Name)
}

// lower returns a name in lower case. Only ASCII letters have a case here (RFC
// 4343); other bytes stand for themselves.
func lower(n dnsmessage.Name) string {
	b := slices.Clone(n.Data[:n.Length])
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// Truncated reports whether the reply did not fit and is to be had by TCP.
func (m Message) Truncated() bool {
	var p dnsmessage.Parser
	h, err := p.Start(m)
	return err == nil && h.Truncated
}
