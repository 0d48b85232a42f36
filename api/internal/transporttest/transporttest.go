// Package transporttest is what every transport must do, as a table of tests.
// The test of a transport calls [Run] with a function that makes two of them,
// connected:
//
//	func TestTransport(t *testing.T) {
//		transporttest.Run(t, func(t *testing.T) (server, client api.Transport, addr netip.Addr) {
//			…
//		})
//	}
//
// The trap: the table submits ops and waits for Done, and drives nothing. A
// transport that only moves when somebody calls its Turn or its Step needs a
// goroutine that does, until the test ends.
package transporttest

import (
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// Run runs the table. setup makes the transports of one case, and the address
// of the server as the client knows it; Run closes them. They may be the same.
func Run(t *testing.T, setup func(t *testing.T) (server, client api.Transport, addr netip.Addr)) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := &env{T: t}
			e.server, e.client, e.addr = setup(t)
			defer e.close()
			c.run(e)
		})
	}
}

var cases = []struct {
	name string
	run  func(*env)
}{
	{"connect", connect},
	{"read and write", readWrite},
	{"several buffers", severalBuffers},
	{"allocated on arrival", allocatedOnArrival},
	{"empty write", emptyWrite},
	{"half-close", halfClose},
	{"shutdown of reads", shutdownRead},
	{"write after shutdown", writeAfterShutdown},
	{"write to one who left", writeToNobody},
	{"reset", reset},
	{"order of reads", orderOfReads},
	{"order of writes", orderOfWrites},
	{"cancel read", cancelRead},
	{"cancel accept", cancelAccept},
	{"cancel queued", cancelQueued},
	{"late cancel", lateCancel},
	{"partial write", partialWrite},
	{"close ends pending", closeEndsPending},
	{"closed socket", closedSocket},
	{"refused", refused},
	{"address in use", addressInUse},
	{"backlog", backlog},
	{"wrong state", wrongState},
	{"connected twice", connectedTwice},
	{"options", options},
	{"option of another kind", otherOption},
	{"datagrams", datagrams},
	{"empty datagram", emptyDatagram},
	{"truncated datagram", truncatedDatagram},
	{"connected datagrams", connectedDatagrams},
	{"cancel datagram read", cancelDatagramRead},
	{"transport close", transportClose},
}
