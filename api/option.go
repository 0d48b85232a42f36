package api

import "time"

// An Option is a typed socket option: one of the types below. To set it, pass
// its value; to get it, pass any value of its type. A transport that lacks an
// option fails with syscall.ENOPROTOOPT.
type Option interface{ option() }

type (
	// NoDelay says whether small segments leave at once, without Nagle's
	// wait. On for new sockets, as in package net. When a push is complete
	// does not depend on it: see [LibOS.Push].
	NoDelay bool

	// KeepAlive probes an idle connection: after Idle, every Interval, and
	// gives it up after Count unanswered probes. Zero fields keep their values.
	KeepAlive struct {
		On       bool
		Idle     time.Duration
		Interval time.Duration
		Count    int
	}

	// Linger says what a close does while the peer has not acknowledged all
	// that was sent. Negative, the default: nothing, the rest is sent in the
	// background. 0: the connection is reset, and the rest is lost. Above: the
	// close waits for the peer, and is complete when that has acknowledged all,
	// the end of the stream included, when the connection has failed, or after
	// that time, and then the rest is sent in the background as well. None of
	// the three is an error of the close. Without TCP it means nothing.
	Linger time.Duration

	// ReadBuffer and WriteBuffer are sizes in bytes.
	ReadBuffer  int
	WriteBuffer int

	// ReuseAddr lets a bind share an address that is in TIME-WAIT, or a
	// multicast port.
	ReuseAddr bool

	// Broadcast lets a datagram socket send to broadcast addresses. Off for new
	// sockets of the queue face, on for those of the net face, as in package
	// net.
	Broadcast bool

	// TTL is the IPv4 time to live, or IPv6 hop limit, of unicast packets;
	// MulticastTTL that of multicast packets.
	TTL          int
	MulticastTTL int

	// MaxSegment bounds the segment size announced to the peer. Set it
	// before Listen or Connect.
	MaxSegment int

	// Congestion is the name of the congestion control: "reno" or "cubic".
	Congestion string

	// RACK says whether losses of a TCP socket are detected by time (RFC
	// 8985). It is a matter of the host, not of the socket: it can be got, and
	// setting it fails with ENOPROTOOPT.
	RACK bool

	// PushCompletion says when a push of a TCP socket is complete. It is set
	// before Listen or Connect, afterwards it fails with EISCONN; accepted
	// connections have their listener's. A host that is not prepared for
	// Acked fails with ENOPROTOOPT (stack.Config.Acked).
	PushCompletion uint8
)

// When a push is complete.
const (
	// Accepted: when the transport has taken every byte. The default.
	Accepted PushCompletion = iota

	// Acked: when the peer's host has acknowledged every byte. That is a round
	// trip later, or as long as it delays acknowledgements if it has nothing
	// to say (RFC 1122: up to 500 ms; usually 40); so have several pushes
	// under way. Until then the push borrows its SGA. It fails with the
	// connection's error if that fails first; N says what was accepted. That
	// the peer's program has read the bytes it does not say.
	Acked
)

func (NoDelay) option()        {}
func (KeepAlive) option()      {}
func (Linger) option()         {}
func (ReadBuffer) option()     {}
func (WriteBuffer) option()    {}
func (ReuseAddr) option()      {}
func (Broadcast) option()      {}
func (TTL) option()            {}
func (MulticastTTL) option()   {}
func (MaxSegment) option()     {}
func (Congestion) option()     {}
func (RACK) option()           {}
func (PushCompletion) option() {}
