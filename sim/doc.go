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
//			c := http.Client{Transport: &http.Transport{DialContext: client.Net().DialContext}}
//			resp, err := c.Get("http://server/orders")
//			…
//		})
//	}
//
// A failed test says its seed and how to repeat it, and leaves a capture of the
// whole network. go test -sim.runs=1000 tries a thousand seeds.
package sim
