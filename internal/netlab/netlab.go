// Package netlab builds small real networks for tests: Linux network namespaces
// joined by virtual cables, in which the kernel's own clients run.
//
// A test asks for what it needs, and everything is gone when it ends:
//
//	func TestPing(t *testing.T) {
//		testenv.Need(t, "tap", netlab.Available())
//		lab := netlab.New(t)
//		a, b := lab.Namespace("a"), lab.Namespace("b")
//		lab.Veth(
//			netlab.Port{NS: a, Name: "eth0", Addrs: []string{"10.0.0.1/24"}},
//			netlab.Port{NS: b, Name: "eth0", Addrs: []string{"10.0.0.2/24"}},
//		)
//		a.Run("ping", "-c", "1", "10.0.0.2")
//		b.Do(func() error { … sockets made here live in b … })
//	}
//
// Namespaces are those of ip-netns(8). Their names begin with "rt" and the
// process id, so that runs side by side do not meet and [New] can remove what
// killed runs left behind. The loopback interface is up, IPv6 is on, and
// duplicate address detection is off: an address answers at once.
//
// The trap: a namespace belongs to a thread, not to a goroutine. [Namespace.Do]
// holds its own, but a goroutine started inside it runs somewhere else, and some
// of the standard library starts one: dial addresses there, not names, and start
// servers from a listener that was made inside.
package netlab

// A Port is one end of a virtual cable.
type Port struct {
	NS     *Namespace
	Name   string   // of the interface, up to 15 bytes
	Addrs  []string // as in "10.0.0.1/24"
	MAC    string   // "": the kernel chooses
	MTU    int      // 0: 1500
	Queues int      // 0: 1, in each direction
}
