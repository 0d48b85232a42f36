package hal

import (
	"net/netip"
	"time"
)

// As finds the first layer of v that is a T: v itself, or what it wraps. v is a
// Device, an RxQueue or a TxQueue; a wrapper of one has an Unwrap method that
// returns the wrapped one, and implements by itself only the abilities it
// changes. Use As for every optional interface of this package: a plain type
// assertion does not see through a wrapper.
func As[T any](v any) (T, bool) {
	for ; v != nil; v = unwrap(v) {
		if t, ok := v.(T); ok {
			return t, true
		}
	}
	var none T
	return none, false
}

func unwrap(v any) any {
	switch w := v.(type) {
	case interface{ Unwrap() Device }:
		return w.Unwrap()
	case interface{ Unwrap() RxQueue }:
		return w.Unwrap()
	case interface{ Unwrap() TxQueue }:
		return w.Unwrap()
	}
	return nil
}

// Pollable is a half whose readiness a file descriptor tells: readable means
// that Rx has something, writable that Alloc or Tx would get on. The descriptor
// stays the driver's; it is valid until Close. Both halves may name the same
// one. A driver never reads or writes it through [os.File]: the lock of that
// type would be held by the sleeper.
type Pollable interface {
	FD() int
}

// Notifier is a half, or a device, that tells of its readiness by calling a
// function: an RxQueue after it went from empty to non-empty, a TxQueue after
// it went from full to not full, each once more on Close. A Pollable half
// implements it for the one thing its descriptor cannot say: Close.
//
// The driver calls f from any goroutine and holds no lock meanwhile; f does not
// block and calls nothing of the driver. Notify(nil) ends it. Only one f is
// kept.
type Notifier interface {
	Notify(f func())
}

// Pending is a half that holds packets back, as a wrapper that delays them
// does: it says when the next one can go on, so that whoever sleeps comes back
// without traffic too. A time in the past, or the zero time, means now. The
// sleeper asks while the half's owner uses it: Pending is safe for that.
type Pending interface {
	Pending() (at time.Time, ok bool)
}

// PendingOf returns the earliest moment at which a layer of v, a half, has
// something to give or to send.
func PendingOf(v any) (at time.Time, ok bool) {
	for ; v != nil; v = unwrap(v) {
		if p, is := v.(Pending); is {
			if t, has := p.Pending(); has && (!ok || t.Before(at)) {
				at, ok = t, true
			}
		}
	}
	return at, ok
}

// Moderated is a receive half that trades latency for work: it says how far apart
// two wake-ups for it should be at least. What arrives meanwhile is one burst,
// and the cost of a wake-up is shared by all of it. The first packet after a quiet
// time is noticed at once. A negative time means that nobody should sleep at all:
// waiting is looking again.
//
// A sleeper moderates only if all its receive halves ask for it, and by the least
// that one asks for. It does so where it waits for descriptors.
type Moderated interface {
	Moderation() time.Duration
}

// Looker is a receive half of which nothing tells that a packet has arrived, and which
// is looked at by whoever sleeps: no turn is needed to find that there is nothing.
// The sleeper blocks its thread meanwhile, because timers are not as fine as its naps;
// so a Looker is for real devices, in real time.
type Looker interface {
	// Look reports whether Rx has something to return, or to fail with. If not,
	// nobody need look again for a while, of which a sleeper makes a millisecond
	// at most: the half knows best how quiet it has been. Zero, or less, asks
	// to look all the time. Look is safe beside Rx and Release.
	Look() (ready bool, again time.Duration)
}

// Steerer is a device that is shared with somebody else, the kernel as a rule,
// and can be told which traffic is ours.
type Steerer interface {
	// SetLocal replaces what is ours. It takes effect before it returns.
	SetLocal(Local) error
}

// Local is the traffic that belongs to the user of a device.
type Local struct {
	MACs   []MAC        // beside Info.MAC
	Addrs  []netip.Addr // unicast addresses: their traffic, ARP and NDP
	Groups []netip.Addr // joined multicast groups
	Ports  []Port       // if not empty, only these of the addresses' ports
	DHCP   bool         // replies to a DHCP client
}

// Port is a transport port on which traffic is ours.
type Port struct {
	Proto  uint8 // IP protocol number: 6 TCP, 17 UDP
	Number uint16
}

// SetLocal tells d what is ours if d is a Steerer, and does nothing otherwise:
// a device that is not shared gives us everything anyway.
func SetLocal(d Device, l Local) error {
	if s, ok := As[Steerer](d); ok {
		return s.SetLocal(l)
	}
	return nil
}
