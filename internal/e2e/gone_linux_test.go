package e2e

import (
	"strings"
	"testing"
)

// TestInterfaceGone: a server whose interface is taken away under load says so and
// ends, on both faces; and the interface, wherever it is, bears no trace of it.
func TestInterfaceGone(t *testing.T) {
	t.Parallel()
	for _, w := range wires[1:] { // a TAP is the server's own
		for _, face := range bothFaces {
			t.Run(w.String()+" "+face, func(t *testing.T) {
				t.Parallel()
				w.needs(t)
				s := w.serve(t, "--face", face)
				load := s.ns.Command("curl", "-sS", "-o", "/dev/null", "http://10.77.0.2/bytes/100000000000")
				if err := load.Start(); err != nil {
					t.Fatal(err)
				}
				if got := s.sh("curl -gsSf http://10.77.0.2/"); got != "Hello, world\n" {
					t.Errorf("GET /: %q", got)
				}
				s.own.Run("ip", "link", "set", "veth0", "netns", s.ns.Name())
				if !s.log.wait("is gone") {
					t.Fatalf("the server does not end:\n%s", s.log.String())
				}
				s.log.closed.Wait()
				if err := s.cmd.Wait(); err == nil || strings.Count(s.log.String(), "\n") != 2 { // ready, and why it ended
					t.Errorf("it ended with %v and:\n%s", err, s.log.String())
				}
				load.Process.Kill()
				load.Wait()
				s.ns.Run("ip", "link", "set", "veth0", "netns", s.own.Name())
			})
		}
	}
}
