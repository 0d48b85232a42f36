// Package sim runs hosts on a simulated network, in virtual time: real TCP and UDP
// of package stack, unmodified programs on top, hours in milliseconds, and the same
// seed gives the same bytes.
//
//	func TestOrders(t *testing.T) {
//		sim.Test(t, func(w *sim.World) {
//			server, client := w.Host("server"), w.Host("client")
//			ln, _ := server.Net().Listen("tcp", ":80")
//			go http.Serve(ln, orders)
//			client.Cable(0).Set(sim.Link{Faults: wrap.Faults{Delay: 40 * time.Millisecond, Drop: 0.05}})
//			web := http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}}
//			resp, err := web.Get("http://server/orders")
//			…
//		})
//	}
//
// A failed test says its seed and how to repeat it, and leaves a capture of the
// whole network for Wireshark. go test -sim.runs=1000 tries a thousand seeds.
//
// # The network
//
// Hosts are joined by cables to switches: to the world's own, unless [HostConfig]
// says otherwise. Each direction of a [Cable] has a [Link]: delay, jitter, losses
// alone and in bursts, duplicates, flipped bits, reordering, a rate with its queue, an
// MTU. Cables are cut and rules added to them; hosts are parted ([World.Partition])
// and blocked, crash and start again, and have clocks that are wrong; [World.At] plans
// all of it. Switches are joined by trunks, networks by hosts that forward
// ([stack.Config].Forward). A host's name is known to all.
//
// # Time
//
// In a world of [Test] time is that of a [testing/synctest] bubble, also to package
// time: it goes on when every goroutine waits, to the next thing that happens. In a
// stepped world, of [New], one goroutine says when it goes on; that needs no test,
// and is for programs on the queue face.
//
// # The same seed, the same bytes
//
// One goroutine, the driver, does everything, one thing after the other. What
// goroutines ask of a host waits until all of them wait; then one call after the
// other is executed, in the order of hosts, sockets and kinds of calls, and its caller
// goes on alone. So it does not matter in which order goroutines ran, but for two
// things.
//
// The trap: goroutines of a host that open sockets in the same nanosecond, without
// labels ([api.WithLabel]), cannot be told apart: which of them gets which connection
// is up to the scheduler. And what goroutines of a program do with each other at one
// moment, by mutexes, maps, selects or the global functions of math/rand, is out of
// reach. [Verify] finds such a program, and shows where two runs part.
//
// Close of a socket returns at once, unless [api.Linger] says that it waits, and is
// executed in its place.
//
// The identity of a run is the SHA-256 of its capture. It is that of one program: the
// versions of Go and of gVisor, and the architecture, are part of it, and printed
// with it.
package sim
