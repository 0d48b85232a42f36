package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The kernel's own clients and servers on both sides of `ringtail proxy`: in the
// namespace the kernel is 10.77.0.1, and 127.0.0.1; the host is 10.77.0.2.

// web starts python's web server with a file of n random bytes, and returns its
// hash.
func (s *server) web(address string, port, n int) (sum string) {
	s.t.Helper()
	path, sum := randomFile(s.t, n)
	cmd := s.ns.Command("python3", "-m", "http.server", "--bind", address, "--directory", filepath.Dir(path), fmt.Sprint(port))
	s.background(cmd)
	s.sh(fmt.Sprintf("until curl -sS -o /dev/null http://%s:%d/data 2>/dev/null; do sleep 0.02; done", address, port))
	return sum
}

// background runs a command until the test ends.
func (s *server) background(cmd *exec.Cmd) {
	s.t.Helper()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// listening is a line of shell that waits until somebody listens at port 7000.
func listening(network string) string {
	return "until ss -Hln --" + network + " sport = :7000 | grep -q .; do sleep 0.02; done"
}

func TestProxy(t *testing.T) {
	t.Parallel()
	needs(t, "nc", "python3")
	path, upload := randomFile(t, 3_000_000)
	s := start(t, "proxy",
		"--forward", "8080=10.77.0.1:8000", "--forward", "7=10.77.0.1:7000", "--forward", "udp/7=10.77.0.1:7000",
		"--publish", "80=127.0.0.1:8001", "--publish", "udp/5300=127.0.0.1:5300",
		"--socks", "1080", "--socks", "[::1]:1080")
	forwarded := s.web("10.77.0.1", 8000, 5_000_000)
	published := s.web("127.0.0.1", 8001, 5_000_000)
	for name, c := range map[string]struct{ script, want string }{
		"forward":               {"curl -sSf http://127.0.0.1:8080/data | sha256sum", forwarded},
		"publish":               {"curl -sSf http://10.77.0.2/data | sha256sum", published},
		"socks5":                {"curl -sSf --socks5 127.0.0.1:1080 http://10.77.0.1:8000/data | sha256sum", forwarded},
		"socks5-hostname":       {"curl -sSf --socks5-hostname 127.0.0.1:1080 http://localhost/data | sha256sum", published},
		"socks5 over IPv6":      {"curl -sSf --socks5 [::1]:1080 http://10.77.0.1:8000/data | sha256sum", forwarded},
		"socks5, to the host":   {"curl -sSf --socks5 127.0.0.1:1080 http://[fd77::2]/data | sha256sum", published},
		"many at a time":        {"for i in $(seq 20); do curl -sSf http://127.0.0.1:8080/data | sha256sum & done | sort | uniq -c; wait", "20 " + forwarded},
		"nobody at the target":  {"curl -sS --socks5 127.0.0.1:1080 http://10.77.0.1:81/ 2>&1; echo $?", "97"}, // curl: SOCKS failed
		"a name nobody knows":   {"curl -sS --socks5-hostname 127.0.0.1:1080 http://nobody.invalid/ 2>&1; echo $?", "97"},
		"a half that is closed": {"nc -lN 10.77.0.1 7000 < " + path + " > got & " + listening("tcp") + "; nc -N 127.0.0.1 7 < " + path + " | sha256sum; wait; sha256sum < got", upload},
		"datagrams":             {"(echo datagram | nc -u -w 1 -l 10.77.0.1 7000) > udp & " + listening("udp") + "; echo question | nc -u -w 1 127.0.0.1 7; wait; cat udp", "datagram\nquestion"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if got := s.sh("cd " + dir + "; " + c.script); !strings.Contains(got, c.want) {
				t.Errorf("%s\n%s\nwant %s", c.script, got, c.want)
			}
			if name == "a half that is closed" {
				if got := s.sh("sha256sum < " + dir + "/got"); !strings.Contains(got, upload) {
					t.Errorf("the other half: %s", got)
				}
			}
		})
	}
}

// A SOCKS client that asks for a password, and the counters for a script.
func TestProxyPasswordAndJSON(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	out := filepath.Join(t.TempDir(), "events")
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	t.Run("run", func(t *testing.T) {
		s := startTo(t, file, "proxy", "--socks", "1080", "--socks-user", "me:secret", "--json")
		sum := s.web("10.77.0.1", 8000, 1_000_000)
		if got := s.sh("curl -sSf --socks5 me:secret@127.0.0.1:1080 http://10.77.0.1:8000/data | sha256sum"); !strings.Contains(got, sum) {
			t.Errorf("with the password: %s", got)
		}
		for _, user := range []string{"", "me:wrong@"} {
			if got := s.sh("curl -sS --socks5 " + user + "127.0.0.1:1080 http://10.77.0.1:8000/data 2>&1; echo $?"); !strings.HasSuffix(got, "\n97\n") {
				t.Errorf("as %q: %s", user, got)
			}
		}
	})
	events, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var last struct {
		Event     string
		Listeners []struct {
			Total, Failed int
			ToClient      int `json:"to_client_bytes"`
		}
	}
	lines := strings.Split(strings.TrimSpace(string(events)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if last.Event != "end" || len(last.Listeners) != 1 || last.Listeners[0].Total != 3 || last.Listeners[0].Failed != 2 || last.Listeners[0].ToClient < 1_000_000 {
		t.Errorf("%s", events)
	}
}

// iperf3 has a connection for control and others for data, and ends them in an
// order of its own. (Its --bidir needs connections to arrive in the order in which
// they were made, which a proxy does not promise.)
func TestProxyIperf(t *testing.T) {
	t.Parallel()
	needs(t, "iperf3")
	s := start(t, "proxy", "--forward", "5201=10.77.0.1:5201", "--forward", "udp/5201=10.77.0.1:5201")
	s.background(s.ns.Command("iperf3", "-s", "-B", "10.77.0.1"))
	s.sh("until nc -z 10.77.0.1 5201; do sleep 0.02; done")
	// More than the buffers on the way hold: the client's end may overtake those.
	for _, args := range []string{"-n 100M", "-R -n 100M", "-P 4 -n 100M", "-u -b 20M -n 1M"} {
		out := s.sh("iperf3 -c 127.0.0.1 -J " + args)
		var r struct {
			Error string
			End   struct {
				SumReceived struct{ Bytes int64 } `json:"sum_received"`
				Sum         struct{ Bytes int64 }
			}
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Error != "" || r.End.SumReceived.Bytes+r.End.Sum.Bytes == 0 {
			t.Errorf("iperf3 %s: %v\n%s", args, err, out)
		}
	}
}

// TestProxyDrains: an interrupt lets a transfer end.
func TestProxyDrains(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	const size = 3_000_000
	s := start(t, "proxy", "--publish", "80=127.0.0.1:8001", "--drain", "30s")
	sum := s.web("127.0.0.1", 8001, size)
	got := filepath.Join(t.TempDir(), "got")
	slow := s.ns.Command("curl", "-sSf", "--limit-rate", "2M", "-o", got, "http://10.77.0.2/data")
	s.background(slow)
	waitUntil(t, "a part of the file", func() bool {
		info, err := os.Stat(got)
		return err == nil && info.Size() > 0
	})
	s.cmd.Process.Signal(syscall.SIGINT)
	s.log.closed.Wait() // the proxy has ended
	if err := slow.Wait(); err != nil {
		t.Errorf("curl: %v", err)
	}
	if out := s.sh("sha256sum < " + got); !strings.HasPrefix(out, sum) {
		t.Errorf("curl got %s, want %s", out, sum)
	}
}
