package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestBesideTheKernel: on an interface that a server has taken, the kernel keeps
// its own addresses: they answer ARP and NDP, ping and TCP, in both directions, at
// the same time as ours and under the same MAC; and afterwards.
func TestBesideTheKernel(t *testing.T) {
	t.Parallel()
	// A TAP has the kernel at its other end, not beside us.
	beside := slices.DeleteFunc(slices.Clone(wires), wire.isTap)
	eachWire(t, beside, func(t *testing.T, w wire) {
		w.needs(t, "ping", "python3")
		s := w.serve(t)
		s.background(s.own.Command("python3", "-m", "http.server", "--bind", "::", "--directory", t.TempDir(), "8000"))
		s.sh("until curl -gsS -o /dev/null 'http://[fd77::3]:8000/' 2>/dev/null; do sleep 0.02; done")
		kernel := func() {
			t.Helper()
			for _, a := range []string{"10.77.0.3", "fd77::3"} {
				if out := s.sh("ping -c 3 -i 0.1 -W 20 " + a); !strings.Contains(out, " 0% packet loss") {
					t.Errorf("ping %s:\n%s", a, out)
				}
			}
			s.sh("curl -gsSf -o /dev/null http://10.77.0.3:8000/ && curl -gsSf -o /dev/null 'http://[fd77::3]:8000/'")
			s.own.Run("ping", "-c", "1", "-W", "20", "10.77.0.1")
			s.own.Run("ping", "-c", "1", "-W", "20", "fd77::1")
		}
		// The neighbours are asked for again while ours is busy.
		s.ns.Run("ip", "neigh", "flush", "dev", "veth1")
		s.own.Run("ip", "neigh", "flush", "dev", "veth0")
		load := s.ns.Command("curl", "-sS", "--limit-rate", "20M", "-o", "/dev/null", "http://10.77.0.2/bytes/100000000000")
		if err := load.Start(); err != nil {
			t.Fatal(err)
		}
		kernel()
		if got := s.sh("curl -gsSf http://10.77.0.2/ 'http://[fd77::2]/'"); got != "Hello, world\nHello, world\n" {
			t.Errorf("ours: %q", got)
		}
		load.Process.Kill()
		load.Wait()

		// Killed, it leaves the interface as it was.
		s.cmd.Process.Kill()
		s.log.closed.Wait()
		s.cmd.Wait()
		s.clean()
		kernel()
		if out, err := s.ns.Command("ping", "-c", "1", "-W", "1", "10.77.0.2").CombinedOutput(); err == nil {
			t.Errorf("a killed server answers:\n%s", out)
		}
	})
}
