// Package haltest is the test that every driver of package hal must pass. A
// driver's own test is a few lines:
//
//	func TestDevice(t *testing.T) {
//		haltest.Run(t, func(t *testing.T) haltest.Link {
//			a, b := openBothEnds(t) // and t.Cleanup to close them
//			return haltest.Link{Dev: a, Far: haltest.FarDevice(t, b)}
//		})
//	}
//
// Every rule of the contract is a subtest, named after the rule; a failure prints
// the rule in a sentence. Rules that need the other end of the link are skipped
// if Link.Far is nil.
//
// [Watch] is useful beyond drivers: it wraps the device that a program's tests
// use, counts its loans, overwrites what it has released, and reports whoever
// breaks the contract, on either side.
//
// The trap: the tests send IPv4, IPv6 and UDP packets of their own, and overlook
// whatever else arrives, so a link may be noisy; but it must not lose packets of
// a sender that waits for the receiver, a few packets at a time.
package haltest

import (
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// Link is the device under test and the other end of its link.
type Link struct {
	// Dev is tested. Run closes it; open need not.
	Dev hal.Device

	// Far is the other end, or nil if the test cannot reach it. Whoever made
	// it closes it.
	Far Far
}

// Far sends and receives raw packets at the other end of a link: a device (see
// [FarDevice]), a packet socket. Send and Recv may run at the same time.
type Far interface {
	// Send sends a packet, from its Ethernet header on. It may wait.
	Send(packet []byte) error

	// Recv returns the next packet that has arrived, whoever it was for, or an
	// error if there is none within timeout.
	Recv(timeout time.Duration) ([]byte, error)
}

// FarMeta is a Far that can send packets with metadata. Optional; without it
// reception of super-frames is not tested.
type FarMeta interface {
	SendMeta(packet []byte, m hal.Meta) error
}

// guard is after how long a test gives up. Nothing is right or wrong by time.
const guard = 15 * time.Second

// A rule of the contract, and its test.
type rule struct {
	name string
	text string // the sentence that is printed when it is broken
	far  bool   // needs the far end
	run  func(*lab)
}

// Run tests the device that open opens, anew for every rule, against the
// contract of package hal. The rule "two-devices" has open called twice.
func Run(t *testing.T, open func(t *testing.T) Link) {
	for _, rules := range [][]rule{infoRules, transmitRules, receiveRules, offloadRules, sleepRules, closeRules} {
		for _, r := range rules {
			t.Run(r.name, func(t *testing.T) {
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("the rule: %s", r.text)
					}
				})
				link := open(t)
				if r.far && link.Far == nil {
					link.Dev.Close()
					t.Skip("needs the far end of the link, and Link.Far is nil")
				}
				r.run(newLab(t, link, open))
			})
		}
	}
}
