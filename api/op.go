package api

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A Kind says what an op does. Kinds have a fixed order, which the sequencer of
// a simulation uses: ops of one socket that wait at the same instant run in it.
type Kind uint8

// The kinds of ops.
const (
	KindClose    Kind = iota + 1 // Sock; pending ops of the socket end first, with net.ErrClosed
	KindCancel                   // reserved for sequencers: a Cancel in the order of ops
	KindShutdown                 // Sock, How
	KindRead                     // Sock, Bufs or Alloc+Max → N, From, EOF, Truncated
	KindWrite                    // Sock, Bufs, Addr if it is a datagram to somebody → N
	KindAccept                   // Sock → NewSock, Local, Peer
	KindBind                     // Sock, Addr → Local
	KindListen                   // Sock, Backlog
	KindConnect                  // Sock, Addr → Local, Peer
	KindOption                   // Sock, Opt: sets it
	KindQuery                    // Sock, Opt → Opt: gets its present value
	KindName                     // Sock → Local, Peer (zero if not connected)
	KindJoin                     // Sock, Addr: a multicast group
	KindLeave                    // Sock, Addr
	KindSocket                   // Network, Opt if it is a memory queue's limit → NewSock
)

var kindNames = [...]string{"", "close", "cancel", "shutdown", "read", "write", "accept", "bind", "listen", "connect",
	"option", "query", "name", "join", "leave", "socket"}

func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// A Network is a family of sockets. TCP and UDP without a number take both
// IPv4 and IPv6.
type Network uint8

// The networks. ICMP sockets send and receive echo messages as datagrams whose
// port is the echo identifier (what Linux calls ping sockets). Memory is that of
// [LibOS.MemoryQueue]; Socket and package net's names know nothing of it.
const (
	TCP Network = iota + 1
	TCP4
	TCP6
	UDP
	UDP4
	UDP6
	ICMP4
	ICMP6
	Memory
)

var networkNames = [...]string{"", "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "icmp4", "icmp6"}

// ParseNetwork returns the network of a name as in package net: "tcp", "udp6", ….
func ParseNetwork(name string) (Network, bool) {
	for i, n := range networkNames {
		if n == name && i > 0 {
			return Network(i), true
		}
	}
	return 0, false
}

func (n Network) String() string {
	if n == Memory {
		return "memory"
	}
	if n > 0 && int(n) < len(networkNames) {
		return networkNames[n]
	}
	return fmt.Sprintf("Network(%d)", uint8(n))
}

// Stream reports whether sockets of n carry bytes without boundaries.
func (n Network) Stream() bool { return n <= TCP6 }

// Shut says which directions a shutdown ends.
type Shut uint8

// The directions of a shutdown.
const (
	ShutRead Shut = 1 << iota
	ShutWrite
)

// A Socket is a transport's handle of a socket. A face keeps it and passes it
// back in ops, and looks at nothing but its number.
type Socket interface {
	// Number tells the sockets of one transport apart. It is given when the
	// op that makes the socket is executed, so that it does not depend on
	// the order in which goroutines ran.
	Number() uint64
}

// An Op is one operation in flight: the unit that every face submits and every
// transport completes.
//
// A face takes an op from [NewOp], fills in the request, and calls
// [Transport.Submit]. From then on the op, and the memory in Bufs, belongs to the
// transport until it calls Done; afterwards it is the face's again, which reads
// the result and calls [Op.Free]. Meanwhile a transport keeps it in an [OpList].
type Op struct {
	Request
	Result

	// Done is called exactly once, possibly inside Submit and possibly under
	// the transport's lock. It may take note and wake somebody. It does not
	// call Submit, block, or run code of the user.
	Done func(*Op)

	// User is for the face: what Done needs to know.
	User any

	// Mark is for the transport that holds the op: a number of its own, such
	// as where in a stream a write ends.
	Mark int64

	place node[Op] // in an OpList of that transport
	gen   atomic.Uint64
}

// A Request is what a face asks for. Which fields count depends on the Kind.
type Request struct {
	Kind    Kind
	Network Network
	How     Shut
	Backlog int
	Sock    Socket
	Addr    netip.AddrPort

	// Opt is what to set, or, for a query, any value of the type to get,
	// which the answer replaces.
	Opt Option

	// Bufs is what a write sends, in order, or where a read puts its bytes.
	// The transport leaves the slices themselves as they are.
	// A read without Bufs calls Alloc(op, n) when there are n > 0 bytes to be
	// had (n ≤ Max if Max > 0; a datagram of length 0 calls nothing) and fills
	// what it returns. Alloc runs under the transport's lock: it only allocates.
	Bufs  [][]byte
	Alloc func(op *Op, n int) [][]byte
	Max   int

	// Seq counts the ops of this socket and kind. With the socket's number and
	// the kind it orders ops that wait at the same instant. Label, if set,
	// orders ops that make sockets, which have no number yet.
	Seq   uint64
	Label string
}

// A Result is what a transport answers.
type Result struct {
	// N counts bytes moved, also those moved before a failure or a cancel.
	N   int
	Err error

	EOF       bool // the end of a stream, with N = 0 and no error
	Truncated bool // the datagram was longer than the buffers or Max

	From    netip.AddrPort // the sender of a datagram
	Local   netip.AddrPort
	Peer    netip.AddrPort
	NewSock Socket
}

var ops = sync.Pool{New: func() any { return new(Op) }}

// NewOp returns an empty op.
func NewOp() *Op { return ops.Get().(*Op) }

// Free gives the op back. It must be done, or never have been submitted.
// Tickets of it are void from here on.
func (o *Op) Free() {
	o.reset()
	ops.Put(o)
}

func (o *Op) reset() {
	o.gen.Add(1)
	o.Request = Request{} // one by one: both at once takes the way over the stack
	o.Result = Result{}
	o.Done, o.User, o.Mark = nil, nil, 0
}

// Ticket returns the name by which this use of the op can be cancelled. Take it
// before Submit: afterwards the op may be done, and in other hands.
func (o *Op) Ticket() Ticket { return Ticket{o, o.gen.Load()} }

// Complete is how a transport ends an op: tickets of it are void from here on,
// and Done is called. The transport has let go of the op before: Done may lead
// to its reuse.
func (o *Op) Complete() {
	o.gen.Add(1)
	o.Done(o)
}

// A Ticket names one use of an op. It outlives the op: late cancels do nothing.
type Ticket struct {
	op  *Op
	gen uint64
}

// Op returns the op, or nil if it has been completed. It is for transports,
// which call it under the lock under which they call Complete: what it returns
// there is still theirs.
func (t Ticket) Op() *Op {
	if t.op == nil || t.op.gen.Load() != t.gen {
		return nil
	}
	return t.op
}
