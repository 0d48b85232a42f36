// Package e2e is tests only: the ringtail command as its users run it, against
// the kernel's own clients in a network namespace.
//
// A test starts `ringtail serve` on a wire, which is a TAP or an interface that the
// kernel goes on using, and talks to it with curl, nc and ping:
//
//	eachWire(t, wires, func(t *testing.T, w wire) {
//		s := w.serve(t, "--face", "net")
//		s.ns.Run("curl", "-sS", "http://10.77.0.2/")
//	})
//
// It needs root (see internal/netlab) and those programs; without them the tests
// are skipped, or fail where RINGTAIL_REQUIRE names the driver.
package e2e
